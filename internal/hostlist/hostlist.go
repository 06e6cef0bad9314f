// Package hostlist reads addresses of brokers, as URLs and options of adapters name them:
//
//	addresses, err := hostlist.Split(u.Host)             // "a:1,b,[::1]:2" becomes "a:1", "b" and "[::1]:2"
//	address, err := hostlist.WithPort(addresses[1], "9092") // "b:9092"
//
// What it takes does not depend on the Go release, which [net/url.Parse] does for lists. The errors
// do not quote what they are about: a piece of a password may have got there.
package hostlist

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/leatgo/leat/internal/secrets"
)

const (
	errEmpty = secrets.Text("an address is empty; write host:port, and several as host:port,host:port")
	errForm  = secrets.Text("an address is not host:port; a host has letters, digits, '.', '-' and '_', or is an IPv6 address in brackets")
	errPort  = secrets.Text("an address has a port that is not a number from 1 to 65535")
)

// Split returns the addresses of a list in the form of [url.URL].Host: separated by commas, each a
// host with or without a port. An IPv6 address stands in brackets, its zone behind '%'. An empty
// list has one address that is empty, which is an error.
func Split(list string) ([]string, error) {
	addresses := strings.Split(list, ",")
	for _, address := range addresses {
		if err := Check(address); err != nil {
			return nil, err
		}
	}
	return addresses, nil
}

// Check returns what is wrong with an address.
func Check(address string) error {
	_, port, err := cut(address)
	if err == nil && port != "" && !isPort(port) {
		return errPort
	}
	return err
}

// WithPort returns address as "host:port", with the given port where it has none. It also takes an
// IPv6 address without brackets and port.
func WithPort(address, port string) (string, error) {
	if isIPv6(address) {
		return net.JoinHostPort(address, port), nil
	}
	if err := Check(address); err != nil {
		return "", err
	}
	host, own, err := cut(address)
	if own != "" {
		port = own
	}
	return net.JoinHostPort(host, port), err
}

// IsLoopback reports whether an address, with or without a port, is this machine by its form:
// localhost, 127.0.0.0/8 or ::1. No name is looked up.
func IsLoopback(address string) bool {
	host := address
	if name, _, err := cut(address); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761, section 6.3
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// Unescape returns the list of a URL's text as [url.URL].Host has it: the zone of an IPv6 address,
// in a URL "%25zone" (RFC 6874), behind '%'. Other escapes are an error, as are addresses that are
// wrong. An empty list is right here, since some URLs have no host.
func Unescape(list string) (string, error) {
	if list == "" {
		return "", nil
	}
	addresses := strings.Split(list, ",")
	for i, address := range addresses {
		if ip, escaped, ok := strings.Cut(address, "%"); ok {
			zone, end, closed := strings.Cut(escaped, "]")
			plain, err := url.PathUnescape(strings.TrimPrefix(zone, "25"))
			if err != nil || !closed || !strings.HasPrefix(zone, "25") || strings.ContainsAny(plain, "[]%,") {
				return "", errForm
			}
			address = ip + "%" + plain + "]" + end
		}
		if err := Check(address); err != nil {
			return "", err
		}
		addresses[i] = address
	}
	return strings.Join(addresses, ","), nil
}

// cut returns host and port of an address, the host without brackets, the port "" where there is
// none.
func cut(address string) (host, port string, err error) {
	if address == "" {
		return "", "", errEmpty
	}
	var rest string
	if address[0] == '[' {
		var closed bool
		host, rest, closed = strings.Cut(address[1:], "]")
		if !closed || !isIPv6(host) || rest != "" && rest[0] != ':' {
			return "", "", errForm
		}
	} else {
		end := strings.IndexByte(address, ':')
		if end < 0 {
			end = len(address)
		}
		host, rest = address[:end], address[end:]
		if host == "" || strings.IndexFunc(host, isForeign) >= 0 {
			return "", "", errForm
		}
	}
	if rest == ":" {
		return "", "", errPort
	}
	return host, strings.TrimPrefix(rest, ":"), nil
}

// isForeign reports whether a host's name cannot have r.
func isForeign(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_~", r)
}

func isIPv6(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Is6() && strings.IndexFunc(ip.Zone(), isForeign) < 0
}

func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}
