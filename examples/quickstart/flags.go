package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/bearer-go/bearer"
)

// settings are what the flags say.
type settings struct {
	check      bool
	explain    bool
	listen     string
	issuer     string // "": the one for trying out
	audiences  []string
	jwks       string   // "": discovery
	algorithms []string // nil: the library's default, as for the types
	types      []string
	sources    []string // names of tokenSources
	scope      string
	leeway     time.Duration
	optional   bool
}

// usageError is a mistake in how the program was called.
type usageError struct{ error }

// tokenSources are the places for a token that -sources knows, and how curl puts one there.
var tokenSources = map[string]struct {
	source bearer.TokenLocation
	curl   string
}{
	"header": {bearer.FromHeader(), `-H "Authorization: Bearer $TOKEN" %s`},
	"query":  {bearer.FromQuery(), `"%s?access_token=$TOKEN"`},
	"cookie": {bearer.FromCookie(), `--cookie "access_token=$TOKEN" %s`},
	"form":   {bearer.FromForm(), `--data "access_token=$TOKEN" %s`},
}

// newFlags returns the flags, and the settings they write to.
func newFlags() (*flag.FlagSet, *settings) {
	s := &settings{
		listen:  "127.0.0.1:8080",
		sources: []string{"header"},
		scope:   "orders:read",
		leeway:  30 * time.Second,
	}
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run prints the error
	flags.Usage = func() {}
	define := func(name, usage string, set func(value string) error) { flags.Func(name, usage, once(set)) }

	flags.BoolVar(&s.check, "check", false, "make the requests, compare the answers, and exit with 0 or 1")
	flags.BoolVar(&s.explain, "explain", false, "read a token from standard input, say how /orders judges it, and exit with 0 if it is accepted")
	define("listen", "serve at this `address` (default 127.0.0.1:8080, for -check a free port)",
		text(&s.listen, checkAddress))
	define("issuer", "protect the API for the tokens of this issuer: its exact `URL`", text(&s.issuer, nil))
	define("audience", "accept tokens for one of these `audiences`; -issuer needs it", list(&s.audiences, nil))
	define("jwks", "fetch the keys from this `URL` (default: discovery)", text(&s.jwks, nil))
	define("algorithms", "accept these signature `algorithms` (default RS256,PS256,ES256,EdDSA)", list(&s.algorithms, nil))
	define("types", "accept these token `types` (default at+jwt,JWT)", list(&s.types, nil))
	define("sources", "find tokens in these `places`: header, query, cookie, form (default header)",
		list(&s.sources, checkSource))
	define("scope", "demand this scope `name` for /orders (default orders:read)", text(&s.scope, checkScope))
	define("leeway", "let clocks differ by this `duration` (default 30s)", duration(&s.leeway))
	flags.BoolVar(&s.optional, "optional", false, "let requests without a token pass on /me")
	return flags, s
}

// once refuses an empty value, which is what an unset variable looks like and must not pass for a
// default, and a second value, for which of the two holds would be a guess.
func once(set func(string) error) func(string) error {
	given := false
	return func(value string) error {
		if given {
			return errors.New("given twice")
		}
		given = true
		if value == "" {
			return errors.New("it is empty; is a variable unset?")
		}
		return set(value)
	}
}

func text(p *string, check func(string) error) func(string) error {
	return func(value string) error {
		*p = value
		if check == nil {
			return nil
		}
		return check(value)
	}
}

func list(p *[]string, check func(string) error) func(string) error {
	return func(value string) error {
		*p = strings.Split(value, ",")
		for _, item := range *p {
			if item == "" {
				return errors.New("one of its values is empty; separate them with single commas")
			}
			if check == nil {
				continue
			}
			if err := check(item); err != nil {
				return err
			}
		}
		return nil
	}
}

func duration(p *time.Duration) func(string) error {
	return func(value string) error {
		d, err := time.ParseDuration(value)
		if err != nil {
			return errors.New("not a duration such as 30s")
		}
		*p = d
		return nil
	}
}

// parse reads the arguments, and judges what no flag can tell alone.
func parse(args []string) (*settings, error) {
	flags, s := newFlags()
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, usageError{err}
	}
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if s.check && !given["listen"] {
		s.listen = "127.0.0.1:0"
	}
	switch {
	case flags.NArg() > 0:
		return nil, usageError{fmt.Errorf("unexpected argument %q: everything is said with flags", flags.Arg(0))}
	case s.explain && !given["issuer"]:
		return nil, usageError{errors.New("-explain needs -issuer: the built-in issuer starts with new keys each time")}
	case given["issuer"] && s.check:
		return nil, usageError{errors.New("-check cannot go with -issuer: only the built-in issuer signs the tokens it needs")}
	case given["issuer"] && !given["audience"]:
		return nil, usageError{errors.New("-issuer needs -audience: the value your service has in the tokens' aud")}
	case given["issuer"]:
		return s, nil
	}
	for _, name := range []string{"audience", "jwks", "algorithms", "types", "sources", "scope", "leeway", "optional"} {
		if given[name] {
			return nil, usageError{fmt.Errorf("-%s needs -issuer: it is about tokens of an issuer of your own", name)}
		}
	}
	return s, nil
}

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("not an address such as 127.0.0.1:8080")
	}
	return nil
}

func checkSource(name string) error {
	if _, ok := tokenSources[name]; !ok {
		return fmt.Errorf("%q is none of header, query, cookie and form", name)
	}
	return nil
}

// checkScope keeps to the grammar of RFC 6749 section 3.3. bearer.Scopes panics for other names, as
// they come from the program's text in most services.
func checkScope(name string) error {
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return errors.New("a scope is printable ASCII without spaces, quotes and backslashes")
	}
	return nil
}

// options are the settings in the library's words.
func (s *settings) options(logger *slog.Logger) []bearer.Option {
	issuer := []bearer.IssuerOption{bearer.Leeway(s.leeway)}
	if further := s.audiences[1:]; len(further) > 0 {
		issuer = append(issuer, bearer.Audiences(further...))
	}
	if s.jwks != "" {
		issuer = append(issuer, bearer.JWKSURL(s.jwks))
	}
	if s.algorithms != nil {
		issuer = append(issuer, bearer.Algorithms(s.algorithms...))
	}
	if s.types != nil {
		issuer = append(issuer, bearer.TokenTypes(s.types...))
	}
	var sources []bearer.TokenLocation
	for _, name := range s.sources {
		sources = append(sources, tokenSources[name].source)
	}
	return []bearer.Option{
		bearer.WithIssuer(s.issuer, s.audiences[0], issuer...),
		bearer.WithTokensFrom(sources...),
		bearer.WithLogger(logger),
	}
}

// me is what /me demands: a token, or with -optional not even that.
func (s *settings) me() []bearer.RouteOption {
	if s.optional {
		return []bearer.RouteOption{bearer.Optional()}
	}
	return nil
}

func (s *settings) logLevel() slog.Level {
	if s.issuer == "" {
		return slog.LevelWarn // the refusals of the demonstration are no news
	}
	return slog.LevelDebug
}

func printHelp(out io.Writer) {
	fmt.Fprint(out, `quickstart shows what bearer does in net/http, Gin and Echo.

  quickstart                                     an issuer for trying out, and requests to look at
  quickstart -check                              the requests alone; exits with 0 when all answers are right
  quickstart -issuer URL -audience AUDIENCES     the same API, for tokens of an issuer of yours

Flags that take several values take them separated by commas. All but -check and -listen need -issuer.

`)
	flags, _ := newFlags()
	flags.SetOutput(out)
	flags.PrintDefaults()
}
