package brokertest

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// ErrMissing is wrapped by errors that say that a broker cannot be had on this machine as it is.
// Their text names the command that changes it.
var ErrMissing = errors.New("a test broker cannot be had")

// require ends a test whose broker could not be started: without a failure when the broker is
// missing on somebody's own machine, or when this package cannot run it on the machine's system, or
// a CI could not install it.
func require(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrMissing) && (os.Getenv("CI") == "" || errors.Is(err, errors.ErrUnsupported)):
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
	default:
		t.Fatal(err)
	}
}

// addrsFromEnv returns the addresses of a broker that a variable of the environment names, none
// when it names none.
func addrsFromEnv(variable string) ([]string, error) {
	value := os.Getenv(variable)
	if value == Off {
		return nil, fmt.Errorf("%w: %s=%s", ErrMissing, variable, Off)
	}
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' }), nil
}

// startable returns an error where brokers are not started: the user is to set a variable to the
// URL or address of one.
func startable(broker, variable, what string) error {
	if supported {
		return nil
	}
	return fmt.Errorf("%w: %w: %s is not started on %s; set %s to the %s of one",
		ErrMissing, errors.ErrUnsupported, broker, runtime.GOOS, variable, what)
}
