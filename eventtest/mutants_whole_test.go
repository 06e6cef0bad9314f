package eventtest_test

// wholeMutants break rules that show with a Producer and a Consumer.
func wholeMutants() []mutant { return nil }
