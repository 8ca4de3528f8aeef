package jwks

import (
	"context"
	"io/fs"
	"time"

	"github.com/bearer-go/bearer/internal/keyset"
)

// AppendKeys and Holds are what package bearer asks a set, with the keys that users see.

func (s *Set) AppendKeys(ctx context.Context, keys []Key, iss, kid, alg string) ([]Key, time.Time, error) {
	all, at, err := pipeline{s}.Candidates(ctx, iss, keyset.Hint{KeyID: kid}, alg)
	for _, found := range all.Keys() {
		for _, key := range s.current.Load().keys {
			if &key.Key == found {
				keys = append(keys, Key{key})
			}
		}
	}
	return keys, at, err
}

func (s *Set) Holds(ctx context.Context, iss, kid, alg string, key Key) (bool, time.Time, error) {
	return pipeline{s}.Holds(ctx, iss, keyset.Hint{KeyID: kid}, alg, &key.read().Key)
}

// ErrKeyOfOther is the error for a key that is published for other issuers only.
var ErrKeyOfOther = errKeyOfOther

// KeysByCertificate and HoldsByCertificate are what package bearer asks for a token with a text of
// x5t#S256 in its header.

func (s *Set) KeysByCertificate(ctx context.Context, kid, x5t, alg string) ([]Key, error) {
	q := query{
		hint: keyset.Hint{KeyID: kid, Thumbprint: keyset.ThumbprintOf(x5t)}, marked: x5t != "", anyIssuer: true,
	}
	var found candidates
	_, err := s.candidates(ctx, &q, alg, &found)
	return found.list(), err
}

func (s *Set) HoldsByCertificate(ctx context.Context, kid, x5t, alg string, key Key) (bool, error) {
	hint := keyset.Hint{KeyID: kid, Thumbprint: keyset.ThumbprintOf(x5t)}
	held, _, err := pipeline{s}.Holds(ctx, "", hint, alg, &key.read().Key)
	return held, err
}

// MissingSource is what package bearer learns beside the candidates: why the keys of a source are not known.
func (s *Set) MissingSource(ctx context.Context, kid, alg string) (found bool, missing error) {
	all, _, err := pipeline{s}.Candidates(ctx, "", keyset.Hint{KeyID: kid}, alg)
	return err == nil, all.Missing
}

// WithStat is a source of [File] that looks at its file in this way.
func (source Source) WithStat(stat func(path string) (fs.FileInfo, error)) Source {
	open := source.open
	source.open = func(c *config) opened {
		o := open(c)
		o.fetcher.(*keyFile).stat = stat
		return o
	}
	return source
}
