package options

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/leatgo/leat/internal/hostlist"
)

// Login is the user and the password of a URL.
type Login struct {
	User string

	password, file string
}

// Login returns the user and the password of the URL, and nil where it has no user. The password is
// in the URL, or in the file that the parameter password_file names. A user without a password is
// an error, and so is a password without a user. An adapter whose broker takes a user alone, as a
// token, looks at the URL's User itself.
func (r *Reader) Login() *Login {
	l := &Login{User: r.url.User.Username(), file: r.String("password_file", "")}
	var inURL bool
	l.password, inURL = r.url.User.Password()
	switch {
	case inURL && l.file != "":
		r.Wrong("the password is given twice, in the URL and by password_file")
	case l.User == "" && (inURL || l.file != ""):
		r.Wrong("the password has no user; write user@ before the hosts")
	case r.url.User != nil && !inURL && l.file == "":
		r.Wrong("the user has no password; write user:password, or give password_file")
	case r.url.User != nil:
		return l
	}
	return nil
}

// Credentials returns the user and the password. It reads the file again for each call, so that the
// password can be changed while the program runs. The error does not show the file's path.
func (l *Login) Credentials(context.Context) (user, password string, err error) {
	if l.file == "" {
		return l.User, l.password, nil
	}
	password, err = secret("password_file", l.file)
	return l.User, password, err
}

// Secret returns a function that reads the file that the parameter names, such as token_file,
// without the line end that editors leave. It is nil where the parameter is not given. Call it for
// each connection, so that the secret can be changed while the program runs. Its error wraps what
// the operating system says, and does not show the path.
func (r *Reader) Secret(parameter string) func(context.Context) (string, error) {
	file := r.String(parameter, "")
	if file == "" {
		return nil
	}
	return func(context.Context) (string, error) { return secret(parameter, file) }
}

// TLS returns the configuration of TLS that the parameters ca_file, cert_file and key_file make,
// all of PEM and none of them required. Certificate and key are read again for each connection.
// Without on there is no TLS: the three are an error then, which says what would turn it on, such
// as "tls=true".
func (r *Reader) TLS(on bool, what string) *tls.Config {
	ca, cert, key := r.String("ca_file", ""), r.String("cert_file", ""), r.String("key_file", "")
	if !on {
		if ca+cert+key != "" {
			r.Wrong(Reason("ca_file, cert_file and key_file need " + what))
		}
		return nil
	}
	c, err := fileTLS(ca, cert, key)
	if err != nil {
		r.Wrong(Reason(err.Error()))
	}
	return c
}

// SecureTLS returns a copy of c that takes TLS 1.2 or better, and nil for nil.
func SecureTLS(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	c = c.Clone()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	return c
}

// IsLocal reports whether an address, with or without a port, is this machine by its form:
// localhost, a name that ends with .localhost, 127.0.0.0/8 or ::1. No name is looked up. A password
// or token goes without TLS to such an address only, or where the user of the adapter allows it
// (AllowPlaintext).
func IsLocal(address string) bool { return hostlist.IsLoopback(address) }

// secret reads a file, which parameter names, without the line end that editors leave.
func secret(parameter, file string) (string, error) {
	text, err := read(parameter, file)
	return strings.TrimRight(string(text), "\r\n"), err
}

// fileTLS returns the TLS configuration of three files, each of which may be "". The error says
// which file is wrong.
func fileTLS(ca, cert, key string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := read("ca_file", ca)
		if err != nil {
			return nil, Reason(err.Error())
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, Reason("ca_file has no certificate in PEM")
		}
	}
	if (cert == "") != (key == "") {
		return nil, Reason("cert_file and key_file belong together; give both")
	}
	if cert == "" {
		return c, nil
	}
	if _, err := pair(cert, key); err != nil {
		return nil, Reason(err.Error())
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair(cert, key) }
	return c, nil
}

// pair reads a certificate and its key.
func pair(cert, key string) (*tls.Certificate, error) {
	certPEM, err := read("cert_file", cert)
	if err != nil {
		return nil, err
	}
	keyPEM, err := read("key_file", key)
	if err != nil {
		return nil, err
	}
	p, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, errors.New("cert_file and key_file are not a certificate and its private key in PEM")
	}
	return &p, nil
}

// read reads a file. The error wraps what the operating system says, without the path.
func read(parameter, file string) ([]byte, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", parameter, err)
	}
	return text, nil
}
