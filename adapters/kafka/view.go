package kafka

import "unsafe" //nolint:depguard // see view

// view returns the bytes of s without a copy. They must not be written to: strings do not change.
//
// It is for what is handed to the client, which reads a record's key, headers and value when it
// writes a request, and changes none of them in place. Where hooks see the records (mayEdit), and
// in EncodeRecord, they are copies. A copy instead costs publishes 8 to 27 % of their processor
// time (see parcel), and the memory of each event that waits once more.
func view(s string) []byte {
	if s == "" {
		return []byte{} // not null
	}
	return unsafe.Slice(unsafe.StringData(s), len(s)) //nolint:gosec // as said
}
