package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"cloud.google.com/go/auth"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

const (
	herdCallers  = 20
	herdPatience = 10 * time.Second       // of each of them
	herdPoll     = 5 * time.Millisecond   // between two attempts of the caller that waits for the issuer to recover
	herdPause    = 500 * time.Millisecond // that package tokens makes after a first failure, at most
)

// The names of the rows.
const (
	clockRow  = "time.Now alone"
	sourceRow = libraryName
	oauth2Row = "x/oauth2"
	cloudRow  = "cloud.google.com/go/auth"
)

var (
	freshRows = []string{clockRow, sourceRow, oauth2Row, cloudRow}
	herdRows  = []string{sourceRow, oauth2Row, cloudRow}
)

// freshKey and herdKey name figures.
func freshKey(row string, cores int) string { return fmt.Sprintf("fresh/%d/%s", cores, row) }
func herdKey(row, what string) string       { return "herd/" + row + "/" + what }

// fresh measures handing out a token that is there already and has an hour to go.
func (b *bench) fresh() error {
	ctx := context.Background()
	manager, err := newTokenManager(tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
		return &tokens.Response{AccessToken: tokens.NewSecret("a"), TokenType: "Bearer", ExpiresIn: time.Hour}, nil
	}))
	if err != nil {
		return err
	}
	defer func() { _ = manager.Close() }()
	ours := manager.Source(tokens.Key{})
	theirs := oauth2.ReuseTokenSource(nil, oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "a", Expiry: time.Now().Add(time.Hour)}))
	googles := auth.NewCachedTokenProvider(onceFetched{&auth.Token{Value: "a", Expiry: time.Now().Add(time.Hour)}}, nil)

	subjects := []subject{
		{clockRow, func(n int) {
			var now time.Time
			for range n {
				now = time.Now()
			}
			if n > 0 && now.IsZero() {
				wrong("there is no time")
			}
		}},
		{sourceRow, func(n int) {
			for range n {
				if t, err := ours.Token(ctx); err != nil || t == nil {
					wrong("no token: %v", err)
				}
			}
		}},
		{oauth2Row, func(n int) {
			for range n {
				if t, err := theirs.Token(); err != nil || t == nil {
					wrong("no token: %v", err)
				}
			}
		}},
		{cloudRow, func(n int) {
			for range n {
				if t, err := googles.Token(ctx); err != nil || t == nil {
					wrong("no token: %v", err)
				}
			}
		}},
	}
	b.measure("fresh/1", subjects)
	if !canScale() {
		b.say("fresh: two cores NOT measured: there is one")
		return nil
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	for i, s := range subjects {
		subjects[i] = subject{s.name, func(n int) {
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() { s.run(n / 2) })
			}
			both.Wait()
		}}
	}
	b.measure("fresh/2", subjects)
	return nil
}

// onceFetched has one token.
type onceFetched struct{ token *auth.Token }

// Token returns it.
func (o onceFetched) Token(context.Context) (*auth.Token, error) { return o.token, nil }

func newTokenManager(fetcher tokens.Fetcher) (*tokens.Manager, error) {
	return tokens.NewManager(fetcher, tokens.WithLogger(slog.New(slog.DiscardHandler)))
}

// failing is an issuer that takes a while for each answer, and answers 503 until it is well.
type failing struct {
	takes time.Duration
	well  atomic.Bool
	calls atomic.Int64
}

// ServeHTTP answers any request.
func (f *failing) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	f.calls.Add(1)
	well := f.well.Load()
	<-time.After(f.takes)
	if !well {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"access_token":"a","token_type":"Bearer","expires_in":3600}`)
}

// herd lets many callers ask for a token at once while the issuer is down, and then one until the
// issuer has recovered. Each library has an issuer of its own, and asks it with its own client.
func (b *bench) herd() error {
	for _, row := range herdRows {
		if err := b.herdOf(row); err != nil {
			return fmt.Errorf("%s: %w", row, err)
		}
	}
	return nil
}

func (b *bench) herdOf(row string) error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	issuer := &failing{takes: b.answer}
	server := &http.Server{Handler: issuer, ReadHeaderTimeout: time.Minute}
	defer func() { _ = server.Close() }()
	go func() { _ = server.Serve(listener) }()

	transport := &http.Transport{MaxIdleConnsPerHost: herdCallers}
	defer transport.CloseIdleConnections()
	ask, end, err := b.asker(row, "http://"+listener.Addr().String(), &http.Client{Transport: transport})
	if err != nil {
		return err
	}
	defer end()

	ctx, cancel := context.WithTimeout(context.Background(), herdPatience)
	defer cancel()
	var herd sync.WaitGroup
	var waits [herdCallers]time.Duration
	for i := range waits {
		herd.Go(func() {
			began := time.Now()
			if ask(ctx) == nil {
				wrong("%s: a token from an issuer that is down", row)
			}
			waits[i] = time.Since(began)
		})
	}
	herd.Wait()
	var slowest time.Duration
	for _, wait := range waits {
		slowest = max(slowest, wait)
	}
	b.figures[herdKey(row, "calls")] = figure{ns: float64(issuer.calls.Load())}
	b.figures[herdKey(row, "slowest")] = figure{ns: float64(slowest)}

	issuer.well.Store(true)
	began := time.Now()
	for ask(context.Background()) != nil {
		if time.Since(began) > herdPatience {
			return fmt.Errorf("no token within %v of an issuer that is well again", herdPatience)
		}
		<-time.After(herdPoll)
	}
	b.figures[herdKey(row, "recovery")] = figure{ns: float64(time.Since(began))}
	return nil
}

// asker returns a function that asks for a token as a caller of the library does, and one that ends it.
func (b *bench) asker(row, url string, client *http.Client) (ask func(context.Context) error, end func(), err error) {
	switch row {
	case sourceRow:
		c, err := oauth.NewClient(url, "bench", oauth.ClientSecretBasic(tokens.NewSecret("secret")),
			oauth.WithTokenEndpoint(url+"/token"), oauth.WithHTTPClient(client))
		if err != nil {
			return nil, nil, err
		}
		manager, err := newTokenManager(c.ClientCredentials())
		if err != nil {
			return nil, nil, err
		}
		source := manager.Source(tokens.Key{})
		return func(ctx context.Context) error {
			_, err := source.Token(ctx)
			return err
		}, func() { _ = manager.Close() }, nil
	case oauth2Row:
		config := clientcredentials.Config{
			ClientID: "bench", ClientSecret: "secret", TokenURL: url + "/token", AuthStyle: oauth2.AuthStyleInHeader,
		}
		source := config.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, client)) // a ReuseTokenSource
		return func(context.Context) error {
			_, err := source.Token()
			return err
		}, func() {}, nil
	default:
		der, err := x509.MarshalPKCS8PrivateKey(b.scenes["RS256"].private)
		if err != nil {
			return nil, nil, err
		}
		provider, err := auth.New2LOTokenProvider(&auth.Options2LO{
			Email: "bench", PrivateKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
			TokenURL: url + "/token", Client: client,
		})
		if err != nil {
			return nil, nil, err
		}
		cached := auth.NewCachedTokenProvider(provider, nil)
		return func(ctx context.Context) error {
			_, err := cached.Token(ctx)
			return err
		}, func() {}, nil
	}
}
