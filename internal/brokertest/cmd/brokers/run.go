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

// run runs a command beside the brokers. Where they cannot be had, the command runs all the same and its tests skip, except in a CI, where
// nobody reads what was skipped.
func run(args []string) (code int, err error) {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.Bool("kafka", true, "start a Kafka, and name it in "+brokertest.KafkaVariable)
	if err := flags.Parse(args); err != nil {
		return 2, err
	}
	if flags.NArg() == 0 {
		return 2, fmt.Errorf("%w: no command to run", errUsage)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	if os.Getenv(brokertest.KafkaVariable) == "" {
		kafka, err := startKafka(signals)
		switch {
		case err == nil:
			defer func() { err = errors.Join(err, kafka.Close()) }()
			setenv(brokertest.KafkaVariable, strings.Join(kafka.Addrs(), ","))
		case errors.Is(err, brokertest.ErrMissing) && os.Getenv("CI") == "":
			notice("NOTICE: tests with Kafka are SKIPPED: " + err.Error())
			setenv(brokertest.KafkaVariable, brokertest.Off) // nobody has to find out again
		default:
			return 1, err
		}
	}
	return attend(exec.CommandContext(context.Background(), flags.Arg(0), flags.Args()[1:]...), signals)
}

func setenv(name, value string) {
	_ = os.Setenv(name, value) // fails only for names and values that cannot be
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
			status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if ok && status.Signaled() {
				return 128 + int(status.Signal()), nil
			}
			return cmd.ProcessState.ExitCode(), nil
		}
	}
}
