package jwks

import (
	"context"
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
