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

// A name on top of the bound takes the place of the one that has not failed for longest.
func TestNamesHaveABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n failing.Names
		for i := range 1000 {
			assert.True(t, n.Fail(fmt.Sprint(i), 1, 0, nil))
			n.Fail("0", 1, 0, nil)
			time.Sleep(time.Millisecond)
		}
		all := n.All()
		assert.Len(t, all, 100)
		assert.Equal(t, "999", all[1].Name)
		assert.Equal(t, "901", all[99].Name)
		assert.Equal(t, 1001, all[0].Refused, "the one that fails all the time stays")
		for _, f := range all {
			n.Works(f.Name)
		}
		assert.False(t, n.Any())
	})
}

// A name that has not failed for an hour is forgotten: its next failure begins anew.
func TestNamesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n failing.Names
		n.Fail("a", 1, 0, nil)
		n.Fail("b", 1, 0, nil)
		time.Sleep(time.Hour - time.Second)
		assert.False(t, n.Fail("b", 1, 0, nil))
		assert.Len(t, n.All(), 2)
		time.Sleep(time.Second)
		assert.Equal(t, []string{"b"}, names(n.All()))
		assert.True(t, n.Fail("a", 1, 0, nil))
		time.Sleep(time.Hour)
		assert.True(t, n.Fail("a", 1, 0, nil), "also where nobody has looked meanwhile")
		assert.Equal(t, []string{"a"}, names(n.All()))
		assert.Equal(t, time.Now(), n.All()[0].Since)
		time.Sleep(time.Hour)
		_, was := n.Works("a")
		assert.False(t, was)
		assert.False(t, n.Any())
		n.Fail("a", 1, 0, nil)
		time.Sleep(time.Hour)
		assert.Empty(t, n.All())
		assert.False(t, n.Any())
	})
}

func names(all []failing.Failure) (names []string) {
	for _, f := range all {
		names = append(names, f.Name)
	}
	return names
}
