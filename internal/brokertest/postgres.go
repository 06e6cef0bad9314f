package brokertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// PostgresVariable is the variable of the environment with the URL of a PostgreSQL for tests, which
// may create tables there, or [Off].
const PostgresVariable = "LEAT_TEST_POSTGRES"

// StartPostgres starts a PostgreSQL that belongs to the test and returns its URL, or the URL of
// [PostgresVariable]. It is removed when the test ends. It runs on the programs of the machine's
// package; a test without them is skipped, or fails where CI is set.
func StartPostgres(t testing.TB) string {
	t.Helper()
	urls, err := addrsFromEnv(PostgresVariable)
	require(t, err)
	if len(urls) > 0 {
		return urls[0]
	}
	url, closePostgres, err := runPostgres(t.Context())
	require(t, err)
	t.Cleanup(func() {
		if err := closePostgres(); err != nil {
			t.Errorf("remove PostgreSQL: %v", err)
		}
	})
	return url
}

// runPostgres starts a PostgreSQL in a folder of its own.
func runPostgres(ctx context.Context) (url string, closeIt func() error, err error) {
	programs, err := findPostgres()
	if err != nil {
		return "", nil, err
	}
	box, err := newSandbox(ctx, "leat-postgres-")
	if err != nil {
		return "", nil, err
	}
	p, port, err := newPostgres(ctx, programs, box)
	if err == nil {
		err = p.Start(ctx)
	}
	if err != nil {
		return "", nil, errors.Join(err, box.close())
	}
	return "postgres://leat@" + address(port) + "/postgres?sslmode=disable", func() error {
		p.Kill() // its data goes too
		return box.close()
	}, nil
}

// newPostgres makes a cluster of databases, which does not run yet.
func newPostgres(ctx context.Context, programs string, box *sandbox) (*Process, int, error) {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return nil, 0, err
	}
	dir := filepath.Join(box.dir, "postgres")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, 0, err
	}
	var as []string
	if os.Geteuid() == 0 { // as whom PostgreSQL refuses to run
		const nobody = 65534
		id := strconv.Itoa(nobody)
		as = []string{"setpriv", "--reuid=" + id, "--regid=" + id, "--clear-groups"}
		if err := errors.Join(os.Chmod(box.dir, 0o711), os.Chown(dir, nobody, nobody)); err != nil {
			return nil, 0, err
		}
	}
	data := filepath.Join(dir, "data")
	initdb := append(append([]string{}, as...), filepath.Join(programs, "initdb"), "-D", data, "-U", "leat", "-A", "trust", "-E", "UTF8",
		"--locale=C.UTF-8", "--no-sync", "--no-instructions")
	if err := command(ctx, "/", initdb[0], initdb[1:]...); err != nil {
		return nil, 0, err
	}
	// Without a socket in the file system, whose path could be too long.
	run := append(append([]string{}, as...), filepath.Join(programs, "postgres"), "-D", data, "-p", strconv.Itoa(ports[0]),
		"-c", "listen_addresses="+loopback, "-c", "unix_socket_directories=", "-c", "shared_buffers=32MB")
	p := &Process{spec: spec{name: "postgres", dir: dir, args: run, guard: box}}
	p.spec.ready = func(context.Context) error {
		log, err := os.ReadFile(p.logFile())
		if err == nil && !bytes.Contains(log, []byte("database system is ready to accept connections")) {
			err = errors.New("PostgreSQL does not accept connections yet")
		}
		return err
	}
	return p, ports[0], nil
}

// findPostgres returns the folder of the programs: that of Debian's newest package, or of the PATH.
func findPostgres() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", fmt.Errorf("%w: PostgreSQL is not installed; run: apt-get install -y --no-install-recommends postgresql, "+
		"or set %s to the URL of one", ErrMissing, PostgresVariable)
}
