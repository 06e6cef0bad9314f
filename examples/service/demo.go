package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/leatgo/leat/poison"
)

// demo runs the whole shop in this process, places orders, and shows what became of them.
func (a *app) demo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := listener.Addr().String() // a port that nobody uses
	if err := listener.Close(); err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.serve(serving, address, "checkout", "billing", "shipping") }()
	err = a.placeOrders(ctx, address, 100)
	stop()
	return errors.Join(err, <-ended)
}

// placeOrders places orders, the first of which cannot be charged, and waits until the others are
// shipped.
func (a *app) placeOrders(ctx context.Context, address string, orders int) error {
	before, err := a.db.count(ctx, "shipments")
	if err != nil {
		return err
	}
	run := time.Now().UnixMilli() // the database may have the orders of an earlier run
	for i := range orders {
		body := fmt.Sprintf(`{"id": "%d-%d", "cents": %d}`, run, i, 100*i)
		if err := until(ctx, func() (bool, error) { return place(ctx, address, body), nil }); err != nil {
			return err
		}
	}
	fmt.Println(orders, "orders taken")
	shipped := 0
	if err := until(ctx, func() (bool, error) {
		n, err := a.db.count(ctx, "shipments")
		shipped = n - before
		return shipped == orders-1, err
	}); err != nil {
		return err
	}
	fmt.Println(shipped, "charged and shipped")
	fmt.Println("in the poison queue of billing:")
	return until(ctx, func() (bool, error) { // which gets what cannot be charged beside the others
		for _, err := range poison.Peek(ctx, a.broker, subscriptions["billing"], nil) {
			return err == nil, errors.Join(err, a.poison(ctx, "ls", "billing"))
		}
		return false, nil
	})
}

// place sends an order, and reports whether it was taken.
func place(ctx context.Context, address, body string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/orders", strings.NewReader(body))
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusAccepted
}

// until calls f until it reports true, fails, or ctx ends.
func until(ctx context.Context, f func() (bool, error)) error {
	for {
		if done, err := f(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
