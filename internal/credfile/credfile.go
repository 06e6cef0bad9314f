// Package credfile reads the files that the URL of a broker names for its credentials:
//
//	password, err := credfile.Secret("password_file", file)
//	config, err := credfile.TLS(ca, cert, key)
//
// Its errors name the parameter and say what the operating system does, and do not show the file's path, which is a piece of the URL.
package credfile

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/leatgo/leat/internal/secrets"
)

// Secret reads a file, which parameter names, without the line end that editors leave.
func Secret(parameter, file string) (string, error) {
	text, err := read(parameter, file)
	return strings.TrimRight(string(text), "\r\n"), err
}

// TLS returns the TLS configuration of the files that a URL names as ca_file, cert_file and key_file, each of which may be "". The
// certificate is read for each connection, so that it can be renewed. The error says which file is wrong.
func TLS(ca, cert, key string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := read("ca_file", ca)
		if err != nil {
			return nil, secrets.Text(err.Error())
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, secrets.Text("ca_file has no certificate in PEM")
		}
	}
	if (cert == "") != (key == "") {
		return nil, secrets.Text("cert_file and key_file belong together; give both")
	}
	if cert == "" {
		return c, nil
	}
	if _, err := pair(cert, key); err != nil {
		return nil, secrets.Text(err.Error())
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
