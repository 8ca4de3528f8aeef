// Command weblogin is a web application whose people log in with OpenID Connect. Their sessions are
// in a SQL database, so that any number of replicas serve them: a login that begins at one is
// finished at another, a logout at one counts at all, and a restart logs no one out. The start page
// shows what an API answers to the token of the person. The part to copy is login.go.
//
// It is configured by the environment. For Okta the issuer is that of a custom authorization
// server, and for Microsoft Entra ID https://login.microsoftonline.com/{tenant}/v2.0 with a scope
// such as api://orders/orders.read. Register SELF/callback there as the redirect URI, and let Okta
// give refresh tokens to the application:
//
//	export ISSUER=https://example.okta.com/oauth2/default CLIENT_ID=... CLIENT_SECRET=...
//	export SCOPE=orders.read API=https://orders.example.com SELF=https://app.example.com
//	openssl rand -base64 32 > store.key && openssl rand -base64 32 > login.key && chmod 600 *.key
//	export STORE_KEYS=store.key LOGIN_KEYS=login.key DATABASE=postgres://app@db.example.com/app
//	go run ./weblogin
//
// A DATABASE that does not begin with postgres:// is a file of SQLite, for the processes of one
// machine:
// 'file:app.db?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)&_pragma=synchronous(full)&_txlock=immediate'.
//
// What listens is plain HTTP on the loopback interface: put a proxy with TLS in front. Records of
// people who never log out stay; delete those that were not saved for longer than your issuer lets
// a refresh token rest.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/bearer-go/bearer/examples/sqlstore"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Getenv)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// run serves until the context ends, and then saves what could not be saved before.
func run(ctx context.Context, env func(string) string) (err error) {
	a, err := newApp(ctx, env)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: a.routes(), ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err = server.ListenAndServe(); errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, a.close())
}

type app struct {
	logins
	api string
	db  *sql.DB
}

func newApp(ctx context.Context, env func(string) string) (*app, error) {
	driver, dialect := "sqlite", sqlstore.SQLite
	if strings.HasPrefix(env("DATABASE"), "postgres://") {
		driver, dialect = "pgx", sqlstore.PostgreSQL
	}
	client, err := oauth.NewClient(env("ISSUER"), env("CLIENT_ID"), oauth.ClientSecretBasic(tokens.NewSecret(env("CLIENT_SECRET"))))
	if err != nil {
		return nil, err
	}
	db, err := sql.Open(driver, env("DATABASE"))
	if err != nil {
		return nil, err
	}
	scopes := append(strings.Fields(env("SCOPE")), "openid", "offline_access")
	a := &app{api: env("API"), db: db, logins: logins{
		client: client, callback: env("SELF") + "/callback", scope: session.WithScope(scopes...),
		keys: session.SealKeysFromFile(env("LOGIN_KEYS")),
	}}
	if err := a.open(ctx, db, dialect, session.SealKeysFromFile(env("STORE_KEYS"))); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return a, nil
}

func (a *app) close() error { return errors.Join(a.sessions.Close(), a.db.Close()) }

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", page(a.login))
	mux.HandleFunc("GET /callback", page(a.finish))
	mux.HandleFunc("POST /logout", page(a.logout))
	mux.HandleFunc("GET /{$}", page(a.home))
	return mux
}

var start = template.Must(template.New("").Parse(`<!DOCTYPE html><title>Orders</title>
{{if .}}<p>{{.Person}} has: {{.Orders}}<form method="post" action="/logout"><button>Log out</button></form>
{{else}}<p><a href="/login">Log in</a>{{end}}
`))

// home calls the API with the token of the person.
func (a *app) home(w http.ResponseWriter, r *http.Request) error {
	person, _, s, err := a.person(r)
	if err != nil {
		return err
	}
	transport, err := s.Source(tokens.Key{}).Transport(nil, tokens.WithOrigins(a.api))
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, a.api+"/orders", http.NoBody)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the API answers %s", response.Status)
	}
	orders, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return err
	}
	return start.Execute(w, map[string]string{"Person": person, "Orders": string(orders)})
}

// page answers what a handler could not do. A person who is not logged in, or not any more, gets a
// link and is not sent to the issuer at once: where that fails again and again, or cookies are
// switched off, the browser would go around in circles.
func page(handler func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		err := handler(w, r)
		if errors.Is(err, http.ErrNoCookie) || errors.Is(err, session.ErrNotFound) || errors.Is(err, tokens.ErrLoginRequired) {
			err = start.Execute(w, nil)
		}
		if err != nil {
			log.Print(err) // it has no token in it
			http.Error(w, "This did not work. Please try again.", http.StatusServiceUnavailable)
		}
	}
}
