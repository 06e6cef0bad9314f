package brokertest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// keep writes what another program needs to know of the broker in a folder.
func keep(dir, file string, kept any) error {
	text, err := json.MarshalIndent(kept, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, file), text, 0o600)
}

// openKept reads what keep has written, and returns the folder's absolute path. Where there is
// nothing, the error wraps fs.ErrNotExist.
func openKept(dir, file string, kept any) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, file)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("no such broker was started in %s: %w", dir, err)
	}
	if err := json.Unmarshal(text, kept); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return dir, nil
}
