package brokertest

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// RabbitMQSuiteVariable names the environment variable with a release of Debian whose RabbitMQ is
// run instead of this machine's: "trixie" has RabbitMQ 4.0. It needs an apt that knows Debian's
// keys, and no more rights than the other.
const RabbitMQSuiteVariable = "LEAT_RABBITMQ_SUITE"

const debianKeys = "/usr/share/keyrings/debian-archive-keyring.gpg"

// rabbitLibraries are those of the system that Erlang's programs need: the ones of another release
// may be newer than this machine's.
var rabbitLibraries = []string{"libc6", "libgcc-s1", "libstdc++6", "libtinfo6", "zlib1g", "libssl3t64", "libzstd1"}

// suiteOptions returns the options by which apt-get knows another release of Debian and nothing
// else, by lists of packages that it fetches into a folder. The mirror is the one that this machine
// uses.
func suiteOptions(ctx context.Context, suite, dir string) ([]string, error) {
	if _, err := os.Stat(debianKeys); err != nil {
		return nil, fmt.Errorf("%w: %s=%s: %w; run: apt-get install -y debian-archive-keyring", ErrMissing, RabbitMQSuiteVariable, suite, err)
	}
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(ORIGIN) $(COMPONENT) $(REPO_URI)",
		"Created-By: Packages").Output()
	if err != nil {
		return nil, fmt.Errorf("apt-get indextargets: %w", err)
	}
	mirror := ""
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == "Debian" && f[1] == "main" && !strings.Contains(f[2], "security") {
			mirror = f[2]
			break
		}
	}
	if mirror == "" {
		return nil, fmt.Errorf("%w: %s=%s: apt knows no mirror of Debian; on Debian run: apt-get update",
			ErrMissing, RabbitMQSuiteVariable, suite)
	}
	options, err := privateLists(dir)
	if err != nil {
		return nil, err
	}
	source := filepath.Join(dir, "sources.list")
	line := fmt.Sprintf("deb [signed-by=%s] %s %s main\n", debianKeys, mirror, suite)
	status := filepath.Join(dir, "status") // of packages that are installed: none
	err = errors.Join(os.WriteFile(source, []byte(line), 0o600), os.WriteFile(status, nil, 0o600))
	options = append(options, "-o", "Dir::Etc::SourceList="+source, "-o", "Dir::Etc::SourceParts=/dev/null")
	return append(options, "-o", "Dir::State::Status="+status), err
}

// ownLibraries lets Erlang's programs beneath a folder use the libraries beside them, by a script
// in the place of each: their loader is called by its path. The folder is a temporary one, and root
// the path that it will have.
func ownLibraries(dir, root string) error {
	loaders, err := filepath.Glob(filepath.Join(dir, "usr/lib/*-linux-*/ld-linux*.so.*"))
	if err != nil || len(loaders) == 0 {
		return errors.Join(errors.New("the packages have no loader for programs"), err)
	}
	loader := strings.Replace(loaders[0], dir, root, 1)
	return filepath.WalkDir(filepath.Join(dir, "usr/lib/erlang"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || !isProgram(path) {
			return err
		}
		moved := path + ".real"
		if err := os.Rename(path, moved); err != nil {
			return err
		}
		script := fmt.Sprintf("#!/bin/sh\nexec '%s' --library-path '%s' --argv0 \"$0\" '%s' \"$@\"\n",
			loader, filepath.Dir(loader), strings.Replace(moved, dir, root, 1))
		return os.WriteFile(path, []byte(script), 0o755)
	})
}

// isProgram says whether a file is a program for a loader, and no library.
func isProgram(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}
