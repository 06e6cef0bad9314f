package brokertest

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
)

// keptNATS is what the file nats.json in the folder of a NATS says, so that another program can go
// on with it.
type keptNATS struct {
	Options NATSOptions
	Ports   []natsPorts // of each node
}

const natsKeptFile = "nats.json"

// KeepNATS makes a NATS in a folder, which goes on when this program ends. It does not start it.
// Where the folder has a NATS already it is OpenNATS, and the options are left aside.
func KeepNATS(ctx context.Context, dir string, opts *NATSOptions) (*NATSCluster, error) {
	c, err := OpenNATS(ctx, dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	program, err := getNATS(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	c = &NATSCluster{}
	if opts != nil {
		c.opts = *opts
	}
	if err := c.furnish(ctx, program, dir); err != nil {
		return nil, err
	}
	return c, keep(dir, natsKeptFile, keptNATS{Options: c.opts, Ports: c.ports})
}

// OpenNATS returns the NATS that KeepNATS has made in a folder, whether its nodes run or not.
func OpenNATS(ctx context.Context, dir string) (*NATSCluster, error) {
	var kept keptNATS
	dir, err := openKept(dir, natsKeptFile, &kept)
	if err != nil {
		return nil, err
	}
	program, err := getNATS(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	c := &NATSCluster{opts: kept.Options, ports: kept.Ports}
	c.place(program, dir)
	for _, p := range c.processes {
		p.adopt(ctx)
	}
	return c, nil
}
