//go:build race

package leat_test

// raceEnabled says that the race detector is on, which allocates.
const raceEnabled = true
