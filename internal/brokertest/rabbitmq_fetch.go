package brokertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// rabbitPackages are those that a node runs on. The others that Debian's package asks for are for
// its service and its tools.
var rabbitPackages = []string{
	"rabbitmq-server", "erlang-base", "erlang-asn1", "erlang-crypto", "erlang-eldap", "erlang-inets", "erlang-mnesia", "erlang-os-mon",
	"erlang-parsetools", "erlang-public-key", "erlang-runtime-tools", "erlang-ssl", "erlang-syntax-tools", "erlang-tools", "erlang-xmerl",
}

// findRabbit returns the folder beneath which Debian's packages are: the one of the machine when
// they are installed, else one in the cache, where they are only unpacked. Installing them would
// need root, would add a user and a service that listens on all interfaces, and would have to be
// kept from starting it. Unpacked, they run as any user, and removing the cache removes all of it.
// The only path that is written into them is Erlang's root, in a script.
func findRabbit(ctx context.Context, cache string, progress func(string)) (string, error) {
	suite := os.Getenv(RabbitMQSuiteVariable)
	if _, err := openRabbit("/"); err == nil && suite == "" {
		return "/", nil
	}
	release, _ := os.ReadFile("/etc/os-release") // another release has other packages; where there is none, all is one
	root := filepath.Join(cache, "rabbitmq-packages-"+digest(append([]string{suite, string(release)}, rabbitPackages...)...))
	err := fill(root, func(dir string) error {
		progress("fetching RabbitMQ into " + root)
		err := fetchRabbit(ctx, suite, dir)
		if err == nil && suite != "" {
			err = ownLibraries(dir, root)
		}
		if err == nil {
			err = writeErl(dir, root)
		}
		return err
	})
	return root, err
}

// fetchRabbit downloads the packages and unpacks them into a folder.
func fetchRabbit(ctx context.Context, suite, dir string) error {
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			err := fmt.Errorf("%w: RabbitMQ comes as packages of Debian or Ubuntu, and %s is not on the PATH; set %s to the URL of a RabbitMQ, "+
				"such as that of: docker compose up -d --wait rabbitmq", ErrMissing, tool, RabbitMQVariable)
			if runtime.GOOS != "linux" {
				err = fmt.Errorf("%w: %w", err, errors.ErrUnsupported)
			}
			return err
		}
	}
	debs := filepath.Join(dir, "debs")
	if err := os.MkdirAll(debs, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if err := download(ctx, suite, debs); err != nil {
		return fmt.Errorf("%w: apt-get could not download RabbitMQ; once it can, run: make brokers\n%w", ErrMissing, err)
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := command(ctx, debs, "dpkg-deb", "-x", file, dir); err != nil {
			return err
		}
	}
	return os.RemoveAll(debs)
}

// download puts the packages into a folder. The machine's lists of packages may be missing or too
// old; without root they stay as they are, and a private copy of them is fetched.
func download(ctx context.Context, suite, dir string) error {
	var (
		lists    = filepath.Join(dir, "apt")
		packages = rabbitPackages
		private  []string
		first    error
		err      error
	)
	if suite == "" {
		if first = aptGet(ctx, dir, append([]string{"download"}, packages...)); first == nil {
			return nil
		}
		private, err = privateLists(lists)
	} else {
		packages = append(slices.Clone(packages), rabbitLibraries...)
		private, err = suiteOptions(ctx, suite, lists)
	}
	if err != nil {
		return err
	}
	update := aptGet(ctx, dir, private, "update")
	if err := aptGet(ctx, dir, append(append(private, "download"), packages...)); err != nil {
		return errors.Join(first, update, err)
	}
	return nil
}

// privateLists returns the options by which apt-get keeps its lists of packages in a folder of dir,
// where it removes all else.
func privateLists(dir string) ([]string, error) {
	lists := filepath.Join(dir, "lists")
	return []string{"-o", "Dir::State::Lists=" + lists, "-o", "Dir::Cache=" + lists}, os.MkdirAll(filepath.Join(lists, "partial"), 0o755)
}

// aptGet runs apt-get in a folder, which the user that it would take for downloads may not write
// to.
func aptGet(ctx context.Context, dir string, options []string, more ...string) error {
	args := append([]string{"-q", "-o", "APT::Sandbox::User=root"}, options...)
	return command(ctx, dir, "apt-get", append(args, more...)...)
}

// command runs a program in a folder; its error has the end of what the program printed.
func command(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, lastLines(string(out), logLines))
	}
	return nil
}

// writeErl puts a script in place of the one that starts an Erlang VM in /usr/lib/erlang. RabbitMQ
// runs it to look for a port mapper.
func writeErl(dir, root string) error {
	k, err := openRabbit(dir)
	if err != nil {
		return err
	}
	erts, err := filepath.Rel(dir, k.erts)
	if err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\nexport ROOTDIR='%s' BINDIR='%s' EMU=beam PROGNAME=erl\nexec \"$BINDIR/erlexec\" \"$@\"\n",
		filepath.Join(root, "usr/lib/erlang"), filepath.Join(root, erts))
	file := filepath.Join(k.erlang, "bin", "erl")
	if err := os.Remove(file); err != nil { // it may be a link
		return err
	}
	return os.WriteFile(file, []byte(script), 0o755)
}
