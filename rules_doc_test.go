package bearer_test

import (
	"go/ast"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/internal/reference"
)

const rulesColumns = 7 // of the tables in docs/rules.md

// documentedRule is one row of the tables in docs/rules.md.
type documentedRule struct {
	id                      string
	options, reasons, tests []string
}

// docs/rules.md lists every rule. The attack suite, the reference and the tests cite rules by their
// ids, and each rule is held by the tests that its row names.
func TestRulesPageAgreesWithTheCode(t *testing.T) {
	t.Parallel()
	rules := make(map[string]documentedRule)
	for _, row := range tableRows(t, "docs/rules.md", "", rulesColumns) {
		rule := documentedRule{codeOf(row[0])[0], codeOf(row[4]), codeOf(row[5]), codeOf(row[6])}
		if !regexp.MustCompile(`^[a-z]+\.[a-z]+(-[a-z]+)*$`).MatchString(rule.id) {
			t.Errorf("%s is not an id: use two dotted words in lower case", rule.id)
		}
		if _, twice := rules[rule.id]; twice {
			t.Errorf("%s has two rows", rule.id)
		}
		if len(rule.tests) == 0 {
			t.Errorf("%s names no test", rule.id)
		}
		rules[rule.id] = rule
	}

	cited := citedByTests(t)
	for test, ids := range cited {
		for _, id := range ids {
			if rule, ok := rules[id]; !ok {
				t.Errorf("%s cites %s, which docs/rules.md does not have", test, id)
			} else if !slices.Contains(rule.tests, test) {
				t.Errorf("%s cites %s, whose row does not name it", test, id)
			}
		}
	}
	for id, rule := range rules {
		for _, test := range rule.tests {
			if !slices.Contains(cited[test], id) {
				t.Errorf("the row of %s names %s, which does not exist or does not cite it", id, test)
			}
		}
	}
	for _, rule := range reference.Rules() {
		if _, ok := rules[string(rule)]; !ok {
			t.Errorf("the reference cites %s, which docs/rules.md does not have", rule)
		}
	}
	attacked := rulesOfTheAttackSuite(t)
	for _, id := range attacked {
		if _, ok := rules[id]; !ok {
			t.Errorf("the attack suite cites %s, which docs/rules.md does not have", id)
		}
	}
	for id := range rules {
		if strings.HasPrefix(id, "service.") && !slices.Contains(attacked, id) {
			t.Errorf("the attack suite does not attack %s", id)
		}
	}
}

// The reasons and the options in docs/rules.md are those of the code. Every reason, and every option
// that switches a check off, is on the page.
func TestRulesPageHasEveryReasonAndInsecureOption(t *testing.T) {
	t.Parallel()
	documented := make(map[string]bool)
	for _, row := range tableRows(t, "docs/rules.md", "", rulesColumns) {
		for _, name := range slices.Concat(codeOf(row[4]), codeOf(row[5])) {
			documented[name] = true
		}
	}
	known := make(map[string]bool)
	for _, reason := range reasonsOfTheCode(t) {
		known[reason] = true
		if !documented[reason] {
			t.Errorf("no rule has the reason %s", reason)
		}
	}
	for _, option := range exportedFunctions(t) {
		known[option] = true
		if strings.HasPrefix(option, "Insecure") && !documented[option] {
			t.Errorf("no rule names the option %s", option)
		}
	}
	for name := range documented {
		if !known[name] {
			t.Errorf("%s is neither a reason nor an option", name)
		}
	}
}

// citedByTests returns the rules that the comment of each test cites, in lines such as
//
//	// Rules: claims.exp, claims.nbf.
//
// A test outside the root package has the folder of its package before its name.
func citedByTests(t testing.TB) map[string][]string {
	t.Helper()
	cited := make(map[string][]string)
	line := regexp.MustCompile(`(?m)^Rules: (.+)\.$`)
	for _, file := range goFiles(t) {
		if !strings.HasSuffix(file.path, "_test.go") {
			continue
		}
		prefix := ""
		if dir := path.Dir(file.path); dir != "." {
			prefix = dir + "."
		}
		for _, decl := range file.syntax.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			for _, match := range line.FindAllStringSubmatch(f.Doc.Text(), -1) {
				name := prefix + f.Name.Name
				cited[name] = append(cited[name], strings.Split(match[1], ", ")...)
			}
		}
	}
	return cited
}

// rulesOfTheAttackSuite returns the values of the constants of package bearertest that are ids of
// rules.
func rulesOfTheAttackSuite(t testing.TB) []string {
	t.Helper()
	ids := constants(t, "bearertest", func(name string, _ *ast.ValueSpec) bool { return strings.HasPrefix(name, "rule") })
	if len(ids) == 0 {
		t.Fatal("the attack suite has no rule")
	}
	return slices.Collect(maps.Values(ids))
}

// reasonsOfTheCode returns the values of the exported constants of type Reason.
func reasonsOfTheCode(t testing.TB) []string {
	t.Helper()
	reasons := constants(t, ".", func(name string, spec *ast.ValueSpec) bool {
		typ, ok := spec.Type.(*ast.Ident)
		return ok && typ.Name == "Reason" && ast.IsExported(name)
	})
	if len(reasons) == 0 {
		t.Fatal("the package has no reason")
	}
	return slices.Collect(maps.Values(reasons))
}
