package brokertest

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// ElasticMQVersion is the version of ElasticMQ that tests run.
const ElasticMQVersion = "1.7.1"

//go:embed elasticmq/pom.xml
var elasticMQPOM string

// ElasticMQOptions say what kind of ElasticMQ is started. The zero value and nil are one that keeps
// its queues in memory.
type ElasticMQOptions struct {
	// Persist keeps queues and messages over a stop and over a kill. A message is safe a second
	// after it was sent.
	Persist bool

	// JVM are more options of Java. The heap is at most 1 GB, of which a short test uses little.
	JVM []string
}

// StartElasticMQ starts an ElasticMQ that belongs to the test, which may injure it. It is removed
// when the test ends; when the test has failed, the end of its log is shown before. A test whose
// ElasticMQ cannot be had is skipped, or fails where CI is set.
//
// It has no SNS. Where it differs from AWS:
//   - A group of a FIFO queue whose first message was given back goes on with that message while
//     later ones are out. At AWS it waits for these.
//   - After a receive whose answer was lost, a FIFO group is blocked for the visibility timeout,
//     unless the same attempt id asks again.
//   - A FIFO queue accepts a delete by a handle that has expired, as long as the message was not
//     received again. The 12 hours of visibility count from the last call.
//   - Over a restart it forgets which messages are out, so that a FIFO group goes on with later
//     ones, and loses what it confirmed within the last second.
//   - It has no retention, and drops the attributes of high throughput FIFO queues silently.
//     Attribute names such as foo.* match nothing.
//   - An attempt id whose messages were changed meanwhile is answered with a status of 500.
//   - The codes of its errors have a prefix, com.amazonaws.sqs#.
func StartElasticMQ(t testing.TB, opts *ElasticMQOptions) *AWSServer {
	t.Helper()
	return startAWS(t, ElasticMQVariable, func(ctx context.Context) (*server, error) { return runElasticMQ(ctx, opts) })
}

// RunElasticMQ starts an ElasticMQ for a program that is not a test. The caller closes it.
func RunElasticMQ(ctx context.Context, opts *ElasticMQOptions) (*AWSServer, error) {
	return newAWSServer(runElasticMQ(ctx, opts))
}

func runElasticMQ(ctx context.Context, opts *ElasticMQOptions) (*server, error) {
	create, err := elasticMQMaker(ctx, opts)
	if err != nil {
		return nil, err
	}
	return runAWS(ctx, create)
}

func elasticMQMaker(ctx context.Context, opts *ElasticMQOptions) (serverMaker, error) {
	java, jars, err := getElasticMQ(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	if opts == nil {
		opts = &ElasticMQOptions{}
	}
	return awsMaker(func(dir string, port int) (spec, error) {
		config := filepath.Join(dir, "elasticmq.conf")
		args := []string{java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError", "-Xmx1g"}
		args = append(args, opts.JVM...)
		args = append(args, "-Djava.io.tmpdir="+dir, "-Dconfig.file="+config, "-cp", jars, "org.elasticmq.server.Main")
		return spec{name: "elasticmq", args: args}, os.WriteFile(config, []byte(elasticMQConfig(port, opts.Persist)), 0o600)
	}), nil
}

// elasticMQConfig returns the configuration of a server. Without it the server listens on all
// interfaces, on a second port for statistics too, and has a region of its own. Its
// application.conf, in whose place Java reads this file, lets requests wait for 21 s and keeps it
// from logging every signature as an illegal header. By default it takes 1024 connections, and lets
// others wait: a request that waits for messages has one of its own.
//
// The threads take their work from one queue. By default each has a queue of its own that comes
// first, and a FIFO queue that is polled while a group waits for its first message gives itself
// work without a pause: as many such queues as there are threads, which are 8 on up to 8
// processors, kept the server from all else until the visibility of what was out was over.
func elasticMQConfig(port int, persist bool) string {
	text := fmt.Sprintf(`include classpath("application.conf")
node-address { protocol = http, host = %[1]q, port = %[2]d, context-path = "" }
rest-sqs { enabled = true, bind-port = %[2]d, bind-hostname = %[1]q, sqs-limits = strict }
rest-stats { enabled = false }
generate-node-address = false
aws { region = %[3]q, accountId = "000000000000" }
pekko.http.server { max-connections = 65536, backlog = 4096 }
pekko.actor.default-dispatcher { executor = "thread-pool-executor", thread-pool-executor { fixed-pool-size = 8 } }
`, loopback, port, AWSRegion)
	if persist {
		text += `queues-storage { enabled = true, path = "queues.conf" }
messages-storage { enabled = true, driver-class = "org.h2.Driver", uri = "jdbc:h2:./messages" }
`
	}
	return text
}

// GetElasticMQ fetches ElasticMQ, unless that was done before. It writes what it does to progress,
// and nothing when there is nothing to do.
func GetElasticMQ(ctx context.Context, progress func(string)) error {
	_, _, err := getElasticMQ(ctx, progress)
	return err
}

// getElasticMQ returns the paths of Java and of the jars.
func getElasticMQ(ctx context.Context, progress func(string)) (java, jars string, err error) {
	if err := startable("ElasticMQ", ElasticMQVariable, "URL"); err != nil {
		return "", "", err
	}
	java, _, err = findJava(ctx, "ElasticMQ", oldestJava)
	if err != nil {
		return "", "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", "", err
	}
	home := filepath.Join(cache, "elasticmq-"+ElasticMQVersion+"-"+digest(elasticMQPOM))
	err = fill(home, func(dir string) error {
		progress("fetching ElasticMQ " + ElasticMQVersion + " into " + home)
		return fetchJars(ctx, dir, "ElasticMQ", elasticMQPOM)
	})
	if err != nil {
		return "", "", err
	}
	jars, err = classPath(home)
	return java, jars, err
}
