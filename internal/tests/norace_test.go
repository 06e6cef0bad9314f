//go:build !race

package leat_test

const raceEnabled = false
