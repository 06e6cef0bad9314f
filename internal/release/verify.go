package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// verify returns an error that names each thing that keeps users from importing the release, as far
// as the clone shows it.
func (r *release) verify(ctx context.Context) error {
	changes, err := r.clone.run(ctx, "status", "--porcelain")
	if err != nil {
		return err
	}
	head, err := r.clone.run(ctx, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	var wrong []error
	if changes != "" {
		wrong = append(wrong, fmt.Errorf("the release has changes that are not committed:\n%s", changes))
	}
	for i := range r.modules {
		m := &r.modules[i]
		wrong = append(wrong, r.verifyModule(m))
		tag := m.tag(r.version)
		commit, err := r.clone.run(ctx, "rev-parse", "--verify", "--quiet", "refs/tags/"+tag+"^{commit}")
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("there is no tag %s", tag))
		case commit != head:
			wrong = append(wrong, fmt.Errorf("the tag %s is not on the commit of the release", tag))
		}
	}
	return errors.Join(wrong...)
}

// verifyModule checks the go.mod file of a released module.
func (r *release) verifyModule(m *module) error {
	var wrong []error
	for _, old := range m.replaces {
		wrong = append(wrong, fmt.Errorf("%s/go.mod replaces %s, which holds for nobody who imports it", m.dir, old))
	}
	for _, path := range slices.Sorted(maps.Keys(m.requires)) {
		sibling := slices.ContainsFunc(r.workspace, func(other module) bool { return other.path == path })
		if version := m.requires[path]; sibling && version != r.version {
			wrong = append(wrong, fmt.Errorf("%s/go.mod requires %s %s, not %s", m.dir, path, version, r.version))
		}
	}
	if oldest := r.workspace[0].goes; m.goes != oldest {
		wrong = append(wrong, fmt.Errorf("%s/go.mod needs Go %s, the root module Go %s", m.dir, m.goes, oldest))
	}
	return errors.Join(wrong...)
}
