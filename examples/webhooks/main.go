// Webhooks takes real GitHub webhook deliveries through Leat: it publishes each as a CloudEvent,
// lets several services handle them in their own groups, reads the poison queues, and accounts for
// every event. README.md shows what to expect.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses.
const (
	exitOK          = 0
	exitUnaccounted = 1 // an event is unaccounted for, or the run failed
	exitUsage       = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program without its process: it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fail := func(err error) { _, _ = fmt.Fprintln(stderr, "webhooks:", err) }
	cfg, err := parseConfig(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		fail(err)
		return exitUsage
	}
	out := &printer{w: stdout}
	switch cfg.part {
	case partAll:
		err = runAll(ctx, cfg, out, stderr)
	case partCheck:
		err = runCheck(cfg, out)
	default:
		err = runPart(ctx, cfg, out, stderr)
	}
	if err == nil {
		err = out.Err()
	}
	if err != nil {
		fail(err)
		return exitUnaccounted
	}
	return exitOK
}
