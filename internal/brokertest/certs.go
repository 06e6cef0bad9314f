package brokertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certs are a certificate authority, a certificate of a server at 127.0.0.1 and localhost, and one
// of a client whose name is "client", all valid for a day. The files are PEM, the keys PKCS#8.
type Certs struct {
	CAFile         string
	ServerFile     string // the certificate
	ServerKeyFile  string
	ServerBothFile string // key and certificate in one, which Kafka calls a key store
	ClientFile     string
	ClientKeyFile  string

	pool   *x509.CertPool
	client tls.Certificate
}

// NewCerts makes certificates in a folder of the test. Those of another call are strangers to
// these.
func NewCerts(t testing.TB) *Certs {
	t.Helper()
	c, err := newCerts(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TLS returns the configuration of a client that trusts the authority and has no certificate.
func (c *Certs) TLS() *tls.Config {
	return &tls.Config{RootCAs: c.pool, MinVersion: tls.VersionTLS12}
}

// MutualTLS returns the configuration of a client that shows its certificate too.
func (c *Certs) MutualTLS() *tls.Config {
	config := c.TLS()
	config.Certificates = []tls.Certificate{c.client}
	return config
}

func newCerts(dir string) (*Certs, error) {
	c := &Certs{
		CAFile:     filepath.Join(dir, "ca.pem"),
		ServerFile: filepath.Join(dir, "server.pem"), ServerKeyFile: filepath.Join(dir, "server.key"),
		ServerBothFile: filepath.Join(dir, "server-both.pem"),
		ClientFile:     filepath.Join(dir, "client.pem"), ClientKeyFile: filepath.Join(dir, "client.key"),
	}
	ca, err := newCert(nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: "leat-test-ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	if err != nil {
		return nil, err
	}
	server, err := newCert(ca, &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.ParseIP(loopback)}, DNSNames: []string{"localhost"},
	})
	if err != nil {
		return nil, err
	}
	client, err := newCert(ca, &x509.Certificate{
		Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, err
	}
	c.pool = x509.NewCertPool()
	c.pool.AddCert(ca.cert)
	if c.client, err = tls.X509KeyPair(client.certPEM, client.keyPEM); err != nil {
		return nil, err
	}
	for file, text := range map[string][]byte{
		c.CAFile: ca.certPEM, c.ServerFile: server.certPEM, c.ServerKeyFile: server.keyPEM,
		c.ServerBothFile: append(append([]byte(nil), server.keyPEM...), server.certPEM...),
		c.ClientFile:     client.certPEM, c.ClientKeyFile: client.keyPEM,
	} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// keyPair is a certificate with its key.
type keyPair struct {
	cert            *x509.Certificate
	key             *ecdsa.PrivateKey
	certPEM, keyPEM []byte
}

// newCert fills in a certificate and lets the issuer sign it, or its own key when that is nil.
func newCert(issuer *keyPair, cert *x509.Certificate) (*keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if cert.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, err
	}
	// Clocks of machines that share a broker differ a little.
	cert.NotBefore, cert.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	if !cert.IsCA {
		cert.KeyUsage = x509.KeyUsageDigitalSignature
	}
	if issuer == nil {
		issuer = &keyPair{cert: cert, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, issuer.cert, &key.PublicKey, issuer.key)
	if err != nil {
		return nil, err
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &keyPair{
		cert: cert, key: key,
		certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}, nil
}
