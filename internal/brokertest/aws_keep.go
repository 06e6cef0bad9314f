package brokertest

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
)

// keptAWS is what the file localstack.json or elasticmq.json in the folder of a server says, so
// that another program can go on with it.
type keptAWS[O any] struct {
	Options O
	Port    int
}

const (
	localStackKeptFile = "localstack.json"
	elasticMQKeptFile  = "elasticmq.json"
)

// KeepLocalStack makes a LocalStack in a folder, which goes on when this program ends. It does not
// start it. Where the folder has a LocalStack already it is OpenLocalStack, and the options are
// left aside.
func KeepLocalStack(ctx context.Context, dir string, opts *LocalStackOptions) (*AWSServer, error) {
	return keepAWS(ctx, dir, localStackKeptFile, opts, localStackMaker)
}

// OpenLocalStack returns the LocalStack that KeepLocalStack has made in a folder, whether it runs
// or not.
func OpenLocalStack(ctx context.Context, dir string) (*AWSServer, error) {
	return openAWS(ctx, dir, localStackKeptFile, localStackMaker)
}

// KeepElasticMQ is [KeepLocalStack] for an ElasticMQ.
func KeepElasticMQ(ctx context.Context, dir string, opts *ElasticMQOptions) (*AWSServer, error) {
	return keepAWS(ctx, dir, elasticMQKeptFile, opts, elasticMQMaker)
}

// OpenElasticMQ is [OpenLocalStack] for an ElasticMQ.
func OpenElasticMQ(ctx context.Context, dir string) (*AWSServer, error) {
	return openAWS(ctx, dir, elasticMQKeptFile, elasticMQMaker)
}

func keepAWS[O any](ctx context.Context, dir, file string, opts *O, maker func(context.Context, *O) (awsMaker, error)) (*AWSServer, error) {
	s, err := openAWS(ctx, dir, file, maker)
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
	if s, err = newAWS(ctx, create, dir, nil); err != nil {
		return nil, err
	}
	kept := keptAWS[O]{Port: s.port}
	if opts != nil {
		kept.Options = *opts
	}
	return s, keep(dir, file, kept)
}

func openAWS[O any](ctx context.Context, dir, file string, maker func(context.Context, *O) (awsMaker, error)) (*AWSServer, error) {
	var kept keptAWS[O]
	dir, err := openKept(dir, file, &kept)
	if err != nil {
		return nil, err
	}
	create, err := maker(ctx, &kept.Options)
	if err != nil {
		return nil, err
	}
	s, err := placeAWS(create, dir, kept.Port, nil)
	if err != nil {
		return nil, err
	}
	s.adopt(ctx)
	return s, nil
}
