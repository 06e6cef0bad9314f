package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// module is a module of the workspace.
type module struct {
	dir  string // below the root, with slashes; "." is the root
	path string
	goes string // the go directive

	requires map[string]string // the version of each required module
	replaces []string          // "path" or "path@version" of each replace directive
}

// released says whether users import the module, so that it gets a tag.
func (m *module) released() bool {
	for element := range strings.SplitSeq(m.dir, "/") {
		if slices.Contains([]string{"internal", "benchmarks", "examples"}, element) {
			return false
		}
	}
	return true
}

// tag returns the name of the module's tag, by the go command's rule for modules in a folder of a
// repository.
func (m *module) tag(version string) string { return path.Join(m.dir, version) }

// readWorkspace reads go.work and the go.mod files that it names. The root module is the first.
func readWorkspace(ctx context.Context, dir string) ([]module, error) {
	var work struct{ Use []struct{ DiskPath string } }
	if err := goJSON(ctx, dir, &work, "work", "edit", "-json", filepath.Join(dir, "go.work")); err != nil {
		return nil, err
	}
	var modules []module
	for _, use := range work.Use {
		m, err := readModule(ctx, dir, path.Clean(filepath.ToSlash(use.DiskPath)))
		if err != nil {
			return nil, err
		}
		modules = append(modules, m)
	}
	i := slices.IndexFunc(modules, func(m module) bool { return m.dir == "." })
	if i < 0 {
		return nil, errors.New("go.work does not use the root module")
	}
	modules[0], modules[i] = modules[i], modules[0]
	return modules, nil
}

// readModule reads the go.mod file of a folder of the workspace.
func readModule(ctx context.Context, root, dir string) (module, error) {
	var file struct {
		Module  struct{ Path string }
		Go      string
		Require []struct{ Path, Version string }
		Replace []struct {
			Old struct{ Path, Version string }
		}
	}
	if err := goJSON(ctx, root, &file, "mod", "edit", "-json", filepath.Join(root, filepath.FromSlash(dir), "go.mod")); err != nil {
		return module{}, err
	}
	m := module{dir: dir, path: file.Module.Path, goes: file.Go, requires: map[string]string{}}
	for _, r := range file.Require {
		m.requires[r.Path] = r.Version
	}
	for _, r := range file.Replace {
		old := r.Old.Path
		if r.Old.Version != "" {
			old += "@" + r.Old.Version
		}
		m.replaces = append(m.replaces, old)
	}
	return m, nil
}

// goJSON decodes what a go command prints.
func goJSON(ctx context.Context, dir string, v any, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	text, err := output(cmd)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), v)
}

// inOrder returns the released modules, each after those of them that it requires.
func inOrder(modules []module) ([]module, error) {
	byPath := map[string]*module{}
	for i := range modules {
		byPath[modules[i].path] = &modules[i]
	}
	var ordered []module
	const begun, done = 1, 2
	state := map[string]int{}
	var add func(m *module) error
	add = func(m *module) error {
		switch state[m.path] {
		case begun:
			return fmt.Errorf("%s requires itself through other modules", m.path)
		case done:
			return nil
		}
		state[m.path] = begun
		for _, sibling := range m.siblings(modules) {
			required := byPath[sibling]
			if !required.released() {
				return fmt.Errorf("%s, which is released, requires %s, which is not", m.path, sibling)
			}
			if err := add(required); err != nil {
				return err
			}
		}
		state[m.path] = done
		ordered = append(ordered, *m)
		return nil
	}
	for i := range modules {
		if !modules[i].released() {
			continue
		}
		if err := add(&modules[i]); err != nil {
			return nil, err
		}
	}
	return ordered, nil
}

// siblings returns the paths of the workspace's modules that m requires, in the workspace's order.
func (m *module) siblings(workspace []module) []string {
	var paths []string
	for i := range workspace {
		if _, ok := m.requires[workspace[i].path]; ok {
			paths = append(paths, workspace[i].path)
		}
	}
	return paths
}
