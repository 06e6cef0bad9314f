package brokertest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// PubSubVersion is the version of the emulator of Google Cloud Pub/Sub that tests run.
const PubSubVersion = "0.8.20"

const (
	pubSubSum     = "056bc216749e95ef495a81c9fa96b66863cedfb1b80b4d78ee8e3bde5a7b452f" // SHA-256 of the jar
	pubSubPackage = "google-cloud-cli-pubsub-emulator"
	pubSubInstall = "apt-get install -y --no-install-recommends google-cloud-cli-pubsub-emulator openjdk-17-jre-headless maven"
	pubSubMain    = "com.google.cloud.pubsub.testing.v1.Main"
)

// pubSubPOM has the part of gRPC that must come before the emulator's own. The emulator has gRPC
// 1.68.1 with a class of a later version, io.grpc.InternalStatus, which lacks a method that the
// server calls when a client has canceled a stream or its connection is lost. Without that method
// the emulator does not notice it: it goes on to deliver to streams that are gone, and keeps their
// threads.
//
//go:embed pubsub/pom.xml
var pubSubPOM string

// PubSubServer is an emulator of Google Cloud Pub/Sub, which speaks gRPC without TLS and asks for
// no credentials. Every project exists. A test may injure it as it does any [Process]; what it had
// is gone when it starts again. The methods are safe for concurrent use.
type PubSubServer struct{ *server }

// Addr returns the address, as PUBSUB_EMULATOR_HOST has it: 127.0.0.1:port.
func (s *PubSubServer) Addr() string { return address(s.port) }

// PubSubOptions say how an emulator is started. The zero value and nil are the usual way.
type PubSubOptions struct {
	// JVM are more options of Java. The heap is at most 512 MiB, of which a short test uses little,
	// and code is compiled once and quickly: measurements want -XX:TieredStopAtLevel=4.
	JVM []string
}

// StartPubSub starts an emulator that belongs to the test, which may injure it. It is removed when
// the test ends; when the test has failed, the end of its log is shown before. A test whose
// emulator cannot be had is skipped, or fails where CI is set.
//
// Where it differs from Pub/Sub:
//   - A message that is given back comes again behind later ones of its ordering key, unless all of
//     the key are out and come back in one request.
//   - An ordering key does not stay on one stream of a subscription.
//   - Flow control has no effect: a stream gets more than max_outstanding_messages. A response has
//     100 messages at most, and a stream gets about 20 responses a second.
//   - What a stream had that is canceled comes again only when its deadline is over. Meanwhile later
//     messages of the same ordering keys go to other streams, and so before it.
//   - The first redelivery does not wait for the retry policy. An ack whose deadline has passed is
//     accepted, also with exactly-once delivery, as long as the message did not come again.
//   - A publish request may have several ordering keys. Limits are loose; a message of 11 MiB has
//     no answer.
//   - Filters are kept and not applied. DetachSubscription and IAM are missing, and with
//     message ordering Seek to a time.
func StartPubSub(t testing.TB, opts *PubSubOptions) *PubSubServer {
	t.Helper()
	return &PubSubServer{startServer(t, PubSubVariable, func(ctx context.Context) (*server, error) { return runPubSub(ctx, opts) })}
}

// RunPubSub starts an emulator for a program that is not a test. The caller closes it.
func RunPubSub(ctx context.Context, opts *PubSubOptions) (*PubSubServer, error) {
	return newPubSubServer(runPubSub(ctx, opts))
}

// KeepPubSub makes an emulator in a folder, which goes on when this program ends. It does not start
// it. Where the folder has an emulator already it is OpenPubSub, and the options are left aside.
func KeepPubSub(ctx context.Context, dir string, opts *PubSubOptions) (*PubSubServer, error) {
	return newPubSubServer(keepServer(ctx, dir, pubSubKeptFile, opts, pubSubMaker))
}

// OpenPubSub returns the emulator that KeepPubSub has made in a folder, whether it runs or not.
func OpenPubSub(ctx context.Context, dir string) (*PubSubServer, error) {
	return newPubSubServer(openServer(ctx, dir, pubSubKeptFile, pubSubMaker))
}

const pubSubKeptFile = "pubsub.json"

// newPubSubServer wraps what a function for servers has returned.
func newPubSubServer(s *server, err error) (*PubSubServer, error) {
	if err != nil {
		return nil, err
	}
	return &PubSubServer{s}, nil
}

func runPubSub(ctx context.Context, opts *PubSubOptions) (*server, error) {
	create, err := pubSubMaker(ctx, opts)
	if err != nil {
		return nil, err
	}
	return runServer(ctx, "leat-pubsub-", create, "Address already in use")
}

func pubSubMaker(ctx context.Context, opts *PubSubOptions) (serverMaker, error) {
	java, classes, err := getPubSub(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	if opts == nil {
		opts = &PubSubOptions{}
	}
	return func(dir string, port int) (spec, error) {
		args := []string{java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError",
			"-Xms32m", "-Xmx512m"}
		args = append(args, opts.JVM...)
		// A second port for IAM is opened in any case; nobody asks there.
		args = append(args, "-Djava.io.tmpdir="+dir, "-cp", classes, pubSubMain, "--host="+loopback, fmt.Sprintf("--port=%d", port),
			"--iam_host="+loopback, "--iam_port=0")
		ready := func(ctx context.Context) error { return pubSubAnswers(ctx, address(port)) }
		return spec{name: "pubsub-emulator", args: args, ready: ready}, nil
	}, nil
}

// pubSubAnswers asks an emulator for its page, which says Ok.
func pubSubAnswers(ctx context.Context, addr string) error {
	return pageAnswers(ctx, "http://"+addr+"/")
}

// GetPubSub puts the emulator of Google's command line tools into the cache, unless that was done
// before. It writes what it does to progress, and nothing when there is nothing to do.
func GetPubSub(ctx context.Context, progress func(string)) error {
	_, _, err := getPubSub(ctx, progress)
	return err
}

// getPubSub returns the path of Java and the class path.
func getPubSub(ctx context.Context, progress func(string)) (java, classes string, err error) {
	if err := startable("the Pub/Sub emulator", PubSubVariable, "address"); err != nil {
		return "", "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", "", err
	}
	const emulator = "emulator.jar"
	home := filepath.Join(cache, "pubsub-emulator-"+PubSubVersion+"-"+digest(pubSubSum, pubSubPOM))
	err = fill(home, func(dir string) error {
		from, err := findPubSub()
		if err != nil {
			return err
		}
		progress("copying the Pub/Sub emulator " + PubSubVersion + " to " + home)
		if err := fetchJars(ctx, dir, "gRPC for the Pub/Sub emulator", pubSubPOM); err != nil {
			return err
		}
		return copyPubSub(filepath.Join(dir, emulator), from)
	})
	if err != nil {
		return "", "", err
	}
	java, _, err = findJava(ctx, "the Pub/Sub emulator", oldestJava)
	if err != nil {
		return "", "", err
	}
	fixed, err := classPath(home)
	return java, fixed + string(os.PathListSeparator) + filepath.Join(home, emulator), err
}

// findPubSub returns the path of the jar where Google's command line tools have it. Only their own
// package repository has the emulator, so it is found, and not fetched. Where it is not there, its
// tests are skipped in a CI as well, which could not install it.
func findPubSub() (string, error) {
	root := os.Getenv("CLOUDSDK_ROOT_DIR")
	if root == "" {
		tool, err := exec.LookPath("gcloud")
		if err == nil {
			tool, err = filepath.EvalSymlinks(tool)
		}
		if err != nil {
			return "", fmt.Errorf("%w: %w: the Pub/Sub emulator comes with gcloud, which is not on the PATH; from Google's package repository: %s",
				ErrMissing, errors.ErrUnsupported, pubSubInstall)
		}
		root = filepath.Dir(filepath.Dir(tool))
	}
	lib := filepath.Join(root, "platform", "pubsub-emulator", "lib")
	jar := filepath.Join(lib, "cloud-pubsub-emulator-"+PubSubVersion+"-all.jar")
	if _, err := os.Stat(jar); err != nil {
		others, _ := filepath.Glob(filepath.Join(lib, "*.jar")) // fails for wrong patterns only
		return "", fmt.Errorf("%w: %w: gcloud has no Pub/Sub emulator %s (%w), only %q; install a package %s that has it, "+
			"from Google's package repository, or set %s to the address of another version",
			ErrMissing, errors.ErrUnsupported, PubSubVersion, err, others, pubSubPackage, PubSubVariable)
	}
	return jar, nil
}

// copyPubSub copies the jar. It fails where the jar is not the one that tests were written for.
func copyPubSub(to, from string) (err error) {
	if err := checkSum(from, pubSubSum); err != nil {
		return fmt.Errorf("%w; install the package %s again", err, pubSubPackage)
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
