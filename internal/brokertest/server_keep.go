package brokertest

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
)

// keptServer is what a file such as elasticmq.json in the folder of a server says, so that another
// program can go on with it.
type keptServer[O any] struct {
	Options O
	Port    int
}

// keepServer makes a server in a folder, or opens the one that is there.
func keepServer[O any](
	ctx context.Context, dir, file string, opts *O, maker func(context.Context, *O) (serverMaker, error),
) (*server, error) {
	s, err := openServer(ctx, dir, file, maker)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	create, err := maker(ctx, opts)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if s, err = newServer(ctx, create, dir, nil); err != nil {
		return nil, err
	}
	kept := keptServer[O]{Port: s.port}
	if opts != nil {
		kept.Options = *opts
	}
	return s, keep(dir, file, kept)
}

func openServer[O any](ctx context.Context, dir, file string, maker func(context.Context, *O) (serverMaker, error)) (*server, error) {
	var kept keptServer[O]
	dir, err := openKept(dir, file, &kept)
	if err != nil {
		return nil, err
	}
	create, err := maker(ctx, &kept.Options)
	if err != nil {
		return nil, err
	}
	s, err := placeServer(create, dir, kept.Port, nil)
	if err != nil {
		return nil, err
	}
	s.adopt(ctx)
	return s, nil
}
