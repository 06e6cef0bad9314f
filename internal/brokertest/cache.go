package brokertest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// fetchTimeout is how long one kind of broker may take to come over the network.
const fetchTimeout = 5 * time.Minute

// DirVariable names the environment variable with the folder in which fetched brokers are kept.
// Without it they are kept in the folder "leat" of the user's cache folder.
const DirVariable = "LEAT_BROKERS_DIR"

// cacheDir returns the folder for what was fetched, and makes it. Symbolic links are resolved: Java
// accepts its class archive only for the very same path.
func cacheDir() (string, error) {
	dir := os.Getenv(DirVariable)
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("%w; set %s to a folder for test brokers", err, DirVariable)
		}
		dir = filepath.Join(user, "leat")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}

// fill makes sure that a path in the cache exists. Where it does not, make writes a temporary path
// beside it that is then renamed, so that others see all of it or nothing. Of several processes one
// makes it while the others wait.
func fill(path string, create func(temporary string) error) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // frees the lock
	if err := lockFile(lock); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err // made while this process waited
	}
	temporary := path + ".new"
	if err := os.RemoveAll(temporary); err != nil { // left by a process that was killed
		return err
	}
	if err := create(temporary); err != nil {
		return errors.Join(err, os.RemoveAll(temporary))
	}
	return os.Rename(temporary, path)
}

// digest tells one way to make a thing from another, in the name of the thing.
func digest(texts ...string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(texts, "\x00"))))[:12]
}

// checkSum fails where a file that was fetched is not the one that tests were written for.
func checkSum(path, want string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("%w: %s has the SHA-256 %s instead of %s", ErrMissing, path, got, want)
	}
	return nil
}
