package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/leatgo/leat/internal/brokertest"
)

const logLines = 40

// run runs a command beside the brokers and returns its exit code.
func run(args []string) (int, error) {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	kafka := flags.Bool("kafka", false, "start a Kafka, and name it in "+brokertest.KafkaVariable)
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
	stop := func() error { return nil }
	if (*kafka || flags.NFlag() == 0) && os.Getenv(brokertest.KafkaVariable) == "" {
		addrs, end, err := shareKafka(signals)
		if err != nil {
			return 1, err
		}
		cmd.Env = append(cmd.Env, brokertest.KafkaVariable+"="+addrs)
		stop = end
	}
	code, err := attend(cmd, signals)
	if err := errors.Join(err, stop()); err != nil {
		return max(code, 1), err
	}
	return code, nil
}

// shareKafka starts a Kafka and returns the value of its variable, and what ends it. Where it cannot be had, the tests are told to skip,
// except in a CI, where nobody reads what was skipped.
func shareKafka(signals <-chan os.Signal) (value string, stop func() error, err error) {
	kafka, err := startKafka(signals)
	switch {
	case err == nil:
	case errors.Is(err, brokertest.ErrMissing) && os.Getenv("CI") == "":
		notice("NOTICE: tests with Kafka are SKIPPED: " + err.Error())
		return brokertest.Off, func() error { return nil }, nil
	default:
		return "", nil, err
	}
	return strings.Join(kafka.Addrs(), ","), func() error {
		if node := kafka.Node(1); !node.Running() {
			notice("Kafka ended before the command did; the end of its log:\n" + node.Log(logLines))
		}
		return kafka.Close()
	}, nil
}

// startKafka starts a Kafka unless a signal comes first.
func startKafka(signals <-chan os.Signal) (*brokertest.KafkaCluster, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := brokertest.GetKafka(ctx, notice); err != nil {
		return nil, err
	}
	return brokertest.RunKafka(ctx, nil)
}

// attend runs a command with the streams of this program, passes signals on to it, and returns its exit code as a shell would.
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
