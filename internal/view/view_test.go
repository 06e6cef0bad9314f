package view_test

import (
	"testing"

	"github.com/leatgo/leat/internal/view"
	"github.com/stretchr/testify/assert"
)

func TestBytes(t *testing.T) {
	assert.Equal(t, []byte("text"), view.Bytes("text"))
	assert.Equal(t, 4, cap(view.Bytes("text!"[:4])), "what comes behind s is not in reach")
	assert.Equal(t, []byte{}, view.Bytes(""))
	s := "of an event"
	assert.Zero(t, testing.AllocsPerRun(10, func() { view.Bytes(s) }))
}
