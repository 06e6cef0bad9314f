package brokertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below the ranges that systems give to outgoing connections (Linux from
// 32768, macOS from 49152). From within, a client that reconnects to a broker that is down may be
// given the broker's port as its own, and then talks to itself.
const (
	firstPort = 17000
	lastPort  = 31999
)

const loopback = "127.0.0.1"

// freePorts returns different ports of 127.0.0.1 on which nobody listens now.
func freePorts(ctx context.Context, n int) ([]int, error) {
	var (
		ports []int
		open  []net.Listener // held until the last is found, so that none comes twice
	)
	defer func() {
		for _, l := range open {
			_ = l.Close()
		}
	}()
	for range 1000 {
		if len(ports) == n {
			return ports, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if l, err := new(net.ListenConfig).Listen(ctx, "tcp", address(port)); err == nil {
			open, ports = append(open, l), append(ports, port)
		}
	}
	if len(ports) == n {
		return ports, nil
	}
	return nil, errors.Join(fmt.Errorf("no free port between %d and %d", firstPort, lastPort), ctx.Err())
}

func address(port int) string {
	return net.JoinHostPort(loopback, strconv.Itoa(port))
}
