package eventtest

// consumeCases are the cases with a Producer and a Consumer.
func consumeCases() []Case { return nil }
