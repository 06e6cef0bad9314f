//go:build !race

package leatotel_test

const raceEnabled = false
