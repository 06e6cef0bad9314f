package eventtest_test

// rawMutants break rules of leat.Broker and leat.Stream.
func rawMutants() []mutant { return nil }
