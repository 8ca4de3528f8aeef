package bearer_test

import (
	"testing"
)

// A caller may change a list after the call without effect, whether it was an argument or a result.
// There is a case for every function and method that takes or returns a list.
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
