package failing_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat/internal/failing"
	"github.com/stretchr/testify/assert"
)

func TestANameFailsUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n failing.Names
		first, second := errors.New("first"), errors.New("second")
		assert.False(t, n.Any())
		began := time.Now()
		assert.True(t, n.Fail("a", 1, 0, first))
		time.Sleep(time.Minute)
		assert.False(t, n.Fail("a", 0, 2, second), "it fails already")
		assert.True(t, n.Fail("b", 1, 0, first))
		assert.True(t, n.Any())
		a := failing.Failure{Name: "a", Since: began, Newest: time.Now(), Err: second, Refused: 1, Unknown: 2}
		b := failing.Failure{Name: "b", Since: time.Now(), Newest: time.Now(), Err: first, Refused: 1}
		assert.Equal(t, []failing.Failure{a, b}, n.All())

		got, was := n.Works("a")
		assert.True(t, was)
		assert.Equal(t, a, got)
		_, was = n.Works("a")
		assert.False(t, was)
		assert.True(t, n.Any())
		n.Works("b")
		assert.False(t, n.Any())
		assert.Empty(t, n.All())
	})
}

func TestNamesHaveABound(t *testing.T) {
	var n failing.Names
	for i := range 1000 {
		assert.Equal(t, i < 100, n.Fail(fmt.Sprint(i), 1, 0, nil))
	}
	assert.Len(t, n.All(), 100)
}
