package bearer_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/internal/vectors"
)

const (
	providersPage = "docs/providers.md"
	lineColumns   = 4 // of the tables with lines
	leastLines    = 40
)

// providerLine is one row of docs/providers.md, with the arguments of New that its Go code has.
type providerLine struct {
	provider string             // the first cell, without the shapes
	shapes   []string           // the files that the row is tested on
	trusted  vectors.Configured // the arguments of WithIssuer
	places   []any              // of WithTokensFrom, as the files write them
	names    []string           // that the code uses, such as "bearer.JWKSURL"
}

// ownValue is an argument that is not a text in quotes: the reader puts a value of their own there.
type ownValue struct{ ast.Expr }

// Every row has a line of Go that uses names that exist, and that New accepts.
func TestProvidersPageHasLinesOfGo(t *testing.T) {
	t.Parallel()
	lines := providerLines(t)
	if len(lines) < leastLines {
		t.Fatalf("%d lines, want at least %d", len(lines), leastLines)
	}
	exists := map[string]map[string]bool{"bearer": exportedIn(t, "."), "jwks": exportedIn(t, "jwks")}
	for _, line := range lines {
		t.Run(line.provider, func(t *testing.T) {
			var problems []string
			for _, name := range line.names {
				if pkg, function, _ := strings.Cut(name, "."); !exists[pkg][function] {
					problems = append(problems, name+" does not exist")
				}
			}
			shape := vectors.Shape{Issuers: []vectors.Configured{line.anyValues()}, Options: line.options()}
			opts, _, err := (&shapeWorld{t: t, shape: shape}).configured()
			if err != nil {
				problems = append(problems, err.Error())
			}
			if len(problems) > 0 {
				t.Fatal(strings.Join(problems, "; "))
			}
			auth, err := bearer.New(append(opts, quiet())...)
			if err != nil {
				t.Fatal(err)
			}
			_ = auth.Close()
		})
	}
}

// exportedIn returns the exported functions of a package in a folder.
func exportedIn(t testing.TB, dir string) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, decl := range declarations(t, dir) {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.IsExported() {
			names[f.Name.Name] = true
		}
	}
	return names
}

// Each line is tested on the shapes that its row names, with their issuer and audience. What a file
// expects of a shape comes about with one of its lines at least, and each line lets a shape through.
func TestLineOfEachProviderFitsItsShapes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(providersPage)
	if err != nil {
		t.Fatal(err)
	}
	lines := providerLines(t)
	for _, provider := range vectors.Providers(t, providerFiles...) {
		t.Run(provider.File, func(t *testing.T) {
			if len(provider.Shapes) == 0 { // its tokens are not verified here
				if !strings.Contains(string(page), "(`"+provider.File+"`)") {
					t.Errorf("%s does not say that its tokens cannot be verified", providersPage)
				}
				return
			}
			own := slices.DeleteFunc(slices.Clone(lines), func(l providerLine) bool { return !slices.Contains(l.shapes, provider.File) })
			if len(own) == 0 {
				t.Fatalf("%s has no row for it", providersPage)
			}
			useful := make([]string, len(own)) // why the line has let no shape through, or "useful"
			for _, shape := range provider.Shapes {
				t.Run(shape.Case, func(t *testing.T) { fitsALine(t, own, useful, provider, shape) })
			}
			for i, line := range own {
				if useful[i] != isUseful {
					t.Errorf("the line of %s lets no shape through: %s", line.provider, useful[i])
				}
			}
		})
	}
}

const isUseful = "useful"

// fitsALine runs a shape with each of its provider's lines, and notes which of them let it through.
func fitsALine(t *testing.T, lines []providerLine, useful []string, provider vectors.Provider, shape vectors.Shape) {
	t.Helper()
	var problems []string
	fits := false
	for i, line := range lines {
		mismatch := line.mismatch(t, provider, shape)
		switch {
		case mismatch != "":
			problems = append(problems, line.provider+": "+mismatch)
			if useful[i] != isUseful {
				useful[i] = mismatch
			}
		case !shape.Expect.Refused():
			useful[i] = isUseful
		}
		fits = fits || mismatch == ""
	}
	name := shapeName(provider, shape)
	why, excepted := otherLines[name]
	switch {
	case fits && excepted:
		t.Errorf("it fits: remove it from otherLines (%s)", why)
	case fits, excepted:
	default:
		t.Errorf("no line of %s fits:\n%s", providersPage, strings.Join(problems, "\n"))
	}
}

// otherLines has the shapes that no line is for, with the reason.
var otherLines = map[string]string{
	"azure-ad-b2c/the log of the minimal configuration names JWKSURL": "it is about the configuration without the line",
	"google-id-tokens/older issuer without a scheme":                  "the issuer has been an https URL for years; the older one takes JWKSURL",
	"kubernetes/legacy token of a secret: no exp, no aud":             "such tokens have not been made by default since 1.24: use projected ones",
}

// mismatch runs a shape with the line's options, and returns how the answer differs from what the
// file expects, or "". Roles and scopes are compared if the line reads them as the shape does. The
// status of a refusal is not: with other options another check may come first.
func (l providerLine) mismatch(t *testing.T, provider vectors.Provider, shape vectors.Shape) string {
	t.Helper()
	want := shape.Expect
	shape.Issuers = slices.Clone(shape.Issuers)
	for i, issuer := range shape.Issuers {
		var options []vectors.Setting
		for _, setting := range l.trusted.Options {
			options = append(options, inFile(provider, issuer.Options, setting))
		}
		if !slices.Equal(valuesOf(options, "RolesClaim"), valuesOf(issuer.Options, "RolesClaim")) {
			want.Roles = nil
		}
		if !slices.Equal(valuesOf(options, "ScopeClaim"), valuesOf(issuer.Options, "ScopeClaim")) {
			want.Scopes = nil
		}
		shape.Issuers[i].Options = options
	}
	if len(shape.Send) > 0 && l.places != nil {
		shape.Options = l.options()
	}
	got, err := answerTo(t, provider, shape)
	switch {
	case err != nil:
		return strings.ReplaceAll(err.Error(), "\n", "; ")
	case got.newErr != nil:
		return got.newErr.Error()
	case want.Refused() && got.claims != nil:
		return "it is let through"
	case want.Refused():
		return ""
	case got.claims == nil:
		return fmt.Sprintf("it is refused with %d %s", got.status, got.code)
	}
	return strings.Join(misread(got.claims, want), "; ")
}

// inFile returns an option of a line as the provider's file has it, if a reader would replace its
// values: first the shape's own, otherwise the first of the file.
func inFile(provider vectors.Provider, own []vectors.Setting, setting vectors.Setting) vectors.Setting {
	replaced := func(value any) bool {
		text, isText := value.(string)
		return !isText || strings.Contains(text, "://")
	}
	if !slices.ContainsFunc(setting[1:], replaced) {
		return setting
	}
	lists := [][]vectors.Setting{own}
	for _, shape := range provider.Shapes {
		for _, issuer := range shape.Issuers {
			lists = append(lists, issuer.Options)
		}
	}
	for _, candidate := range slices.Concat(lists...) {
		if goName(candidate) == setting.Name() {
			return candidate
		}
	}
	return setting
}

// goName is the name that an option of the files has in Go.
func goName(setting vectors.Setting) string {
	if name, ok := optionNames[setting.Name()]; ok {
		return name
	}
	return setting.Name()
}

func valuesOf(settings []vectors.Setting, name string) (values []any) {
	for _, setting := range settings {
		if goName(setting) == name {
			values = append(values, setting[1:]...)
		}
	}
	return values
}

// options are those of New beside WithIssuer.
func (l providerLine) options() []vectors.Setting {
	if l.places == nil {
		return nil
	}
	return []vectors.Setting{append(vectors.Setting{"WithTokensFrom"}, l.places...)}
}

// anyValues is the line with a value wherever the reader has to put one.
func (l providerLine) anyValues() vectors.Configured {
	configured := l.trusted
	configured.Options = nil
	for _, setting := range l.trusted.Options {
		filled := vectors.Setting{setting.Name()}
		for _, value := range setting[1:] {
			own, replaced := value.(ownValue)
			switch {
			case !replaced:
				filled = append(filled, value)
			case setting.Name() == "Keys": // a source, whose first argument is a URL
				source := own.Expr.(*ast.CallExpr)
				address, _ := strconv.Unquote(source.Args[0].(*ast.BasicLit).Value)
				filled = vectors.Setting{"KeysRemoteWithAuthorization", address, "Bearer token"}
			case setting.Name() != "IssuerTemplate": // whose function the test makes
				filled = append(filled, "a secret of 64 bytes, which is as long as the longest hash needs")
			}
		}
		configured.Options = append(configured.Options, filled)
	}
	return configured
}

// providerLines reads the rows that have a line.
func providerLines(t testing.TB) (lines []providerLine) {
	t.Helper()
	page, err := os.ReadFile(providersPage)
	if err != nil {
		t.Fatal(err)
	}
	for row := range strings.Lines(string(page)) {
		if !strings.Contains(row, "`bearer.WithIssuer(") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
		if len(cells) != lineColumns || slices.Contains(cells, "  ") {
			t.Errorf("%s: want %d cells with text: %s", providersPage, lineColumns, row)
			continue
		}
		provider, _, _ := strings.Cut(cells[0], "`")
		line := providerLine{provider: strings.TrimSpace(provider), shapes: codeOf(cells[0])}
		for _, code := range codeOf(cells[1]) {
			line.read(t, code)
		}
		lines = append(lines, line)
	}
	return lines
}

// read takes one argument of New apart.
func (l *providerLine) read(t testing.TB, code string) {
	t.Helper()
	expression, err := parser.ParseExpr(code)
	if err != nil {
		t.Fatalf("%s: %s: %v", providersPage, code, err)
	}
	ast.Inspect(expression, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			l.names = append(l.names, fmt.Sprint(selector.X)+"."+selector.Sel.Name)
		}
		return true
	})
	option := settingOf(t, expression)
	switch option.Name() {
	case "WithIssuer":
		l.trusted.Issuer, l.trusted.Audience = option[1].(string), option[2].(string)
		for _, value := range option[3:] {
			l.trusted.Options = append(l.trusted.Options, settingOf(t, value.(ownValue).Expr))
		}
	case "WithTokensFrom":
		for _, value := range option[1:] {
			place := settingOf(t, value.(ownValue).Expr)
			text := place.Name()
			for _, argument := range place[1:] {
				text += ":" + argument.(string)
			}
			l.places = append(l.places, text)
		}
	default:
		t.Fatalf("%s: %s is neither WithIssuer nor WithTokensFrom", providersPage, code)
	}
}

// settingOf turns a call into the form that the files have.
func settingOf(t testing.TB, expression ast.Expr) vectors.Setting {
	t.Helper()
	call, ok := expression.(*ast.CallExpr)
	if !ok {
		t.Fatalf("%s: a %T is no call", providersPage, expression)
	}
	setting := vectors.Setting{call.Fun.(*ast.SelectorExpr).Sel.Name}
	for _, argument := range call.Args {
		literal, ok := argument.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			setting = append(setting, ownValue{argument})
			continue
		}
		text, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		setting = append(setting, text)
	}
	return setting
}
