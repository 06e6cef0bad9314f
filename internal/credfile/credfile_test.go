package credfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/credfile"
)

func TestSecretIsReadWithoutItsLineEnd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(" a b \r\n\n"), 0o600))
	text, err := credfile.Secret("password_file", file)
	require.NoError(t, err)
	assert.Equal(t, " a b ", text)
}

// TestErrorsNameTheParameterAndNotThePath: the path is a piece of a URL, where anything may have got into it.
func TestErrorsNameTheParameterAndNotThePath(t *testing.T) {
	certs := brokertest.NewCerts(t)
	dir := filepath.Join(t.TempDir(), "s3cret")
	require.NoError(t, os.Mkdir(dir, 0o700))
	garbage := filepath.Join(dir, "garbage")
	require.NoError(t, os.WriteFile(garbage, []byte("s3cret"), 0o600))
	missing := filepath.Join(dir, "missing")
	_, err := credfile.Secret("password_file", missing)
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
		_, err := credfile.TLS(c.ca, c.cert, c.key)
		assert.EqualError(t, err, c.want)
	}
	config, err := credfile.TLS(certs.CAFile, certs.ClientFile, certs.ClientKeyFile)
	require.NoError(t, err)
	certificate, err := config.GetClientCertificate(nil)
	require.NoError(t, err)
	assert.NotEmpty(t, certificate.Certificate)
}
