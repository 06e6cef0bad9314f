// Brokers fetches and runs real brokers for tests, from a shell:
//
//	brokers get                               fetch and prepare, and nothing more
//	brokers run [-kafka] [-rabbitmq] [-nats] [-localstack] [-elasticmq] [-pubsub] -- command args…
//	                                          run a command that finds the brokers in its environment
//	brokers start -dir D [-broker kafka|rabbitmq|nats|localstack|elasticmq|pubsub] [-nodes N] [-property name=value]…
//	                                          start a broker that goes on, and print the variable that names it
//	brokers stop -dir D [-node N]             end it, or one of its nodes, in order; start goes on with its data
//	brokers kill -dir D [-node N]             end it at once
//	brokers restart -dir D [-node N]          stop it and start it
//	brokers pause -dir D [-node N]            freeze it
//	brokers resume -dir D [-node N]           let it go on
//
// Run starts each broker that a flag names, without a flag all, unless its variable is set. Its
// exit code is that of the command.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage:
  brokers get
  brokers run [-kafka] [-rabbitmq] [-nats] [-localstack] [-elasticmq] [-pubsub] -- command args...
  brokers start -dir D [-broker kafka|rabbitmq|nats|localstack|elasticmq|pubsub] [-nodes N] [-property name=value]...
  brokers stop|kill|restart|pause|resume -dir D [-node N]
`

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
		err = get(ctx)
	case "start":
		err = start(ctx, args[1:])
	case "stop", "kill", "restart", "pause", "resume":
		err = injure(ctx, args[0], args[1:])
	default:
		err = fmt.Errorf("%w: no command %q", errUsage, args[0])
	}
	switch {
	case err == nil:
		return 0, nil
	case errors.Is(err, errUsage):
		return 2, err
	default:
		return 1, err
	}
}

// notice goes to standard error, so that standard output has only what the command prints.
func notice(text string) {
	fmt.Fprintln(os.Stderr, "# brokers:", text)
}
