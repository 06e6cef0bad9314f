// Command release prepares a release of all modules in a clone, and checks that programs elsewhere
// can import a release. make release and make release-check run it; docs/releasing.md is the
// maintainers' guide.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

const usage = `usage:
  release prepare -version V [-dir D]   make a release in a clone: go.mod files, one commit, tags
  release check [-version V -dir D]     import a release of HEAD, or the one in the clone D, as users do
`

// checkedVersion is the version of a release that is only checked.
const checkedVersion = "v0.1.0-check"

var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		if errors.Is(err, errUsage) {
			fmt.Fprint(os.Stderr, usage)
		}
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// command runs a subcommand on the repository of the current directory.
func command(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: no command", errUsage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	version := flags.String("version", "", "the version, such as v0.1.0-rc.1")
	dir := flags.String("dir", "", "the clone; prepare makes it, by default in the folder for temporary files")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: %s takes only flags", errUsage, args[0])
	}
	switch args[0] {
	case "prepare":
		return prepareCommand(ctx, *version, *dir, out)
	case "check":
		return checkCommand(ctx, *version, *dir, out)
	default:
		return fmt.Errorf("%w: there is no command %q", errUsage, args[0])
	}
}

func prepareCommand(ctx context.Context, version, dir string, out io.Writer) error {
	made := ""
	if dir == "" {
		var err error
		if made, err = os.MkdirTemp("", "leat-release-"); err != nil {
			return err
		}
		dir = made
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	r, err := prepare(ctx, ".", dir, version, false)
	if err != nil {
		return errors.Join(err, os.RemoveAll(made)) // of "" this does nothing
	}
	return announce(ctx, r, out)
}

// announce tells the maintainer what there is and what to do next.
func announce(ctx context.Context, r *release, out io.Writer) error {
	remote := "REMOTE"
	if url, err := r.clone.run(ctx, "remote", "get-url", "origin"); err == nil {
		remote = url
	}
	_, err := fmt.Fprintf(out, `Release %[1]s is ready in %[2]s. Nothing is published yet.

1. Check it:    make release-check VERSION=%[1]s DIR=%[2]s
2. Look at it:  git -C %[2]s show
3. Publish it:  git -C %[2]s push --atomic %[3]s %[4]s
`, r.version, r.clone.dir, remote, strings.Join(r.tags(), " "))
	return err
}

func checkCommand(ctx context.Context, version, dir string, out io.Writer) error {
	if (version == "") != (dir == "") {
		return fmt.Errorf("%w: check needs both -version and -dir, or neither", errUsage)
	}
	scratch, err := os.MkdirTemp("", "leat-release-check-")
	if err != nil {
		return err
	}
	var r *release
	if dir == "" {
		r, err = prepare(ctx, ".", filepath.Join(scratch, "clone"), checkedVersion, true)
	} else {
		r, err = open(ctx, dir, version)
	}
	if err == nil {
		err = check(ctx, r, scratch, out)
	}
	return errors.Join(err, os.RemoveAll(scratch))
}
