package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"v0.1.0", "v0.1.0-rc.1", "v1.20.3", "v0.0.0-check", "v0.1.0-0a.x-y"} {
		require.NoError(t, checkVersion(v))
	}
	for _, v := range []string{
		"", "0.1.0", "v0.1", "v0.1.0+build", "v2.0.0", "v0.01.0", "v0.1.0-rc.01", "v0.1.0-", "v0.1.0-rc..1", "v0.1.0 ", "latest",
		"v0.0.0-20260101000000-0123456789ab", "v0.1.1-0.20260101000000-0123456789ab",
	} {
		require.Error(t, checkVersion(v), v)
	}
}

// A release can be imported by its version, with sums that agree, and the repository that it is of
// stays as it was.
func TestPrepare(t *testing.T) {
	t.Parallel()
	source := fixture(t)
	before := git(t, source, "rev-parse", "HEAD")
	r := prepared(t, source)

	assert.Equal(t, before, git(t, source, "rev-parse", "HEAD"))
	assert.Empty(t, git(t, source, "tag"))
	assert.Empty(t, git(t, source, "status", "--porcelain"))
	assert.Equal(t, []string{version, "adapters/a/" + version, "adapters/a/b/" + version}, r.tags(), "a module follows what it requires")
	assert.ElementsMatch(t, r.tags(), strings.Fields(git(t, r.clone, "tag")))
	assert.Equal(t, before, git(t, r.clone, "rev-parse", "HEAD^"), "the release is one commit on what is released")
	assert.Empty(t, git(t, r.clone, "diff", "--name-only", before, "HEAD", "--", ":!*go.mod", ":!*go.sum"), "only these files change")

	scratch := t.TempDir()
	env, err := r.publish(t.Context(), scratch)
	require.NoError(t, err)
	for i := range r.modules {
		m := &r.modules[i]
		sums, err := readSums(r.folder(m))
		require.NoError(t, err)
		user, err := newImporter(filepath.Join(scratch, "importer", m.dir), "1.26.0", env)
		require.NoError(t, err)
		require.NoError(t, user.get(t.Context(), m, version, sums))
		_, err = user.build(t.Context(), map[string]string{"main.go": "package main\n\nimport _ \"" + m.path + "\"\n\nfunc main() {}\n"})
		require.NoError(t, err)
		require.FileExists(t, filepath.Join(env.cache, filepath.FromSlash(m.path)+"@"+version, "LICENSE"), "each zip file has the licence")
	}
	sums, err := readSums(filepath.Join(r.clone.dir, "adapters", "a", "b"))
	require.NoError(t, err)
	assert.Len(t, sums, 4, "the sums of both modules and of their go.mod files")
}

func TestWhatCannotBeReleased(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(t *testing.T, source repository)
		version string
		message string
	}{
		"a wrong version": {nil, "0.1", `"0.1" is not a version`},
		"a file that is not committed": {
			func(t *testing.T, source repository) { write(t, source, "new.go", "package fixture\n") }, version, "not committed",
		},
		"a tag that exists": {
			func(t *testing.T, source repository) { git(t, source, "tag", "adapters/a/"+version) }, version,
			"there is the tag adapters/a/" + version,
		},
		"a go.mod file that is not tidy": {
			func(t *testing.T, source repository) {
				replace(t, source, "adapters/a/b/go.mod", " // indirect", "")
				commit(t, source)
			}, version, "make tidy",
		},
		"a requirement on a module that is not released": {
			func(t *testing.T, source repository) {
				const path = "github.com/example/fixture/examples"
				text := read(t, source, "adapters/a/go.mod") + "\nrequire " + path + " v0.0.0\n\nreplace " + path + " => ../../examples\n"
				write(t, source, "adapters/a/go.mod", text)
				commit(t, source)
			}, version, "which is not",
		},
		"a file name that no zip file may have": {
			func(t *testing.T, source repository) {
				write(t, source, "testdata/nul", "")
				commit(t, source)
			}, version, "testdata/nul",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := fixture(t)
			if c.change != nil {
				c.change(t, source)
			}
			clone := filepath.Join(t.TempDir(), "clone")
			_, err := prepare(t.Context(), source.dir, clone, c.version, true)
			require.ErrorContains(t, err, c.message)
			require.NoDirExists(t, clone)
		})
	}
	t.Run("a folder that is in use", func(t *testing.T) {
		t.Parallel()
		source := fixture(t)
		_, err := prepare(t.Context(), source.dir, source.dir, version, true)
		require.ErrorContains(t, err, "is not empty")
		require.FileExists(t, filepath.Join(source.dir, "go.mod"))
	})
}

// verify finds what a maintainer may have changed in the clone by hand.
func TestVerify(t *testing.T) { //nolint:tparallel // the cases change one release in turn
	t.Parallel()
	const path = "github.com/example/fixture"
	r := prepared(t, fixture(t))
	for name, c := range map[string]struct {
		change  func(t *testing.T)
		message string
	}{
		"a requirement left at v0.0.0": {
			func(t *testing.T) {
				replace(t, r.clone, "adapters/a/b/go.mod", "adapters/a "+version, "adapters/a v0.0.0")
			},
			"adapters/a/b/go.mod requires " + path + "/adapters/a v0.0.0, not " + version,
		},
		"a replace directive that is left": {
			func(t *testing.T) {
				write(t, r.clone, "adapters/a/go.mod", read(t, r.clone, "adapters/a/go.mod")+"\nreplace "+path+" => ../..\n")
			},
			"adapters/a/go.mod replaces " + path,
		},
		"a newer Go": {
			func(t *testing.T) { replace(t, r.clone, "adapters/a/go.mod", "go 1.26.0", "go 1.26.1") }, "needs Go 1.26.1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.change(t)
			require.ErrorContains(t, mutated(t.Context(), t, r), c.message)
			git(t, r.clone, "revert", "--no-edit", "HEAD")
			for _, tag := range r.tags() {
				git(t, r.clone, "tag", "--force", tag)
			}
		})
	}
	require.NoError(t, r.verify(t.Context()))
	write(t, r.clone, "new.go", "package fixture\n")
	require.ErrorContains(t, r.verify(t.Context()), "not committed")
	git(t, r.clone, "clean", "--quiet", "--force")
	git(t, r.clone, "tag", "--delete", "adapters/a/"+version)
	require.ErrorContains(t, r.verify(t.Context()), "there is no tag adapters/a/"+version)
	git(t, r.clone, "tag", "adapters/a/"+version, "HEAD^")
	require.ErrorContains(t, r.verify(t.Context()), "the tag adapters/a/"+version+" is not on the commit of the release")
}

// A sum that a go.sum of the release has wrong is found when the module is fetched.
func TestSumsAgree(t *testing.T) {
	t.Parallel()
	r := prepared(t, fixture(t))
	scratch := t.TempDir()
	env, err := r.publish(t.Context(), scratch)
	require.NoError(t, err)
	root := &r.modules[0]
	user, err := newImporter(filepath.Join(scratch, "importer"), "1.26.0", env)
	require.NoError(t, err)
	err = user.get(t.Context(), root, version, map[string]string{root.path + " " + version: "h1:wrong="})
	require.ErrorContains(t, err, "h1:wrong=")
}

// Each released module of this repository has a program made of the README's example.
func TestPrograms(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	workspace, err := readWorkspace(t.Context(), root)
	require.NoError(t, err)
	modules, err := inOrder(workspace)
	require.NoError(t, err)
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	programs := map[string]program{}
	for _, p := range allPrograms() {
		programs[p.dir] = p
	}
	for i := range modules {
		p, ok := programs[modules[i].dir]
		require.True(t, ok, "add a program for %s to program.go", modules[i].dir)
		files, err := p.source(string(readme), "-x")
		require.NoError(t, err)
		for name, text := range files {
			_, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
			require.NoError(t, err)
		}
		require.Contains(t, files["main.go"], `"orders-x"`)
		if modules[i].dir != "." {
			require.Contains(t, files["broker.go"], `"`+modules[i].path+`"`)
		}
	}
	require.Len(t, programs, len(modules), "programs of modules that are not released")
	_, err = allPrograms()[0].source(strings.Replace(string(readme), "memory.New(nil)", "memory.New()", 1), "-x")
	require.ErrorContains(t, err, "memory.New(nil)")
}
