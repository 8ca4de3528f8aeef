package recall_test

import (
	"runtime"
	"slices"
	"testing"

	"github.com/bearer-go/bearer/internal/recall"
)

type value struct {
	key int
	_   [64]byte // package runtime may put smaller ones together, which are then gone together
}

func newMap(keys ...int) *recall.Map[int, value] {
	m := recall.New(func(v *value) int { return v.key })
	for _, key := range keys {
		m.Keep(&value{key: key})
	}
	return m
}

func keysOf(values []*value) (keys []int) {
	for _, v := range values {
		keys = append(keys, v.key)
	}
	return keys
}

func TestOldestIsWhatWasNotKeptForTheLongestTime(t *testing.T) {
	t.Parallel()
	m := newMap()
	if m.Oldest() != nil || m.Find(1) != nil || m.Len() != 0 {
		t.Error("an empty map has something")
	}
	m = newMap(1, 2, 3)
	m.Keep(m.Find(1))
	if got := keysOf(m.Remembered()); !slices.Equal(got, []int{2, 3, 1}) || m.Oldest().key != 2 || m.Len() != 3 {
		t.Errorf("the order is %v", got)
	}
}

// What was forgotten is the same value as long as it is held.
func TestForgottenValueIsFoundWhileItIsHeld(t *testing.T) {
	t.Parallel()
	m := newMap(1, 2)
	held := m.Find(1)
	m.Forget(held)
	runtime.GC()
	if m.Find(1) != held || m.Remembers(held) || m.Len() != 1 || !slices.Equal(keysOf(m.All()), []int{2, 1}) {
		t.Errorf("it is not found, or remembered: %v", keysOf(m.All()))
	}
	m.Keep(held)
	if !m.Remembers(held) || !slices.Equal(keysOf(m.Remembered()), []int{2, 1}) || len(m.All()) != 2 {
		t.Errorf("it is not remembered again: %v", keysOf(m.All()))
	}
	runtime.KeepAlive(held)
}

func TestForgottenValueIsGoneWhenNothingHoldsIt(t *testing.T) {
	t.Parallel()
	m := newMap(1, 2)
	m.Forget(m.Oldest())
	runtime.GC()
	if m.Find(1) != nil || len(m.All()) != 1 {
		t.Error("it is found")
	}
}

func TestRemovedValueIsNotFound(t *testing.T) {
	t.Parallel()
	m := newMap(1, 2)
	first, second := m.Find(1), m.Find(2)
	m.Forget(first)
	m.Remove(first)
	m.Remove(second)
	if m.Find(1) != nil || m.Find(2) != nil || m.Len() != 0 || len(m.All()) != 0 {
		t.Error("it is found")
	}
	runtime.KeepAlive(first)
}

// What is left of the values that are gone is bounded by those that are not.
func TestForgottenValuesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	m := newMap()
	var held []*value
	for key := range 10_000 {
		v := &value{key: key}
		m.Keep(v)
		m.Forget(v)
		if key%100 == 0 {
			held = append(held, v)
		}
		if key%1000 == 0 {
			runtime.GC()
		}
	}
	runtime.GC()
	if n := recall.Size(m); n > 2*1000+2*len(held) {
		t.Errorf("%d weak pointers for %d values", n, len(held))
	}
	if len(m.All()) != len(held) {
		t.Errorf("%d are found, want %d", len(m.All()), len(held))
	}
	runtime.KeepAlive(held)
}
