package brokertest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// ApicurioVersion is the version of the Apicurio registry that tests run.
const ApicurioVersion = "3.3.3"

const (
	apicurioSum  = "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63" // SHA-256 of the archive
	apicurioJava = 21
)

//go:embed apicurio/pom.xml
var apicurioPOM string

// ApicurioServer is an Apicurio registry, which has the REST API of Confluent's Schema Registry. A
// test may injure it as it does any [Process]. A schema stays over a restart, and over a kill a
// second after it was registered. The methods are safe for concurrent use.
type ApicurioServer struct{ *server }

// URL returns the address of Confluent's API, http://127.0.0.1:port/apis/ccompat/v7.
func (s *ApicurioServer) URL() string { return apicurioURL(s.port) }

func apicurioURL(port int) string { return "http://" + address(port) + "/apis/ccompat/v7" }

// StartApicurio starts an Apicurio registry that belongs to the test, which may injure it. It is
// removed when the test ends; when the test has failed, the end of its log is shown before. A test
// whose Apicurio cannot be had is skipped, or fails where CI is set.
//
// Where it differs from Confluent's registry:
//   - The level is NONE by default, and such a subject is checked as if it were BACKWARD.
//   - A check says only yes or no. The refusal of a registration has the reasons.
//   - It guesses the format of a text, and refuses a JSON Schema with neither $schema nor properties.
//   - It has no GUIDs. The same text has the same ID in all subjects, and IDs have gaps.
func StartApicurio(t testing.TB) *ApicurioServer {
	t.Helper()
	return &ApicurioServer{startServer(t, ApicurioVariable, runApicurio)}
}

func runApicurio(ctx context.Context) (*server, error) {
	java, home, err := getApicurio(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	return runServer(ctx, "leat-apicurio-", func(dir string, port int) (spec, error) {
		// The port for management is any; without its host it listens on all interfaces.
		// Without a delay, a schema is on the disk before the answer, and outlasts Kill.
		database := "jdbc:h2:file:" + filepath.Join(dir, "registry") + ";WRITE_DELAY=0"
		args := []string{java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError", "-Xmx256m",
			"-Djava.io.tmpdir=" + dir, "-Dapicurio.datasource.url=" + database,
			"-Dquarkus.http.host=" + loopback, fmt.Sprintf("-Dquarkus.http.port=%d", port),
			"-Dquarkus.management.host=" + loopback, "-Dquarkus.management.port=0",
			"-Dquarkus.log.level=WARN", `-Dquarkus.log.category."io.apicurio".level=WARN`, "-Dquarkus.http.access-log.enabled=false",
			"-jar", filepath.Join(home, "quarkus-run.jar")}
		ready := func(ctx context.Context) error { return pageAnswers(ctx, apicurioURL(port)+"/subjects") }
		return spec{name: "apicurio", args: args, ready: ready}, nil
	}, "seems to be in use by another process")
}

// GetApicurio fetches Apicurio, unless that was done before. It writes what it does to progress,
// and nothing when there is nothing to do.
func GetApicurio(ctx context.Context, progress func(string)) error {
	_, _, err := getApicurio(ctx, progress)
	return err
}

// getApicurio returns the path of Java and the folder with the program.
func getApicurio(ctx context.Context, progress func(string)) (java, home string, err error) {
	if err := startable("Apicurio", ApicurioVariable, "URL"); err != nil {
		return "", "", err
	}
	java, _, err = findJava(ctx, "Apicurio", apicurioJava)
	if err != nil {
		return "", "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", "", err
	}
	home = filepath.Join(cache, "apicurio-"+ApicurioVersion+"-"+digest(apicurioPOM, apicurioSum))
	err = fill(home, func(dir string) error {
		progress("fetching Apicurio " + ApicurioVersion + " into " + home)
		if err := fetchJars(ctx, dir, "Apicurio", apicurioPOM); err != nil {
			return err
		}
		archive := filepath.Join(dir, "libs", "apicurio-registry-app-"+ApicurioVersion+"-all.tar.gz")
		if err := checkSum(archive, apicurioSum); err != nil {
			return err
		}
		return errors.Join(command(ctx, dir, "tar", "xzf", archive), os.Remove(archive))
	})
	return java, home, err
}
