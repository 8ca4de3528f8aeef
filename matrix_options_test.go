package bearer_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// Why an option need not be in the matrix.
const (
	decidesNothing = "it decides nothing about a token"
	demandsMore    = "it demands more of a token, and accepts nothing"
	isTheBase      = "every setting of the matrix has it"
	bounds         = "it says how long something counts or how large it is, and TestCacheOptionsHaveBounds and others hold it"
	attackedBefore = "bearertest.TestAttackPassesTheMiddleware attacks it"
	widerBefore    = "bearertest.TestAttackFindsWhatAHandlerAcceptsBeyondTheRules attacks it"
	aboutFetches   = "it is about how keys are fetched, and the tests of package jwks hold it"
	pinnedKeys     = "TestManipulatedTokensAreRefused and Wycheproof's vectors use pinned keys"
)

// withoutMatrix are the options that the matrix need not have, and why.
var withoutMatrix = map[string]string{
	"bearer.WithIssuer":           isTheBase,
	"bearer.WithTokensFrom":       isTheBase,
	"bearer.WithHTTPClient":       isTheBase,
	"bearer.WithLogger":           isTheBase,
	"bearer.WithRealm":            decidesNothing,
	"bearer.WithResourceMetadata": decidesNothing,
	"bearer.WithObserver":         decidesNothing,
	"bearer.WithErrorHandler":     decidesNothing,
	"bearer.WithMaxTokenSize":     bounds,
	"bearer.WithCache":            "TestCachedAndUncachedAnswersAreEqual draws it",
	"bearer.WithoutCache":         "TestCachedAndUncachedAnswersAreEqual draws it",
	"bearer.TokensFrom":           "it is WithTokensFrom for one route; " + attackedBefore,

	"bearer.Audiences":     widerBefore,
	"bearer.AudienceClaim": attackedBefore,
	"bearer.Algorithms":    attackedBefore,
	"bearer.TokenTypes":    widerBefore,
	"bearer.RFC9068":       attackedBefore,
	"bearer.Leeway":        attackedBefore,
	"bearer.MaxLifetime":   attackedBefore,

	"bearer.Scopes":     demandsMore,
	"bearer.Roles":      demandsMore,
	"bearer.HasClaim":   demandsMore,
	"bearer.ACR":        demandsMore,
	"bearer.AuthMaxAge": demandsMore,
	"bearer.Func":       demandsMore,
	"bearer.All":        demandsMore,
	"bearer.Any":        demandsMore,

	"bearer.FromWebSocket": attackedBefore,

	"jwks.PEM":                     pinnedKeys,
	"jwks.WithHTTPClient":          aboutFetches,
	"jwks.WithLogger":              aboutFetches,
	"jwks.WithLifetime":            aboutFetches,
	"jwks.WithMaxStaleness":        aboutFetches,
	"jwks.WithColdWait":            aboutFetches,
	"jwks.WithLastKnownGood":       aboutFetches,
	"jwks.WithPublicAddressesOnly": aboutFetches,
	"jwks.InsecureHTTP":            aboutFetches,
}

// optionTypes are what a constructor of an option returns.
var optionTypes = []string{"Option", "IssuerOption", "RouteOption", "RegistryOption", "Requirement", "TokenLocation", "Source"}

// Every option that the packages export is in the matrix, or need not be for a reason.
// Rules: config.insecure.
func TestMatrixHasEveryOption(t *testing.T) {
	t.Parallel()
	has := calledInMatrix(t)
	known := make(map[string]bool)
	for name, dir := range guarded {
		for function, signature := range exportedSignatures(name, apiOf(t, dir)) {
			if signature.Recv() != nil || signature.Results().Len() != 1 {
				continue
			}
			named, ok := signature.Results().At(0).Type().(*types.Named)
			if !ok || !slices.Contains(optionTypes, named.Obj().Name()) {
				continue
			}
			known[function] = true
			switch why := withoutMatrix[function]; {
			case has[function] && why != "":
				t.Errorf("the matrix has %s: remove it from withoutMatrix", function)
			case !has[function] && why == "":
				t.Errorf("the matrix does not have %s", function)
			}
		}
	}
	for function := range withoutMatrix {
		if !known[function] {
			t.Errorf("there is no option %s: remove it from withoutMatrix", function)
		}
	}
	if len(known) < 60 {
		t.Errorf("only %d options were found", len(known))
	}
}

// calledInMatrix are the functions of the packages that the literals in func matrix call.
func calledInMatrix(t *testing.T) map[string]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "matrix_world_test.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	called := make(map[string]bool)
	for _, declaration := range file.Decls {
		matrix, ok := declaration.(*ast.FuncDecl)
		if !ok || matrix.Name.Name != "matrix" {
			continue
		}
		ast.Inspect(matrix, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if selector, ok := call.Fun.(*ast.SelectorExpr); ok {
				if pkg, ok := selector.X.(*ast.Ident); ok {
					called[strings.Join([]string{pkg.Name, selector.Sel.Name}, ".")] = true
				}
			}
			return true
		})
	}
	return called
}
