package tokens

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/bearer-go/bearer/internal/optional"
)

// maxClients is how many Fetchers a FetcherByClient remembers.
const maxClients = 4096

var (
	errNoClientFetcher = errors.New("the function of FetcherByClient returned no Fetcher")
	errTooManyClients  = fmt.Errorf("FetcherByClient keeps %d Fetchers that may have something to save; close the Manager, or use several", maxClients)
)

// FetcherByClient returns a Fetcher for one [Manager] over many clients, such as one for each
// customer: it passes a [Request] on to the Fetcher of its key's Issuer and Client. The function
// makes that one when it is first needed, most often of an oauth.Client. It gets both as they are
// in the key, and the context of the fetch.
//
//	func newFetcher(_ context.Context, issuer, id string) (tokens.Fetcher, error) {
//		client, err := oauth.NewClient(issuer, id, oauth.ClientSecretBasicFunc(secretOf(issuer, id)))
//		if err != nil {
//			return nil, err
//		}
//		return client.ClientCredentials(), nil
//	}
//
//	manager, err := tokens.NewManager(tokens.FetcherByClient(newFetcher))
//
// The key must come from the application, and not from a request: whatever issuer it names is sent
// a secret.
//
// A Fetcher is remembered as it was made. So what may change, such as a secret, is for a function
// like that of oauth.ClientSecretBasicFunc, which is called for each request. An error is not
// remembered: it is that of the fetch, and the next one calls the function again. Several fetches
// at once may call it for the same client; then one of the Fetchers is used, and the others are
// dropped.
//
// Of more than 4096 Fetchers the one that was not used for the longest time is forgotten. What is
// lost with it is where its server's endpoints are, and how long they are not to be asked; values
// that were registered with [Request.AtClose] are closed nevertheless. A Fetcher that is an
// [io.Closer], as that of package session is, may have something to save, and is never forgotten:
// with 4096 of those the fetch for another client is an error. One that wraps such a Fetcher needs
// a Close of its own, which calls the other's.
func FetcherByClient(fetcherOf func(ctx context.Context, issuer, client string) (Fetcher, error)) Fetcher {
	return byClient{hiddenByClient: &hiddenByClient{&byClientState{
		fetcherOf: fetcherOf, fetchers: make(map[clientID]*clientFetcher), order: list.New(),
	}}}
}

// byClient is a Fetcher that passes requests on. It prints as "[secret]".
type byClient struct {
	opaque
	*hiddenByClient
}

type hiddenByClient struct{ *byClientState }

type byClientState struct {
	fetcherOf func(ctx context.Context, issuer, client string) (Fetcher, error)

	mu       sync.Mutex // guards what follows
	fetchers map[clientID]*clientFetcher
	order    *list.List // of clientID, of those that can be forgotten; the one that was not used for the longest time is at the front
}

type clientID struct{ issuer, client string }

type clientFetcher struct {
	Fetcher
	place *list.Element // in the order; nil for one that is never forgotten
}

// ConfigErrors implements [optional.Reporter].
func (f byClient) ConfigErrors() []error {
	if f.fetcherOf != nil {
		return nil
	}
	return []error{&ConfigError{Option: "FetcherByClient", Value: "nil", Problem: "the function is nil; give one"}}
}

// Fetch implements [Fetcher].
func (f byClient) Fetch(ctx context.Context, r Request) (*Response, error) {
	if errs := f.ConfigErrors(); errs != nil {
		return nil, badRequest(errors.Join(errs...))
	}
	id := clientID{r.Key.Issuer, r.Key.Client}
	fetcher := f.find(id)
	if fetcher == nil {
		made, err := f.fetcherOf(ctx, id.issuer, id.client)
		if err != nil {
			return nil, fmt.Errorf("tokens: the client of a key is not available: %w", err)
		}
		if isNilFetcher(made) {
			return nil, badRequest(errNoClientFetcher)
		}
		if fetcher = f.remember(id, made); fetcher == nil {
			return nil, errTooManyClients
		}
	}
	return fetcher.Fetch(ctx, r)
}

// find returns the Fetcher of a client, or nil.
func (f byClient) find(id clientID) Fetcher {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, ok := f.fetchers[id]
	if !ok {
		return nil
	}
	if found.place != nil {
		f.order.MoveToBack(found.place)
	}
	return found.Fetcher
}

// remember adds the Fetcher of a client, in place of the one that was not used for the longest time
// if there are too many, and returns it. It returns the one that another fetch has added, if any,
// and nil if none can be forgotten.
func (f byClient) remember(id clientID, made Fetcher) Fetcher {
	f.mu.Lock()
	defer f.mu.Unlock()
	if found, ok := f.fetchers[id]; ok {
		return found.Fetcher
	}
	if len(f.fetchers) == maxClients {
		oldest := f.order.Front()
		if oldest == nil {
			return nil
		}
		delete(f.fetchers, f.order.Remove(oldest).(clientID))
	}
	added := &clientFetcher{Fetcher: made}
	if _, keeps := made.(io.Closer); !keeps {
		added.place = f.order.PushBack(id)
	}
	f.fetchers[id] = added
	return made
}

var _ optional.Reporter = byClient{}
