// Brokers fetches and runs real brokers for tests, from a shell:
//
//	brokers get                              fetch and prepare, and nothing more
//	brokers run [-kafka] -- command args…    run a command that finds the brokers in its environment
//
// Run without a flag starts every broker it knows. The exit code is that of the command.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/leatgo/leat/internal/brokertest"
)

const usage = `usage:
  brokers get
  brokers run [-kafka] -- command args...
`

// A usageError is a mistake in the command line.
var errUsage = errors.New("wrong usage")

func main() {
	code, err := command(os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "brokers:", err)
	}
	if errors.Is(err, errUsage) {
		fmt.Fprint(os.Stderr, usage)
	}
	os.Exit(code)
}

// command runs a subcommand and returns the exit code.
func command(args []string) (int, error) {
	if len(args) == 0 {
		return 2, errUsage
	}
	if args[0] == "run" {
		return run(args[1:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch args[0] {
	case "get":
		err = brokertest.GetKafka(ctx, notice)
	default:
		return 2, fmt.Errorf("%w: no command %q", errUsage, args[0])
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// notice goes to standard error, so that standard output has only what the command prints.
func notice(text string) {
	fmt.Fprintln(os.Stderr, "# brokers:", text)
}
