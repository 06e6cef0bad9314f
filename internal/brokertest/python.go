package brokertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	pythonInstall = "apt-get install -y --no-install-recommends python3 python3-venv"
	pipTimeout    = 15 * time.Minute // 200 MB, of which a slow machine unpacks 5,000 files
)

// Python returns the path of a Python that has the packages in pins, a complete list as pip freeze
// writes it; what says what they are, such as "Confluent's client". They are installed once, into
// an environment in the cache. A test whose packages cannot be had is skipped, or fails where CI is
// set.
func Python(t testing.TB, what, name, pins string) string {
	t.Helper()
	if !supported {
		require(t, fmt.Errorf("%w: %w: %s is not installed here", ErrMissing, errors.ErrUnsupported, what))
	}
	python, err := pythonEnv(t.Context(), what, name, pins, "", func(text string) { t.Log(text) }, func(string, string) error { return nil })
	require(t, err)
	return python
}

// pythonEnv returns the path of the Python of an environment in the cache, which is made where it
// is not there. Finish changes a new one, in its folder, which is moved afterwards; how stands
// for what it does.
func pythonEnv(
	ctx context.Context, what, name, pins, how string, progress func(string), finish func(dir, python string) error,
) (string, error) {
	python, version, err := findPython(ctx, what)
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	// An environment works with the Python that has made it.
	home := filepath.Join(cache, name+"-"+digest(pins, how, version))
	err = fill(home, func(dir string) error {
		progress("installing " + what + " into " + home)
		ctx, cancel := context.WithTimeout(ctx, pipTimeout)
		defer cancel()
		own, err := installPins(ctx, what, python, dir, pins)
		if err != nil {
			return err
		}
		return finish(dir, own)
	})
	return filepath.Join(home, "bin", "python"), err
}

// installPins makes an environment in a folder, and returns the path of its Python.
func installPins(ctx context.Context, what, python, dir, pins string) (string, error) {
	if err := command(ctx, "/", python, "-m", "venv", dir); err != nil {
		return "", fmt.Errorf("%w: %w\nrun: %s", ErrMissing, err, pythonInstall)
	}
	list := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(list, []byte(pins), 0o600); err != nil {
		return "", err
	}
	own := filepath.Join(dir, "bin", "python")
	err := command(ctx, dir, own, "-m", "pip", "install", "-q", "--no-input", "--disable-pip-version-check", "--no-deps", "-r", list)
	if err != nil {
		return "", fmt.Errorf("%w: pip could not install %s; once it can, try again\n%w", ErrMissing, what, err)
	}
	return own, nil
}

// findPython returns the path and the version text of a Python that can make environments and run
// what is installed.
func findPython(ctx context.Context, what string) (path, version string, err error) {
	path, err = exec.LookPath("python3")
	if err != nil {
		return "", "", fmt.Errorf("%w: %s needs Python 3.11, and python3 is not on the PATH; run: %s", ErrMissing, what, pythonInstall)
	}
	// Debian has the modules in a package of their own.
	script := "import sys, venv, ensurepip; assert sys.version_info >= (3, 11), sys.version; print(sys.executable, sys.version)"
	out, err := exec.CommandContext(ctx, path, "-c", script).CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("%w: %s needs Python 3.11 with the modules venv and ensurepip: %w\n%srun: %s",
			ErrMissing, what, err, out, pythonInstall)
	}
	return path, strings.TrimSpace(string(out)), nil
}
