package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat/internal/brokertest"
)

// check imports each module of a release by its version, from a module proxy of files that is made
// of the clone's tags, into a new module. It compiles the README's example there and runs it, on a
// real broker where the module is for one. It works in scratch.
func check(ctx context.Context, r *release, scratch string, out io.Writer) error {
	if err := r.verify(ctx); err != nil {
		return err
	}
	readme, err := os.ReadFile(filepath.Join(r.clone.dir, "README.md"))
	if err != nil {
		return err
	}
	env, err := r.publish(ctx, scratch)
	if err != nil {
		return err
	}
	if err := r.report(ctx, env, out); err != nil {
		return err
	}
	sums := map[string]string{}
	for i := range r.modules {
		own, err := readSums(r.folder(&r.modules[i]))
		if err != nil {
			return err
		}
		maps.Copy(sums, own)
	}
	for i := range r.modules {
		began := time.Now()
		m := &r.modules[i]
		result, err := r.checkModule(ctx, m, filepath.Join(scratch, "importers", filepath.FromSlash(m.dir)), string(readme), sums, env)
		if err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
		if _, err := fmt.Fprintf(out, "%-50s %s (%.0f s)\n", m.path, result, time.Since(began).Seconds()); err != nil {
			return err
		}
	}
	return nil
}

// publish makes a proxy of the clone's tags and returns an environment that gets modules from it.
func (r *release) publish(ctx context.Context, scratch string) (*environment, error) {
	others, err := thirdParty(ctx)
	if err != nil {
		return nil, err
	}
	ours := filepath.Join(scratch, "ours")
	if err := fetchTags(ctx, r.clone, r.root(), r.version, ours, r.modules...); err != nil {
		return nil, err
	}
	return &environment{cache: filepath.Join(scratch, "cache"), proxy: downloads(ours) + "," + others}, nil
}

// report prints the Go version and the size of each module's zip file.
func (r *release) report(ctx context.Context, env *environment, out io.Writer) error {
	version, err := env.run(ctx, r.clone.dir, "env", "GOVERSION")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "release %s, with %s; its modules need Go %s\n", r.version, version, r.workspace[0].goes); err != nil {
		return err
	}
	proxy := strings.TrimPrefix(strings.Split(env.proxy, ",")[0], "file://")
	for i := range r.modules {
		m := &r.modules[i]
		info, err := os.Stat(filepath.Join(proxy, filepath.FromSlash(m.path), "@v", r.version+".zip"))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%-50s %5d KiB zipped\n", m.path, (info.Size()+1023)/1024); err != nil {
			return err
		}
	}
	return nil
}

// checkModule does what check says with one module, and returns what it has done.
func (r *release) checkModule(
	ctx context.Context, m *module, dir, readme string, sums map[string]string, env *environment,
) (string, error) {
	all := allPrograms()
	i := slices.IndexFunc(all, func(p program) bool { return p.dir == m.dir })
	if i < 0 {
		return "", errors.New("there is no program for it; add one to internal/release/program.go")
	}
	files, err := all[i].source(readme, randomSuffix())
	if err != nil {
		return "", err
	}
	user, err := newImporter(dir, r.workspace[0].goes, env)
	if err != nil {
		return "", err
	}
	if err := user.get(ctx, m, r.version, sums); err != nil {
		return "", err
	}
	binary, err := user.build(ctx, files)
	if err != nil {
		return "", err
	}
	broker, err := all[i].broker()
	switch {
	case err == nil:
		return "imported, compiled, run", runExample(ctx, binary, broker)
	case errors.Is(err, brokertest.ErrMissing) && os.Getenv("CI") == "":
		return "imported, compiled; NOT RUN: " + err.Error(), nil
	default:
		return "", err
	}
}

// broker returns the address of the program's broker, "" for one in memory.
func (p program) broker() (string, error) {
	if p.variable == "" {
		return "", nil
	}
	value := os.Getenv(p.variable)
	if value == "" || value == "off" {
		return "", fmt.Errorf("%w: %s names none", brokertest.ErrMissing, p.variable)
	}
	if p.variable == brokertest.RabbitMQVariable {
		value, _, _ = strings.Cut(value, ",") // the second is that of the management API
	}
	return value, nil
}
