package tokenstest

import (
	"errors"
	"testing"

	"github.com/bearer-go/bearer/internal/optional"
)

// WantConfigErrors takes the error of a constructor apart into the ConfigErrors of one package, and
// compares each Option and Value with what is wanted.
func WantConfigErrors[E ~struct{ Option, Subject, Value, Problem string }, P interface {
	*E
	error
}](t testing.TB, err error, want ...E) {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%v is not joined", err)
	}
	all := joined.Unwrap()
	if len(all) != len(want) {
		t.Fatalf("%d mistakes, want %d: %v", len(all), len(want), err)
	}
	for i, one := range all {
		mistake, ok := errors.AsType[P](one)
		if !ok {
			t.Fatalf("a %T is no %T", one, mistake)
		}
		got, want := optional.Mistake(*mistake), optional.Mistake(want[i])
		if got.Option != want.Option || got.Value != want.Value || got.Subject != "" || got.Problem == "" {
			t.Errorf("mistake %d is %+v, want one about %s(%s)", i+1, got, want.Option, want.Value)
		}
	}
}
