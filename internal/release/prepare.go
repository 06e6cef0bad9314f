package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// release is a release in a clone: the commit at its HEAD, with a tag for each released module.
type release struct {
	clone     repository
	version   string
	workspace []module // all modules
	modules   []module // the released ones, each after those that it requires
}

// open reads the release in a clone.
func open(ctx context.Context, dir, version string) (*release, error) {
	if err := checkVersion(version); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	r := &release{clone: repository{dir: dir}, version: version}
	return r, r.read(ctx)
}

// read reads the go.mod files.
func (r *release) read(ctx context.Context) (err error) {
	if r.workspace, err = readWorkspace(ctx, r.clone.dir); err == nil {
		r.modules, err = inOrder(r.workspace)
	}
	return err
}

// root returns the path of the root module.
func (r *release) root() string { return r.workspace[0].path }

// tags returns the names of the tags.
func (r *release) tags() []string {
	var tags []string
	for i := range r.modules {
		tags = append(tags, r.modules[i].tag(r.version))
	}
	return tags
}

// prepare makes a release of what source has committed, in a new clone in dir, and leaves source as
// it is. A trial needs no name of the user's for commits, and no signature. After an error there is
// no clone.
func prepare(ctx context.Context, source, dir, version string, trial bool) (r *release, err error) {
	if err := checkVersion(version); err != nil {
		return nil, err
	}
	from := repository{dir: source, trial: trial}
	if from.dir, err = from.run(ctx, "rev-parse", "--show-toplevel"); err != nil {
		return nil, err
	}
	changes, err := from.run(ctx, "status", "--porcelain")
	if err != nil {
		return nil, err
	}
	if changes != "" {
		return nil, fmt.Errorf("%s has changes that are not committed; commit or stash them:\n%s", from.dir, changes)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty; name a folder that does not exist yet", dir)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	r = &release{clone: repository{dir: dir, trial: trial}, version: version}
	if err := cloneHead(ctx, from, r.clone); err != nil {
		return nil, err
	}
	if err := r.read(ctx); err != nil {
		return nil, err
	}
	if err := r.untagged(ctx); err != nil {
		return nil, err
	}
	if err := r.build(ctx); err != nil {
		return nil, err
	}
	return r, r.verify(ctx)
}

// untagged returns an error if a tag of the release exists.
func (r *release) untagged(ctx context.Context) error {
	existing, err := r.clone.run(ctx, append([]string{"tag", "--list"}, r.tags()...)...)
	if err == nil && existing != "" {
		err = fmt.Errorf("version %s is taken: there is the tag %s", r.version, strings.Join(strings.Fields(existing), ", "))
	}
	return err
}

// cloneHead clones the HEAD of a repository. The clone's origin is that of the repository, so that
// a push goes where the maintainer's goes.
func cloneHead(ctx context.Context, from, to repository) error {
	head, err := from.run(ctx, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	if _, err := from.run(ctx, "clone", "--quiet", "--no-checkout", from.dir, to.dir); err != nil {
		return err
	}
	if _, err := to.run(ctx, "checkout", "--quiet", "--detach", head); err != nil {
		return err
	}
	origin, err := from.run(ctx, "remote", "get-url", "origin")
	if err != nil {
		origin = from.dir
	}
	_, err = to.run(ctx, "remote", "set-url", "origin", origin)
	return err
}

// build rewrites the go.mod files, brings the go.sum files up to date, commits, and makes the tags.
func (r *release) build(ctx context.Context) (err error) {
	base, err := r.clone.run(ctx, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	for i := range r.workspace {
		if err := r.rewrite(ctx, &r.workspace[i]); err != nil {
			return err
		}
	}
	if err := r.sum(ctx); err != nil {
		return err
	}
	steps := [][]string{
		append([]string{"tag", "--delete"}, r.tags()...), // those of the single steps
		{"reset", "--quiet", "--soft", base},
		{"commit", "--quiet", "--no-verify", "--message", "Release " + r.version},
	}
	for _, tag := range r.tags() {
		steps = append(steps, []string{"tag", "--annotate", "--message", "Leat " + r.version, tag})
	}
	for _, step := range steps {
		if _, err := r.clone.run(ctx, step...); err != nil {
			return err
		}
	}
	return r.read(ctx)
}

// rewrite gives each requirement on a module of the workspace the version, and takes the replace
// directives out of a module that is released. Modules that are not keep theirs: they are built in
// the clone only.
func (r *release) rewrite(ctx context.Context, m *module) error {
	args := []string{"mod", "edit"}
	for _, path := range m.siblings(r.workspace) {
		args = append(args, "-require="+path+"@"+r.version)
	}
	if m.released() {
		for _, old := range m.replaces {
			args = append(args, "-dropreplace="+old)
		}
	}
	if len(args) == 2 {
		return nil
	}
	e := &environment{proxy: "off"}
	_, err := e.run(ctx, r.folder(m), args...)
	return err
}

// folder returns the folder of a module in the clone.
func (r *release) folder(m *module) string {
	return filepath.Join(r.clone.dir, filepath.FromSlash(m.dir))
}

// sum writes the go.sum files. That of a module has the sums of the modules that it requires, which
// nobody has published yet. So each module is committed, tagged and fetched from its tag before
// those that require it. Later modules change nothing of what an earlier one's zip file contains,
// so the sums also hold for the tags on the last commit.
func (r *release) sum(ctx context.Context) (err error) {
	scratch, err := os.MkdirTemp("", "leat-release-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	others, err := thirdParty(ctx)
	if err != nil {
		return err
	}
	ours := filepath.Join(scratch, "ours")
	tidy := &environment{cache: filepath.Join(scratch, "cache"), proxy: downloads(ours) + "," + others}
	staged := repository{dir: r.clone.dir, trial: true}
	for i := range r.modules {
		m := &r.modules[i]
		if err := r.tidy(ctx, tidy, m); err != nil {
			return err
		}
		for _, step := range [][]string{
			{"add", "--all"},
			{"commit", "--quiet", "--no-verify", "--allow-empty", "--message", "Release " + m.path},
			{"tag", m.tag(r.version)},
		} {
			if _, err := staged.run(ctx, step...); err != nil {
				return err
			}
		}
		if err := fetchTags(ctx, r.clone, r.root(), r.version, ours, *m); err != nil {
			return err
		}
	}
	return nil
}

// tidy brings a module's go.sum up to date. Its go.mod must be tidy: a release requires what was
// tested, and nothing newer.
func (r *release) tidy(ctx context.Context, e *environment, m *module) error {
	file := filepath.Join(r.folder(m), "go.mod")
	before, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := e.run(ctx, r.folder(m), "mod", "tidy"); err != nil {
		return err
	}
	after, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if string(before) != string(after) {
		return fmt.Errorf("%s/go.mod is not tidy; run make tidy and commit what it changes", m.dir)
	}
	return nil
}
