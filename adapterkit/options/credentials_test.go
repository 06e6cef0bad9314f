package options_test

import (
	"crypto/tls"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/internal/brokertest"
)

func TestSecretIsReadWithoutItsLineEnd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(" a b \r\n\n"), 0o600))
	r := reader(t, url.Values{"token_file": {file}}.Encode())
	token, none := r.Secret("token_file"), r.Secret("seed_file")
	require.NoError(t, r.Err())
	text, err := token(t.Context())
	require.NoError(t, err)
	assert.Equal(t, " a b ", text)
	assert.Nil(t, none)
}

// TestErrorsNameTheParameterAndNotThePath: the path is a piece of a URL, where anything may have
// got into it.
func TestErrorsNameTheParameterAndNotThePath(t *testing.T) {
	certs := brokertest.NewCerts(t)
	dir := filepath.Join(t.TempDir(), "s3cret")
	require.NoError(t, os.Mkdir(dir, 0o700))
	garbage := filepath.Join(dir, "garbage")
	require.NoError(t, os.WriteFile(garbage, []byte("s3cret"), 0o600))
	missing := filepath.Join(dir, "missing")
	token := reader(t, url.Values{"password_file": {missing}}.Encode()).Secret("password_file")
	_, err := token(t.Context())
	require.EqualError(t, err, "password_file cannot be read: no such file or directory")
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, c := range []struct{ ca, cert, key, want string }{
		{missing, "", "", "ca_file cannot be read: no such file or directory"},
		{dir, "", "", "ca_file cannot be read: is a directory"},
		{missing + "\x00", "", "", "ca_file cannot be read: invalid argument"},
		{garbage, "", "", "ca_file has no certificate in PEM"},
		{"", garbage, "", "cert_file and key_file belong together; give both"},
		{"", missing, garbage, "cert_file cannot be read: no such file or directory"},
		{"", certs.ClientFile, missing, "key_file cannot be read: no such file or directory"},
		{"", certs.ClientFile, garbage, "cert_file and key_file are not a certificate and its private key in PEM"},
		{"", certs.ClientFile, certs.ServerKeyFile, "cert_file and key_file are not a certificate and its private key in PEM"},
	} {
		_, err := readTLS(t, c.ca, c.cert, c.key)
		assert.EqualError(t, err, c.want)
	}
	config, err := readTLS(t, certs.CAFile, certs.ClientFile, certs.ClientKeyFile)
	require.NoError(t, err)
	certificate, err := config.GetClientCertificate(nil)
	require.NoError(t, err)
	assert.NotEmpty(t, certificate.Certificate)
}

func readTLS(t *testing.T, ca, cert, key string) (*tls.Config, error) {
	t.Helper()
	r := reader(t, url.Values{"ca_file": {ca}, "cert_file": {cert}, "key_file": {key}}.Encode())
	c := r.TLS(true, "tls=true")
	return c, r.Err()
}

func TestTLSIsRefusedWhereItIsOff(t *testing.T) {
	r := reader(t, "ca_file=x")
	assert.Nil(t, r.TLS(false, "nats+tls://"))
	require.EqualError(t, r.Err(), "ca_file, cert_file and key_file need nats+tls://")
	r = reader(t, "")
	assert.Nil(t, r.TLS(false, "nats+tls://"))
	require.NoError(t, r.Err())
}

func TestSecureTLS(t *testing.T) {
	assert.Nil(t, options.SecureTLS(nil))
	given := &tls.Config{MinVersion: tls.VersionTLS10}
	assert.EqualValues(t, tls.VersionTLS12, options.SecureTLS(given).MinVersion)
	assert.EqualValues(t, tls.VersionTLS10, given.MinVersion, "the caller's is left alone")
	assert.EqualValues(t, tls.VersionTLS13, options.SecureTLS(&tls.Config{MinVersion: tls.VersionTLS13}).MinVersion)
}

func TestLogin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("first\n"), 0o600))
	for _, c := range []struct{ userinfo, query, want, err string }{
		{"", "", "", ""},
		{"ann:Sesame-8471@", "", "ann Sesame-8471", ""},
		{"ann:@", "", "ann ", ""},
		{"ann@", "password_file=" + url.QueryEscape(file), "ann first", ""},
		{"ann:Sesame-8471@", "password_file=x", "", "the password is given twice, in the URL and by password_file"},
		{"ann@", "", "", "the user has no password; write user:password, or give password_file"},
		{":Sesame-8471@", "", "", "the password has no user; write user@ before the hosts"},
		{"", "password_file=x", "", "the password has no user; write user@ before the hosts"},
	} {
		u, err := url.Parse("mem://" + c.userinfo + "h?" + c.query)
		require.NoError(t, err)
		r := options.NewReader(u)
		l := r.Login()
		if c.err != "" {
			require.EqualError(t, r.Err(), c.err)
			continue
		}
		require.NoError(t, r.Err())
		if c.want == "" {
			assert.Nil(t, l)
			continue
		}
		user, password, err := l.Credentials(t.Context())
		require.NoError(t, err)
		assert.Equal(t, c.want, user+" "+password)
	}
}
