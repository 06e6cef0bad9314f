package brokertest

import "context"

const (
	localStackKeptFile = "localstack.json"
	elasticMQKeptFile  = "elasticmq.json"
)

// KeepLocalStack makes a LocalStack in a folder, which goes on when this program ends. It does not
// start it. Where the folder has a LocalStack already it is OpenLocalStack, and the options are
// left aside.
func KeepLocalStack(ctx context.Context, dir string, opts *LocalStackOptions) (*AWSServer, error) {
	return newAWSServer(keepServer(ctx, dir, localStackKeptFile, opts, localStackMaker))
}

// OpenLocalStack returns the LocalStack that KeepLocalStack has made in a folder, whether it runs
// or not.
func OpenLocalStack(ctx context.Context, dir string) (*AWSServer, error) {
	return newAWSServer(openServer(ctx, dir, localStackKeptFile, localStackMaker))
}

// KeepElasticMQ is [KeepLocalStack] for an ElasticMQ.
func KeepElasticMQ(ctx context.Context, dir string, opts *ElasticMQOptions) (*AWSServer, error) {
	return newAWSServer(keepServer(ctx, dir, elasticMQKeptFile, opts, elasticMQMaker))
}

// OpenElasticMQ is [OpenLocalStack] for an ElasticMQ.
func OpenElasticMQ(ctx context.Context, dir string) (*AWSServer, error) {
	return newAWSServer(openServer(ctx, dir, elasticMQKeptFile, elasticMQMaker))
}
