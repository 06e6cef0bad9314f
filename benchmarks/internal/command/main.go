package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/leatgo/leat/internal/brokertest"
)

// Main runs a program that measures on a real broker, until an interrupt, and ends it with status 1
// where measure fails. A broker that cannot be had on this machine is no failure, unless CI is set.
// The name is for messages.
func Main(name string, measure func(ctx context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := measure(ctx)
	stop()
	switch {
	case errors.Is(err, brokertest.ErrMissing) && os.Getenv("CI") == "":
		fmt.Fprintln(os.Stderr, name+": SKIPPED, NOT MEASURED:", err)
	case err != nil:
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}
