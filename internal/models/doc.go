// Package models holds the engine and the memory broker against simple models of what they promise,
// along random sequences of what may happen to them. It has tests only, and is a module of its own
// so that nobody else depends on the library they use.
//
//	go test ./...                                             # a short slice of each model
//	LEAT_MODEL_RUNS=100000 go test -count=1 -timeout 0 ./...   # the long run: so many sequences of each
//
// A failing sequence is made as short as possible, printed, and can be repeated with the flag -rapid.seed that is printed beside
// it. Time is fake, so that a minute's delay costs nothing and "exactly when it is due" can be tested.
package models
