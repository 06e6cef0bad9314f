package brokertest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// KafkaVersion is the version of Apache Kafka that tests run.
const KafkaVersion = "4.3.1"

//go:embed kafka/pom.xml
var kafkaPOM string

//go:embed kafka/log4j2.properties
var kafkaLog string

//go:embed kafka/server.properties
var kafkaServer string

// kafkaKit is what a broker is made of: it is fetched and prepared once per machine and stays in
// the cache.
type kafkaKit struct {
	java      string
	logging   string // log4j2.properties
	classPath string
	archive   string // the loaded classes (AppCDS), which halve the time to boot; for this Java only
	template  string // a formatted data folder of node 1
}

// GetKafka fetches Kafka and prepares it, unless that was done before. It writes what it does to
// progress, and nothing when there is nothing to do.
func GetKafka(ctx context.Context, progress func(string)) error {
	_, err := getKafka(ctx, progress)
	return err
}

func getKafka(ctx context.Context, progress func(string)) (*kafkaKit, error) {
	if err := startable("Kafka", KafkaVariable, "address"); err != nil {
		return nil, err
	}
	java, version, err := findJava(ctx, "Kafka", oldestJava)
	if err != nil {
		return nil, err
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	// Another pom is another folder, and another Java another archive: what is there is never
	// changed.
	home := filepath.Join(cache, "kafka-"+KafkaVersion+"-"+digest(kafkaPOM, kafkaLog))
	err = fill(home, func(dir string) error {
		progress("fetching Kafka " + KafkaVersion + " into " + home)
		return fetchKafka(ctx, dir)
	})
	if err != nil {
		return nil, err
	}
	jars, err := classPath(home)
	if err != nil {
		return nil, err
	}
	kit := &kafkaKit{
		java: java, logging: filepath.Join(home, "log4j2.properties"),
		classPath: jars,
		template:  filepath.Join(home, "template"),
	}
	if err := fill(kit.template, func(dir string) error { return kit.format(ctx, dir, nil) }); err != nil {
		return nil, err
	}
	archive := filepath.Join(home, "classes-"+digest(java, version, kafkaServer)+".jsa")
	err = fill(archive, func(file string) error {
		progress("preparing Kafka for a fast start")
		return kit.train(ctx, file)
	})
	kit.archive = archive
	return kit, err
}

// fetchKafka puts the jars of the broker into a folder, with what they need to know.
func fetchKafka(ctx context.Context, dir string) error {
	if err := fetchJars(ctx, dir, "Kafka", kafkaPOM); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "log4j2.properties"), []byte(kafkaLog), 0o600)
}

// flags are those of every Java process of the kit. C1 alone, one collector thread and the archive
// make a broker start in a second; what Kafka unpacks goes into its own folder.
func (k *kafkaKit) flags(dir string) []string {
	flags := []string{
		k.java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError",
		"-Djava.io.tmpdir=" + dir, "-Dlog4j2.configurationFile=file:" + k.logging, "-cp", k.classPath,
	}
	if k.archive != "" {
		flags = slices.Insert(flags, 1, "-XX:SharedArchiveFile="+k.archive, "-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off")
	}
	return flags
}

// format writes the data folder of node 1 into dir. The users can log in with SCRAM.
func (k *kafkaKit) format(ctx context.Context, dir string, users map[string]string) error {
	work, err := os.MkdirTemp("", "leat-kafka-format-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	n := &kafkaNode{id: 1, dir: work, data: dir, ports: []int{firstPort, firstPort + 1}}
	properties := filepath.Join(work, "server.properties")
	if err := os.WriteFile(properties, []byte(kafkaProperties([]*kafkaNode{n}, n, &KafkaOptions{})), 0o600); err != nil {
		return err
	}
	args := append(k.flags(work), "kafka.tools.StorageTool", "format", "-t", kafkaClusterID, "-c", properties)
	for name, password := range users {
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, name, password))
		}
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format a data folder of Kafka: %w\n%s", err, lastLines(string(out), logLines))
	}
	return nil
}

// train runs a broker once and keeps the classes that it loaded.
func (k *kafkaKit) train(ctx context.Context, file string) error {
	c, err := k.cluster(ctx, &KafkaOptions{JVM: []string{"-XX:ArchiveClassesAtExit=" + file}})
	if err != nil {
		return err
	}
	err = errors.Join(c.Start(ctx), c.Stop())
	if _, missing := os.Stat(file); err == nil && missing != nil {
		err = fmt.Errorf("%w; the end of the broker's log:\n%s", missing, c.Node(1).Log(logLines))
	}
	return errors.Join(err, c.Close())
}
