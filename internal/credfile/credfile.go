// Package credfile reads the files that the URL of a broker names for its credentials:
//
//	password, err := credfile.Secret(passwordFile)
//	config, err := credfile.TLS(cafile, certfile, keyfile)
package credfile

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Secret reads a file without the line end that editors leave.
func Secret(file string) (string, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// TLS returns the TLS configuration of the files that a URL names as cafile, certfile and keyfile, each of which may be "". The
// certificate is read for each connection, so that it can be renewed. The error says which file is wrong.
func TLS(ca, cert, key string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca) //nolint:gosec // the operator names it
		if err != nil {
			return nil, fmt.Errorf("cafile: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("cafile has no certificate in PEM")
		}
	}
	if (cert == "") != (key == "") {
		return nil, errors.New("certfile and keyfile belong together; give both")
	}
	if cert == "" {
		return c, nil
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		return &pair, err
	}
	if _, err := load(); err != nil {
		return nil, fmt.Errorf("certfile and keyfile: %w", err)
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return c, nil
}
