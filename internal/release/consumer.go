package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// handled is what the README's example prints in its handler.
	handled = "charge 1250 cents for order A-17"
	// patience is how long the example may take, on a real broker.
	patience = time.Minute
)

// importer is a module of a user, in a folder of its own outside of any workspace, that imports a
// released module.
type importer struct {
	dir string
	env *environment
}

// newImporter makes the module, which may use no newer Go than goes.
func newImporter(dir, goes string, env *environment) (*importer, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	return &importer{dir, env}, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/importer\n\ngo "+goes+"\n"), 0o600)
}

// get adds a module to the importer's requirements, as a user does. The module and what it requires
// must be content with the importer's Go, and have the sums that sums has.
func (i *importer) get(ctx context.Context, m *module, version string, sums map[string]string) error {
	before, err := readModule(ctx, i.dir, ".")
	if err != nil {
		return err
	}
	if _, err := i.env.run(ctx, i.dir, "get", m.path+"@"+version); err != nil {
		return err
	}
	after, err := readModule(ctx, i.dir, ".")
	if err != nil {
		return err
	}
	if after.goes != before.goes {
		return fmt.Errorf("%s needs Go %s by one of its requirements, not %s", m.path, after.goes, before.goes)
	}
	if got := after.requires[m.path]; got != version {
		return fmt.Errorf("go get of %s %s has chosen version %q", m.path, version, got)
	}
	got, err := readSums(i.dir)
	if err != nil {
		return err
	}
	for key, sum := range got {
		if want, ok := sums[key]; ok && want != sum {
			return fmt.Errorf("%s has the sum %s, but %s in a go.sum of the release", key, sum, want)
		}
	}
	return nil
}

// build compiles a program of the importer's and returns its path.
func (i *importer) build(ctx context.Context, files map[string]string) (string, error) {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(i.dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	binary := filepath.Join(i.dir, "program")
	// The build cache knows packages by their path: without -trimpath this would compile all of
	// them again, in each new folder.
	_, err := i.env.run(ctx, i.dir, "build", "-trimpath", "-o", binary, ".")
	return binary, err
}

// runExample runs the README's example until its handler has the order, then interrupts it and
// waits for it to end without an error.
func runExample(ctx context.Context, binary, broker string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = append(os.Environ(), "BROKER="+broker)
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var printed strings.Builder
	times := 0
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		printed.WriteString(lines.Text() + "\n")
		if !strings.Contains(lines.Text(), handled) {
			continue
		}
		if times++; times == 1 {
			err = cmd.Process.Signal(os.Interrupt)
		}
	}
	err = errors.Join(err, cmd.Wait())
	if err == nil && times != 1 {
		err = fmt.Errorf("it has printed %q %d times", handled, times)
	}
	if err != nil {
		return fmt.Errorf("the README's example: %w\n%s%s", err, printed.String(), stderr.String())
	}
	return nil
}

// readSums reads a folder's go.sum: the sums by module and version.
func readSums(dir string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil //nolint:nilnil // a module without requirements has no go.sum
	}
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 {
			sums[fields[0]+" "+fields[1]] = fields[2]
		}
	}
	return sums, nil
}

// randomSuffix returns the end of a name that nothing else has.
func randomSuffix() string { return "-" + strings.ToLower(rand.Text()[:10]) }
