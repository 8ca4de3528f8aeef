package bearer_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/bearer-go/bearer"
)

// docs/errors.md has a row for each reason, with the answer that the code gives.
func TestErrorsPageAgreesWithTheCode(t *testing.T) {
	t.Parallel()
	reasons := reasonsOfTheCode(t)
	var documented []string
	for _, row := range tableRows(t, "docs/errors.md", "What is sent", 4) {
		reason := codeOf(row[0])[0]
		documented = append(documented, reason)
		if !slices.Contains(reasons, reason) {
			t.Errorf("%s is not a reason", reason)
			continue
		}
		answer := bearer.Refusal(bearer.Reason(reason))
		want := []string{strconv.Itoa(answer.StatusCode()), "", answer.Description()}
		if answer.Code() != "" {
			want[1] = "`" + answer.Code() + "`"
		}
		if !slices.Equal(row[1:], want) {
			t.Errorf("%s is documented with %q, want %q", reason, row[1:], want)
		}
	}
	for _, reason := range reasons {
		if !slices.Contains(documented, reason) {
			t.Errorf("docs/errors.md does not have %s", reason)
		}
	}

	var advised []string
	for _, row := range tableRows(t, "docs/errors.md", "What to do", 4) {
		advised = append(advised, codeOf(row[0])[0])
		if slices.Contains(row, "") {
			t.Errorf("the row of %s has an empty cell", row[0])
		}
	}
	if !slices.Equal(advised, documented) {
		t.Errorf("the rows of the second table are %q, want %q", advised, documented)
	}
}
