package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// output runs a command and returns what it prints, without the space around it. The error has what
// the command said of it.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s, in %s: %w\n%s%s", strings.Join(cmd.Args, " "), cmd.Dir, err, stdout.String(), stderr.String())
	}
	return strings.TrimSpace(stdout.String()), nil
}

// repository is the work tree of a git repository.
type repository struct {
	dir string
	// trial commits and tags with a name of this program's and without a signature. Otherwise the
	// user's settings say who commits.
	trial bool
}

// run runs git in the repository.
func (r repository) run(ctx context.Context, args ...string) (string, error) {
	if r.trial {
		args = append([]string{"-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false"}, args...)
	}
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.dir
	if r.trial {
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=release", "GIT_AUTHOR_EMAIL=release@localhost",
			"GIT_COMMITTER_NAME=release", "GIT_COMMITTER_EMAIL=release@localhost")
	}
	return output(cmd)
}

// environment is where go commands get modules from, and keep them. It has no workspace and takes
// no setting of the user's but the build cache.
type environment struct {
	cache string   // the module cache
	proxy string   // GOPROXY
	more  []string // further variables
}

// run runs the go command in a directory.
func (e *environment) run(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOENV=off", "GOWORK=off", "GOTOOLCHAIN=local", "GOMODCACHE="+e.cache, "GOPROXY="+e.proxy,
		// So that the cache can be removed.
		"GOFLAGS=-modcacherw",
		// No database has an unpublished version. Sums are compared with those in our go.sum files.
		"GOSUMDB=off",
		// Where a pattern is set, "go get" also asks without a proxy, and takes the root module
		// from its cache for a nested one.
		"GOPRIVATE=", "GONOPROXY=", "GONOSUMDB=")
	cmd.Env = append(cmd.Env, e.more...)
	return output(cmd)
}
