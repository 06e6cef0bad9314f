package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// run runs a command beside the brokers and returns its exit code.
func run(args []string) (int, error) {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	wanted := map[string]*bool{}
	for _, k := range kinds() {
		wanted[k.flag] = flags.Bool(k.flag, false, "start a "+k.name+", and name it in "+k.variable)
	}
	if err := flags.Parse(args); err != nil {
		return 2, err
	}
	if flags.NArg() == 0 {
		return 2, fmt.Errorf("%w: no command to run", errUsage)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	cmd := exec.CommandContext(context.Background(), flags.Arg(0), flags.Args()[1:]...)
	cmd.Env = os.Environ()
	var stops []func() error
	stop := func() error {
		var errs []error
		for _, s := range stops {
			errs = append(errs, s())
		}
		return errors.Join(errs...)
	}
	for _, k := range kinds() {
		if !*wanted[k.flag] && flags.NFlag() > 0 || os.Getenv(k.variable) != "" {
			continue
		}
		value, end, err := k.share(signals)
		if err != nil {
			return 1, errors.Join(err, stop())
		}
		cmd.Env = append(cmd.Env, k.variable+"="+value)
		stops = append(stops, end)
	}
	code, err := attend(cmd, signals)
	if err := errors.Join(err, stop()); err != nil {
		return max(code, 1), err
	}
	return code, nil
}

// attend runs a command with the streams of this program, passes signals on to it, and returns its
// exit code as a shell would.
func attend(cmd *exec.Cmd, signals <-chan os.Signal) (int, error) {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 127, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s) // fails only when it has just ended
		case err := <-ended:
			var failed *exec.ExitError
			if err != nil && !errors.As(err, &failed) {
				return 1, err
			}
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
				return 128 + int(status.Signal()), nil
			}
			return cmd.ProcessState.ExitCode(), nil
		}
	}
}
