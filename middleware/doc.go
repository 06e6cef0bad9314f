// Package middleware is what goes around a handler: a log, a rate limit, retry, a circuit breaker,
// idempotency, a time limit, and the poison queue behind them.
//
//	consumer := leat.NewConsumer(broker, sub, handler, &leat.ConsumerOptions{
//		Middleware: []leat.Middleware{
//			middleware.Logging(logger),           // outermost: sees the outcome that counts
//			middleware.RateLimit(100, time.Second, nil),
//			middleware.Retry(nil),                // decides what becomes of an error
//			middleware.CircuitBreaker(nil),       // pauses while what the handler needs is down
//			middleware.Idempotent(store, nil),    // passes over what was handled before
//			middleware.Timeout(10 * time.Second), // innermost: a limit for the handler alone
//		},
//		PoisonQueue: middleware.PoisonQueue(producer, nil),
//	})
//
// The order matters, and it is the order above. Retry is inside Logging, so that the log tells a
// retry from giving up, and outside all that can fail. CircuitBreaker is inside of it, so that it
// sees the handler's own errors. Idempotent is directly outside Timeout: it
// marks an event only after the handler's success, and its store has time of its own. The poison
// queue is not a link of the chain but the Consumer's last stage, so that a rejected event is never
// handled again because the poison queue was down.
//
// The chain runs once per attempt. No middleware here sleeps, starts a goroutine or changes an
// event.
package middleware
