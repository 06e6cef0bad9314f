// Package options reads, completes and checks the options of an adapter. An adapter lists its
// options once, in a [Table]: the name of each field, its default and its range. The table then
// does three jobs: it reads the parameters of a broker URL, fills in defaults, and refuses wrong
// values.
//
//	func (o *Options) table() options.Table {
//		return options.Table{
//			options.Hosts(&o.Hosts, "4222"),
//			options.Text("ClientID", &o.ClientID, "leat"),
//			options.Int("Buffer", &o.Buffer, 10_000, 1, 1<<30),
//			options.Duration("DialTimeout", &o.DialTimeout, 10*time.Second, time.Millisecond, time.Hour),
//		}
//	}
//
// The URL's parameter has the name of the field in snake case: client_id, buffer, dial_timeout. So
// one thing has one name, in Go and in a URL.
//
// A [Reader] reads what is not a plain value: [Reader.Login] the user and the password,
// [Reader.TLS] and [Reader.Secret] the files of credentials. [Open] puts the steps together and is
// all of an adapter's [leat.Opener].
//
// # No secret in a message
//
// Every error of this package is made of words of the adapter: names of its fields and parameters,
// ranges, and what the operating system says about a file, without the file's path. Nothing of the
// URL is quoted, because each piece of it may be a piece of a password: somebody may have forgotten
// to percent-encode one. For the same reason an unknown parameter is counted and not named.
//
// An adapter keeps this promise when its own errors are of the type [Reason]. [leat.Openers] shows
// such an error as it is, and searches every other error for the secrets of the URL before it shows
// it.
package options
