// Package models holds the engine and the memory broker against simple models of what they promise,
// along random sequences of what may happen to them. It has tests only, and is a module of its own
// so that nobody else depends on the library they use.
//
//	go test ./...                                             # a short slice of each model
//	LEAT_MODEL_RUNS=100000 go test -count=1 -timeout 0 ./...   # the long run: so many sequences of each
//
// The test makes a failing sequence as short as possible and prints it with a seed. Repeat it with
// the flag -rapid.seed. Time is fake, so a minute's delay costs nothing, and a test can check
// "exactly when it is due".
package models
