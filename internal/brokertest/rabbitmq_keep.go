package brokertest

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
)

// keptRabbitMQ is what the file rabbitmq.json in the folder of a RabbitMQ says, so that another
// program can go on with it.
type keptRabbitMQ struct {
	Options RabbitMQOptions
	Ports   rabbitPorts
}

const rabbitKeptFile = "rabbitmq.json"

// KeepRabbitMQ makes a RabbitMQ in a folder, which goes on when this program ends. It does not
// start it. Where the folder has a RabbitMQ already it is OpenRabbitMQ, and the options are left
// aside.
func KeepRabbitMQ(ctx context.Context, dir string, opts *RabbitMQOptions) (*RabbitMQNode, error) {
	n, err := OpenRabbitMQ(ctx, dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return n, err
	}
	kit, err := getRabbit(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if n, err = kit.furnish(ctx, dir, opts, nil); err != nil {
		return nil, err
	}
	return n, keep(dir, rabbitKeptFile, keptRabbitMQ{Options: n.opts, Ports: n.ports})
}

// OpenRabbitMQ returns the RabbitMQ that KeepRabbitMQ has made in a folder, whether it runs or not.
func OpenRabbitMQ(ctx context.Context, dir string) (*RabbitMQNode, error) {
	var kept keptRabbitMQ
	dir, err := openKept(dir, rabbitKeptFile, &kept)
	if err != nil {
		return nil, err
	}
	kit, err := getRabbit(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	n := &RabbitMQNode{kit: kit, opts: kept.Options, dir: dir, ports: kept.Ports}
	n.place()
	n.epmd.adopt(ctx)
	n.adopt(ctx)
	return n, nil
}
