package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// adapter is a real adapter that has mutants.
type adapter struct {
	name string
	dir  string // of its module, from the root of the repository
	test string // the test that runs the suite on it
}

var adapters = []adapter{
	{name: "awssnssqs", dir: "adapters/awssnssqs", test: "TestStubConforms"},
	{name: "gcppubsub", dir: "adapters/gcppubsub", test: "TestFakeConforms"},
	{name: "kafka", dir: "adapters/kafka", test: "TestKafkaConforms"},
	{name: "nats", dir: "adapters/nats", test: "TestNATSConforms"},
	{name: "rabbitmq", dir: "adapters/rabbitmq", test: "TestRabbitMQConforms"},
}

func adapterNames() []string {
	names := make([]string, len(adapters))
	for i, a := range adapters {
		names[i] = a.name
	}
	return names
}

// mutants reads the mutants of an adapter, by name. The root is that of the repository.
func (a *adapter) mutants(root string) ([]*mutant, error) {
	dir := filepath.Join(root, filepath.FromSlash(a.dir), "testdata", "mutants")
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	mutants := make([]*mutant, 0, len(files))
	for _, file := range files { // Glob sorts
		text, err := os.ReadFile(file) //nolint:gosec // a file of the repository
		if err != nil {
			return nil, err
		}
		m, err := parse(filepath.Base(file), string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.ToSlash(file), err)
		}
		if m.test == "" {
			m.test = a.test
		}
		mutants = append(mutants, m)
	}
	return mutants, nil
}

func namesOf(mutants []*mutant) []string {
	names := make([]string, len(mutants))
	for i, m := range mutants {
		names[i] = m.name
	}
	return names
}
