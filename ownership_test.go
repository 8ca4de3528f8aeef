package bearer_test

import (
	"testing"
)

// What the caller does with a list after the call changes nothing, be it one that was given or one that was returned. There is a
// case for every function and method that takes or returns one.
func TestListsBelongToTheCaller(t *testing.T) {
	cases := ownershipCases()
	for name, dir := range guarded {
		for function, signature := range exportedSignatures(name, apiOf(t, dir)) {
			if hasList(signature) && cases[function] == nil {
				t.Errorf("%s takes or returns a list: add a case", function)
			}
		}
	}
	for name, test := range cases {
		t.Run(name, test)
	}
}
