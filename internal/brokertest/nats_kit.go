package brokertest

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// NATSVersion is the version of nats-server, which nats/mod.txt requires.
const NATSVersion = "2.15.3"

const natsModule = "github.com/nats-io/nats-server/v2"

// The module that nats-server is built in. Its files have other names here, as a module of its own
// cannot be embedded.
var (
	//go:embed nats/mod.txt
	natsMod string
	//go:embed nats/sum.txt
	natsSum string
)

// GetNATS builds nats-server, unless that was done before. It writes what it does to progress, and
// nothing when there is nothing to do.
func GetNATS(ctx context.Context, progress func(string)) error {
	_, err := getNATS(ctx, progress)
	return err
}

// getNATS returns the path of the program.
func getNATS(ctx context.Context, progress func(string)) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	home := filepath.Join(cache, "nats-"+NATSVersion+"-"+digest(natsMod, natsSum))
	err = fill(home, func(dir string) error {
		progress("building NATS " + NATSVersion + " in " + home)
		return buildNATS(ctx, dir)
	})
	return filepath.Join(home, "nats-server"), err
}

// buildNATS lets Go fetch and build the server in a folder.
func buildNATS(ctx context.Context, dir string) error {
	tool, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("%w: NATS is built by Go, and go is not on the PATH", ErrMissing)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{"go.mod": natsMod, "go.sum": natsSum} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, "build", "-mod=readonly", "-trimpath", "-o", "nats-server", natsModule)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: Go could not fetch or build NATS (%w); once it can, run: make brokers\n%s",
			ErrMissing, err, lastLines(strings.TrimSpace(string(out)), logLines))
	}
	return nil
}
