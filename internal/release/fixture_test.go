package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const version = "v0.1.0-rc.1"

// fixture is a small repository with modules like this one's: an adapter that uses an internal
// package of the root module, an adapter on that one, and a module that is not released.
func fixture(t *testing.T) repository {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	r := repository{dir: t.TempDir(), trial: true}
	const path = "github.com/example/fixture"
	write(t, r, "LICENSE", "Do as you like.\n")
	write(t, r, "go.work", "go 1.26.0\n\nuse (\n\t./adapters/a/b\n\t.\n\t./adapters/a\n\t./examples\n)\n")
	write(t, r, "go.mod", "module "+path+"\n\ngo 1.26.0\n")
	write(t, r, "root.go", "package fixture\n\nfunc Root() {}\n")
	write(t, r, "internal/secret/secret.go", "package secret\n\nfunc Secret() {}\n")
	write(t, r, "adapters/a/go.mod", "module "+path+"/adapters/a\n\ngo 1.26.0\n\nrequire "+path+" v0.0.0\n\nreplace "+path+" => ../..\n")
	write(t, r, "adapters/a/a.go", "package a\n\nimport \""+path+"/internal/secret\"\n\nfunc A() { secret.Secret() }\n")
	write(t, r, "adapters/a/b/go.mod", "module "+path+"/adapters/a/b\n\ngo 1.26.0\n\nrequire "+path+"/adapters/a v0.0.0\n\n"+
		"require "+path+" v0.0.0 // indirect\n\nreplace (\n\t"+path+" => ../../..\n\t"+path+"/adapters/a => ..\n)\n")
	write(t, r, "adapters/a/b/b.go", "package b\n\nimport \""+path+"/adapters/a\"\n\nfunc B() { a.A() }\n")
	write(t, r, "examples/go.mod", "module "+path+"/examples\n\ngo 1.26.0\n\nrequire "+path+" v0.0.0\n\nreplace "+path+" => ../\n")
	write(t, r, "examples/main.go", "package main\n\nimport \""+path+"\"\n\nfunc main() { fixture.Root() }\n")
	git(t, r, "init", "--quiet")
	commit(t, r)
	return r
}

// write writes a file of the repository.
func write(t *testing.T, r repository, name, text string) {
	t.Helper()
	file := filepath.Join(r.dir, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
}

// replace replaces text that a file of the repository has once.
func replace(t *testing.T, r repository, name, old, text string) {
	t.Helper()
	before := read(t, r, name)
	require.Equal(t, 1, strings.Count(before, old), "%q in %s:\n%s", old, name, before)
	write(t, r, name, strings.Replace(before, old, text, 1))
}

func read(t *testing.T, r repository, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(name)))
	require.NoError(t, err)
	return string(text)
}

func git(t *testing.T, r repository, args ...string) string {
	t.Helper()
	out, err := r.run(t.Context(), args...)
	require.NoError(t, err)
	return out
}

func commit(t *testing.T, r repository) {
	t.Helper()
	git(t, r, "add", "--all")
	git(t, r, "commit", "--quiet", "--message", "A change")
}

// prepared prepares a release of the repository.
func prepared(t *testing.T, source repository) *release {
	t.Helper()
	r, err := prepare(t.Context(), source.dir, filepath.Join(t.TempDir(), "clone"), version, true)
	require.NoError(t, err)
	return r
}

// mutated commits the change of a release's clone, moves the tags there, and verifies what there is
// now.
func mutated(ctx context.Context, t *testing.T, r *release) error {
	t.Helper()
	commit(t, r.clone)
	for _, tag := range r.tags() {
		git(t, r.clone, "tag", "--force", tag)
	}
	changed, err := open(ctx, r.clone.dir, r.version)
	require.NoError(t, err)
	return changed.verify(ctx)
}
