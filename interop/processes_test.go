package interop_test

import (
	"bufio"
	"context"
	crand "crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

const (
	renewals = 1000 // of one refresh token, by the processes that share it
	sharers  = 2    // processes

	kills = 200 // of processes that renew

	maxRest = 5 * time.Millisecond // of a process between two renewals, so that all come to it

	// answerDelay is for which the provider keeps its answer back, in milliseconds, when processes
	// are killed: long enough that some of them die between the provider's new refresh token and
	// their saving it.
	answerDelay = 2

	// childLimit is far more than a child needs between two lines. One that takes longer hangs.
	childLimit = time.Minute
)

// The environment of a child: what it does, as JSON, and the key of its store.
const (
	jobVariable  = "BEARER_INTEROP_JOB"
	sealVariable = "BEARER_INTEROP_SEAL_KEY_FILE"
)

// job is what a child process does with alice's session.
type job struct {
	Issuer, Dir string
	Renewals    int      // how often it renews, and asks the provider for it; 0 is until it is killed
	Replica     *replica `json:",omitempty"` // what it is instead
}

// line is what a child says of it.
type line struct {
	Kind string
	Err  string `json:",omitempty"`
	Text string `json:",omitempty"` // of a replica
	tally
}

// tally is what became of renewals.
type tally struct {
	Asked    int `json:",omitempty"` // those that the provider was asked for
	Shared   int `json:",omitempty"` // and those that another process had asked for meanwhile
	Unusable int `json:",omitempty"` // answers that brought no token
}

// The kinds of lines.
const (
	works         = "works"          // the session goes on: a token was handed out and renewed
	loginRequired = "login required" // the last line
	renewing      = "renewing"       // the next renewal begins now
	tryingAgain   = "trying again"   // the answer to it could not be used
	done          = "done"           // the last line
	failed        = "failed"         // anything else, and the last line
)

func TestMain(m *testing.M) {
	if text := os.Getenv(jobVariable); text != "" {
		beChild(text)
		return
	}
	m.Run()
}

// beChild does a job and says what comes of it.
func beChild(text string) {
	go func() { // a child does not outlive its parent
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	var mu sync.Mutex
	say := func(l line) {
		mu.Lock()
		defer mu.Unlock()
		_ = json.NewEncoder(os.Stdout).Encode(l)
	}
	var j job
	last := line{Kind: done}
	err := json.Unmarshal([]byte(text), &j)
	switch {
	case err != nil:
	case j.Replica != nil:
		err = j.serve(say)
	default:
		last.tally, err = j.do(context.Background(), func(kind string) { say(line{Kind: kind}) })
	}
	if err != nil {
		last.Kind, last.Err = failed, err.Error()
		if errors.Is(err, tokens.ErrLoginRequired) {
			last.Kind = loginRequired
		}
	}
	say(last)
}

// do renews the token of one key over and over.
func (j job) do(ctx context.Context, say func(kind string)) (all tally, err error) {
	alice, err := j.open()
	if err != nil {
		return all, err
	}
	source := alice.Source(tokens.Key{Resource: orders})
	for j.Renewals == 0 || all.Asked < j.Renewals {
		<-time.After(rand.N(maxRest))
		source.Reset() // so that the token comes out of the store, and may be renewed again
		old, err := source.Token(ctx)
		if err != nil {
			return all, err
		}
		before := source.Stats()
		if j.Renewals == 0 {
			say(renewing)
		}
		source.Invalidate(old)
		token, err := source.Token(ctx)
		after := source.Stats()
		outcome := works
		switch {
		case err != nil:
			return all, err
		case token.AccessToken() != old.AccessToken():
		case isUnusable(after.LastError):
			outcome = tryingAgain
			all.Unusable++
		default:
			return all, fmt.Errorf("the token was not renewed: %w", after.LastError)
		}
		all.Asked += after.Fetches - before.Fetches
		all.Shared += after.Reuses - before.Reuses
		if j.Renewals == 0 {
			say(outcome)
		}
	}
	return all, alice.Close()
}

// isUnusable reports whether an error is about an answer that was a success, and could not be read.
func isUnusable(err error) bool {
	e, ok := errors.AsType[*tokens.Error](err)
	return ok && e.Op == "token" && e.Status == http.StatusOK && e.Code == ""
}

// open returns alice's session, over the store that all processes share.
func (j job) open() (*session.Session, error) {
	client, err := j.client()
	if err != nil {
		return nil, err
	}
	return j.sessionOf(client)
}

func (j job) client() (*oauth.Client, error) {
	return oauth.NewClient(j.Issuer, webID, oauth.ClientSecretBasic(tokens.NewSecret(webSecret)))
}

func (j job) sessionOf(client *oauth.Client) (*session.Session, error) {
	store, err := session.NewFileStore(j.Dir, session.SealKeysFromFile(os.Getenv(sealVariable)))
	if err != nil {
		return nil, err
	}
	return session.New(client, store, personName, tokens.WithLogger(slog.New(slog.DiscardHandler)))
}

// prepare gives this process and its children a store, and logs alice in.
func (j job) prepare(t *testing.T) *session.Session {
	t.Helper()
	t.Setenv(sealVariable, newSealKeyFile(t))
	alice, err := j.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = alice.Close() })
	logIn(t, alice)
	return alice
}

// newSealKeyFile returns the path of a new file with a new key.
func newSealKeyFile(t *testing.T) (path string) {
	t.Helper()
	path, key := filepath.Join(t.TempDir(), "key"), make([]byte, 32)
	_, _ = crand.Read(key) // it never fails
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(key)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// child is this test's binary, run once more.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	late  atomic.Bool
}

func (j job) start(t *testing.T) *child {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.CommandContext(t.Context(), self)}
	c.cmd.Env = append(os.Environ(), jobVariable+"="+string(text))
	c.cmd.Stderr = t.Output()
	if _, err := c.cmd.StdinPipe(); err != nil { // held open while this process lives
		t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewScanner(stdout)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	return c
}

// kill ends the child by SIGKILL, and returns when it is gone. It may be called more than once.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// next is the child's next line.
func (c *child) next(t *testing.T) (l line) {
	t.Helper()
	tooLate := time.AfterFunc(childLimit, func() {
		c.late.Store(true)
		_ = c.cmd.Process.Kill()
	})
	defer tooLate.Stop()
	if !c.lines.Scan() {
		t.Fatalf("the process said nothing more (it hung: %t); %v", c.late.Load(), c.lines.Err())
	}
	if err := json.Unmarshal(c.lines.Bytes(), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

// Two processes share one refresh token that rotates, and each renews all the time. The provider
// sees every refresh token once, although a third of its answers are odd ones.
func TestTwoProcessesShareARefreshToken(t *testing.T) {
	issuer := startProviderWith(t, providerConfig{Clients: []clientMetadata{webClient}, OddSeed: newSeed(t)})
	j := job{Issuer: issuer, Dir: t.TempDir(), Renewals: renewals / sharers}
	j.prepare(t)

	began := time.Now()
	var children []*child
	for range sharers {
		children = append(children, j.start(t))
	}
	var all tally
	for _, c := range children {
		l := c.next(t)
		if l.Kind != done || l.Asked < j.Renewals {
			t.Fatalf("a process ended with %+v, want %d renewals", l, j.Renewals)
		}
		all.Asked += l.Asked
		all.Shared += l.Shared
		all.Unusable += l.Unusable
	}
	t.Logf("%d renewals by %d processes in %s; %d times one took the token that another had renewed",
		all.Asked, sharers, time.Since(began).Round(time.Millisecond), all.Shared)
	if all.Shared == 0 {
		t.Error("the processes did not get into each other's way: nothing was tested")
	}
	report := reportOf(t, issuer)
	report.wantAllOddities(t)
	if want := report.unusable(); all.Unusable != want {
		t.Errorf("%d answers brought no token, want %d", all.Unusable, want)
	}
	if want := all.Asked + all.Unusable; report.Refreshed != want {
		t.Errorf("the provider was asked %d times, and the processes asked %d times", report.Refreshed, want)
	}
	if len(report.Refused) > 0 {
		t.Errorf("the provider refused: %v", report.Refused)
	}
	j.Renewals = 1
	if _, err := j.do(t.Context(), nil); err != nil {
		t.Errorf("the session does not go on: %v", err)
	}
}

// newSeed returns a seed for odd answers, and logs it.
func newSeed(t *testing.T) uint32 {
	seed := 1 + rand.Uint32N(math.MaxUint32) // 0 is none
	t.Logf("the seed of odd answers is %d", seed)
	return seed
}

// A process that renews is killed at any moment of it, 200 times. The next one either goes on with
// the session, or learns that a login is required: then the provider had given a new refresh token
// that the process did not live to save. Nothing else happens, and a login repairs it. A third of
// the provider's answers are odd ones.
func TestKilledWhileRenewing(t *testing.T) {
	issuer := startProviderWith(t, providerConfig{
		Clients: []clientMetadata{webClient}, AnswerDelay: answerDelay, OddSeed: newSeed(t),
	})
	j := job{Issuer: issuer, Dir: t.TempDir()}
	alice := j.prepare(t)
	mustWork := func(c *child) {
		t.Helper()
		if first, second := c.next(t), c.outcome(t); first.Kind != renewing || second.Kind != works {
			t.Fatalf("after a login a process said %+v and %+v", first, second)
		}
	}

	c := j.start(t)
	mustWork(c)
	cycle := c.cycle(t)
	began := time.Now()
	outcomes := map[string]int{}
	for range kills {
		c.killWithin(t, cycle)
		if loggedIn, err := alice.LoggedIn(t.Context()); !loggedIn || err != nil {
			t.Fatalf("the record of a killed process: LoggedIn is %t, %v", loggedIn, err)
		}
		c = j.start(t)
		l := c.outcome(t)
		outcomes[l.Kind]++
		switch l.Kind {
		case works:
		case loginRequired:
			c.kill()
			logIn(t, alice)
			c = j.start(t)
			mustWork(c)
		default:
			t.Fatalf("the process after a killed one said %+v", l)
		}
	}
	t.Logf("killed %d times in a cycle of %s: %d sessions went on, %d needed a login; %s",
		kills, cycle, outcomes[works], outcomes[loginRequired], time.Since(began).Round(time.Millisecond))

	if outcomes[works] == 0 || outcomes[loginRequired] == 0 {
		t.Error("all were killed at the same moment: nothing was tested")
	}
	report := reportOf(t, issuer)
	report.wantAllOddities(t)
	// After an answer that could not be used, a process has more than one refresh token, and tries
	// the others, too, when the provider has ended the family.
	if n := report.Refused[ended]; n > report.unusable() {
		t.Errorf("%d refresh tokens were tried after the end, and only %d answers could not be used", n, report.unusable())
	}
	t.Logf("refused: %v", report.Refused)
	delete(report.Refused, ended)
	if want := map[string]int{reused: outcomes[loginRequired]}; !maps.Equal(report.Refused, want) {
		t.Errorf("the provider refused %v, want %v", report.Refused, want)
	}
}

// outcome is the child's next line about whether the session goes on. A token in the store does not
// say that; what matters is whether it can be renewed.
func (c *child) outcome(t *testing.T) line {
	t.Helper()
	for {
		if l := c.next(t); l.Kind != renewing && l.Kind != tryingAgain {
			return l
		}
	}
}

// cycle is how long one renewal takes, and what is between two.
func (c *child) cycle(t *testing.T) time.Duration {
	t.Helper()
	var all []time.Duration
	var began time.Time
	for len(all) < 20 {
		if c.next(t).Kind != renewing {
			continue
		}
		now := time.Now()
		if !began.IsZero() {
			all = append(all, now.Sub(began))
		}
		began = now
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// killWithin kills the child at random within this time of a renewal's beginning.
func (c *child) killWithin(t *testing.T, cycle time.Duration) {
	t.Helper()
	for c.next(t).Kind != renewing {
	}
	<-time.After(rand.N(cycle))
	c.kill()
}
