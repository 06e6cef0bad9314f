package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/poison"
	"github.com/leatgo/leat/schema"
	"golang.org/x/sync/errgroup"
)

// story lets the services do something, and prints what became of it.
type story struct {
	out     io.Writer
	broker  leat.Broker
	schemas *schemas
	sub     leat.Subscription // of billing
	orders  [3]orders         // each release, once it runs
	charged chan charge
}

func (s *story) printf(format string, values ...any) {
	_, _ = fmt.Fprintf(s.out, format+"\n", values...)
}

func (s *story) tell(ctx context.Context) error {
	if err := s.tryToBreak(); err != nil {
		return err
	}
	s.printf("\n2. Release 1 of both services.")
	if err := s.release(ctx, 1); err != nil {
		return err
	}
	if err := s.billing(ctx, 1, s.handleRelease1, s.updateOrders); err != nil {
		return err
	}
	return s.billing(ctx, 2, s.handleBothReleases, s.publishByMistake, s.publishUnchecked)
}

// tryToBreak runs the test of the schemas on a change that breaks billing.
func (s *story) tryToBreak() error {
	s.printf("1. A version that breaks billing: cents are gone, and a price is required. The test of the schemas fails,")
	s.printf("   because schema.FromFS reports a conflict:")
	_, err := fromFiles(breaking, "testdata/breaking")
	incompatible, ok := errors.AsType[*schema.IncompatibleError](err)
	if !ok {
		return fmt.Errorf("the change is not refused as incompatible: %w", err)
	}
	for _, b := range incompatible.Breaks {
		s.printf("   %v", b)
	}
	return nil
}

// release registers the version of a release, where there is a registry, and starts orders.
func (s *story) release(ctx context.Context, release int) error {
	if s.schemas.registry != nil {
		s.printf("   the build registers version %d", release)
		if err := s.schemas.push(ctx, release); err != nil {
			return err
		}
	}
	enforcer, err := s.schemas.enforcer(ctx, release)
	if err != nil {
		return err
	}
	s.orders[release] = newOrders(s.broker, s.sub.Topic, release, enforcer)
	return nil
}

func (s *story) handleRelease1(ctx context.Context) error { return s.place(ctx, 1, "A-1") }

func (s *story) updateOrders(ctx context.Context) error {
	s.printf("\n3. Version 2 has an email that may be missing. Orders is updated first.")
	s.printf("   schema.FromFS has loaded versions 1 and 2, so the test of the schemas passes")
	if err := s.release(ctx, 2); err != nil {
		return err
	}
	if err := s.place(ctx, 2, "A-2"); err != nil {
		return err
	}
	if s.schemas.registry == nil {
		s.printf("   billing 1 handled A-2 unchecked, because its files end with version 1; with -registry it finds version 2")
	} else {
		s.printf("   billing 1 got version 2 from the registry, and checked the order")
	}
	return nil
}

func (s *story) handleBothReleases(ctx context.Context) error {
	s.printf("\n4. Billing is updated. It handles the orders of both releases.")
	if err := s.place(ctx, 1, "A-3"); err != nil {
		return err
	}
	return s.place(ctx, 2, "A-4")
}

func (s *story) publishByMistake(ctx context.Context) error {
	s.printf("\n5. Orders publishes an order of 0 cents by mistake. Its Enforcer refuses that:")
	err := s.orders[2](ctx, Order{ID: "A-5"})
	if leat.CodeOf(err) != leat.CodeInvalid {
		return fmt.Errorf("the order is not refused as invalid: %w", err)
	}
	s.printf("   %v", err)
	return nil
}

// publishUnchecked publishes an order without an Enforcer.
func (s *story) publishUnchecked(ctx context.Context) error {
	s.printf("\n6. A script that has no Enforcer publishes a price of \"12.50\". The poison queue of billing has it:")
	id := fmt.Sprint("script-", time.Now().UnixNano()) // the poison queue may have that of an earlier run
	e, err := leat.NewEvent(placedType, &leat.EventOptions{
		Source: "/script", ID: id, DataContentType: "application/json", Data: []byte(`{"id": "A-6", "cents": "12.50"}`),
	})
	if err != nil {
		return err
	}
	if err := leat.NewProducer(s.broker, nil).Publish(ctx, s.sub.Topic, e); err != nil {
		return err
	}
	reason, err := s.poisoned(ctx, id)
	if err != nil {
		return err
	}
	s.printf("   %v", reason)
	return s.place(ctx, 2, "A-7")
}

// billing runs a release of the consumer while something happens.
func (s *story) billing(ctx context.Context, release int, happens ...func(ctx context.Context) error) error {
	enforcer, err := s.schemas.enforcer(ctx, release)
	if err != nil {
		return err
	}
	consumer := newBilling(s.broker, s.sub, release, enforcer, s.charged)
	running, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(running)
	group.Go(func() error { return leat.Run(ctx, consumer) })
	group.Go(func() error {
		defer stop() // which lets the consumer end
		for _, f := range happens {
			if err := f(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// place publishes an order with a release of orders, and waits until it is charged.
func (s *story) place(ctx context.Context, release int, id string) error {
	if err := s.orders[release](ctx, Order{ID: id, Cents: 1250, Email: "ann@example.com"}); err != nil {
		return err
	}
	for {
		select {
		case c := <-s.charged:
			if c.order == id { // else an earlier one has come again
				s.printf("   orders %d publishes %s, billing charges %s", release, id, c.text)
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("%s is not charged: %w", id, context.Cause(ctx))
		}
	}
}

// poisoned waits until the poison queue of billing has an event, and returns why it is there.
func (s *story) poisoned(ctx context.Context, id string) (reason error, err error) {
	for {
		for entry, err := range poison.Peek(ctx, s.broker, s.sub, nil) {
			switch {
			case leat.CodeOf(err) == leat.CodeNotFound: // no event is poisoned yet
			case err != nil:
				return nil, err
			case entry.Event.ID() == id:
				return entry.Reason, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("the order of the script is not in the poison queue")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
