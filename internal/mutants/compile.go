package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// checker compiles the package of an adapter as far as errors are concerned, which is much quicker
// than the go command.
type checker struct {
	dir     string
	path    string
	files   []string
	exports map[string]string // of the packages that it imports: where the compiler has written what they export
	fset    *token.FileSet
	imports types.Importer
}

// newChecker asks the go command what the package in dir is made of.
func newChecker(ctx context.Context, dir string) (*checker, error) {
	c := &checker{dir: dir, exports: map[string]string{}, fset: token.NewFileSet()}
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-export", "-json=ImportPath,Export,GoFiles", ".")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w\n%s", dir, err, stderr.String())
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string   `json:"ImportPath"`
			Export     string   `json:"Export"`
			GoFiles    []string `json:"GoFiles"`
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		c.exports[p.ImportPath] = p.Export
		c.path, c.files = p.ImportPath, p.GoFiles // the package itself is the last
	}
	c.imports = importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) {
		file := c.exports[path]
		if file == "" {
			return nil, fmt.Errorf("the package %s is not imported by %s", path, c.path)
		}
		return os.Open(file) //nolint:gosec // a file that the go command has named
	})
	return c, nil
}

// read reads a file of the package.
func (c *checker) read(file string) ([]byte, error) {
	return os.ReadFile(filepath.Join(c.dir, filepath.FromSlash(file)))
}

// check type-checks the package with some of its files changed.
func (c *checker) check(changed map[string][]byte) error {
	files := make([]*ast.File, 0, len(c.files))
	for _, name := range c.files {
		text, ok := changed[name]
		if !ok {
			var err error
			if text, err = c.read(name); err != nil {
				return err
			}
		}
		file, err := parser.ParseFile(c.fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, file)
	}
	var found []string
	config := types.Config{Importer: c.imports, Error: func(err error) { found = append(found, err.Error()) }}
	if _, err := config.Check(c.path, c.fset, files, nil); err != nil {
		return errors.New(strings.Join(found, "\n"))
	}
	return nil
}
