package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/leatgo/leat/examples/webhooks/deliveries"
)

// delivery is one webhook as GitHub sent it: its event name stands in the X-GitHub-Event header,
// here in the folder's name.
type delivery struct {
	id      string // the path without its extension, such as "issues/opened"
	event   string
	payload []byte
}

// deliveryFiles returns the folder that -dir names, or the one in the program.
func deliveryFiles(dir string) (fs.FS, error) {
	if dir == "" {
		return deliveries.Files, nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("-dir: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("-dir: %s is not a folder", dir)
	}
	return os.DirFS(dir), nil
}

// loadDeliveries reads every <event>/<name>.json, in the order of their paths.
func loadDeliveries(files fs.FS) ([]delivery, error) {
	paths, err := fs.Glob(files, "*/*.json")
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, errors.New("no deliveries: no file of the form <event>/<name>.json")
	}
	loaded := make([]delivery, 0, len(paths))
	for _, p := range paths {
		payload, err := fs.ReadFile(files, p)
		if err != nil {
			return nil, err
		}
		loaded = append(loaded, delivery{id: strings.TrimSuffix(p, ".json"), event: path.Dir(p), payload: payload})
	}
	return loaded, nil
}
