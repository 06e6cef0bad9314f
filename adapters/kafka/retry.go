package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kerr"
)

// retry calls f until it succeeds, fails for good, or ctx ends. A cluster that has just started, or
// whose leaders move, answers with errors that pass. Of a try that the end of ctx has ended, the
// error of the try before says more.
func retry[T any](ctx context.Context, f func() (T, error)) (T, error) {
	var before error
	for tries := 1; ; tries++ {
		answer, err := within(ctx, f)
		if cut := before != nil && ctx.Err() != nil; err != nil && cut && (passes(err) || codeOf(err) == leat.CodeCanceled) {
			err = before
		}
		if err == nil || !passes(err) {
			return answer, err
		}
		before = err
		select {
		case <-time.After(backoff(tries)):
		case <-ctx.Done():
			if !errors.Is(err, context.Cause(ctx)) {
				err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
			}
			return answer, err
		}
	}
}

// passes reports whether an error may be gone a moment later: a broker that says so, and a
// connection that cannot be made or broke.
func passes(err error) bool {
	if _, ok := errors.AsType[*kerr.Error](err); ok {
		return kerr.IsRetriable(err)
	}
	return codeOf(err) == leat.CodeUnavailable && !isRefusedLogin(err)
}

var errSilent = errors.New("the cluster has not answered; check that host and port are those of a Kafka broker")

// saying is how long f may take, after ctx has ended, to say what it waited for.
const saying = 50 * time.Millisecond

// within returns what f returns, or soon after ctx has ended without it. f ends by itself then, and
// at the client's end. franz-go (1.22.2) does not look at a request's context while it makes the
// connection for it: with a host that takes connections and says nothing, a Declare or Subscribe
// took 10 s instead of its RequestTimeout (TestWrongAddress).
func within[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type outcome struct {
		answer T
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		answer, err := f()
		done <- outcome{answer, err}
	}()
	select {
	case o := <-done:
		return o.answer, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-done:
		return o.answer, o.err
	case <-time.After(saying):
		var none T
		return none, fmt.Errorf("%w: %w", context.Cause(ctx), errSilent)
	}
}
