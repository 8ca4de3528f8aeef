// Package jwks fetches the public keys of token issuers and keeps them available.
//
// A [Set] has the keys of one issuer, from one [Source]: found by the issuer's metadata
// ([Discover]), fetched from a URL ([Remote]), read from a file ([File]), or pinned ([Static],
// [PEM], [PublicKeys]); or from several of them ([AnyOf]). [Set.Keys] answers the one question that
// verifying a token asks: which keys may have signed a token with this header?
//
// # When the issuer is slow, down or rotating
//
// What a request experiences depends on the set's keys:
//
//	state    keys                       a request                              next fetch
//	cold     none yet                   waits for the first, at most 5 s       1 to 4 s after a failure
//	fresh    within their lifetime      is served at once                      ahead of the end of the lifetime
//	stale    past their lifetime        is served from them; waits at most     within a minute after a failure
//	                                    2 s for newer ones, unless the
//	                                    issuer failed in the last 10 minutes
//	expired  24 hours old               as when cold                           as when cold
//
// The lifetime is the max-age of the issuer's Cache-Control, within 1 minute and 1 hour, or 10
// minutes if there is none. [WithLifetime], [WithMaxStaleness] and [WithColdWait] set other limits.
// Requests start the fetches. There is no timer: a set that is not used does nothing and has no
// goroutine. Requests that arrive during a fetch share it, and none of them can cancel it. A fetch
// sends the entity tag of the current keys, so that an unchanged set is not sent again. With
// [WithLastKnownGood] the keys survive a restart of the service.
//
// # Unknown key ids
//
// A token may name a key id that the set does not have, because the issuer has just begun to use a
// new key. The set is then fetched again. All requests that wait share this search, whatever key
// ids they look for, and a request waits at most 2 s for it. Anyone can make up key ids, so there
// are at most five searches in a row, and then one every 4 s. That is what outsiders can make a set
// do: at most 905 fetches in an hour, in addition to the refreshes of the table.
//
// While this budget is spent, a request waits for the next search. It is unavailable at once if
// that search comes only after its [WithColdWait] or its own deadline, or if 16,384 requests wait
// already. So the worst that made-up key ids do to a token of a new key is a wait of 4 s and a
// search. Tokens with known key ids never wait for any of this. In package bearer a request that
// waits holds about 12 KiB with an ordinary token, and about 42 KiB with one of 14 KiB. A shorter
// WithColdWait and a smaller bearer.WithMaxTokenSize lower what all of them hold together.
//
// A key id that a search did not find is remembered, as a hash, among at most 512. It is answered
// as not found, without a search, until the current keys are 10 s old, and from then on 20 s, 40 s
// and so on up to 2 minutes. Any fetch that brings the key ends that at once. So a forgotten client
// that keeps sending tokens of a withdrawn key costs next to nothing, and a key that is published
// after its first tokens is found within 2 minutes. The price: an attacker who knows a key id
// before the key is published can have it remembered. An issuer prevents that by publishing keys
// before it signs with them, or with ids that cannot be guessed.
//
// [ErrKeyNotFound], for a 401, is the answer only if the last fetch worked and the current keys do
// not have the key, and they were requested after the token came or are young enough by the rule
// above. Otherwise the answer is an [UnavailableError], for a 503. While the issuer fails that
// holds for every key id that the set does not have, and a request starts another search 1 to 4 s
// after the failure. A key that a new set no longer has is gone at once.
//
// A document that is not a JWK Set with at least one entry never replaces the current keys, and
// neither does one of whose entries none is an object by the rules of JSON, as a broken proxy makes
// it. The one exception is an empty array of keys: it counts as an outage, as a server answers that
// is starting or has lost its database, until three fetches in a row have brought it, an hour from
// the first to the last. Then the issuer has withdrawn its keys, also those in the last-known-good
// file. An hour is also the default of how long any other withdrawn key can be in use.
//
// A token may name its key by the thumbprint of a certificate (x5t#S256) and no key id. All of this
// then holds for the thumbprint.
//
// # Where the keys are
//
// The URL of the keys is taken from the issuer's metadata when there are no usable keys, and again,
// at most hourly, when it answers that they are gone (404 or 410). The metadata is where OpenID
// Connect Discovery puts it, or if there is nothing for this client (any status from 400 to 499 but
// 408, 425 and 429), where RFC 8414 does; [WithMetadataURL] names another place. [Set.Stats] tells
// what a set is doing. The package documentation of bearer has a table of what all this means to
// the requests of a service.
//
// Ages are measured by the monotonic clock or the wall clock, whichever says more. So keys age
// while the machine sleeps, and do not get younger when the clock is set back. A clock that is set
// forward costs a fetch.
//
// # Which keys are used
//
// Each key of a set is judged alone. A key that cannot be used is logged once and skipped, and does
// not affect the others: at Debug if it is for encryption, and otherwise at Warn. That is so even
// for an entry that breaks the rules of JSON, as long as it is clear where it ends: one with a
// member twice, or with a control character or bytes that are not UTF-8 in a text. A member of null
// counts as absent, but for kid and issuer, where it makes the key unusable. RSA keys of 2048 to
// 8192 bits, keys on P-256, P-384 and P-521, and Ed25519 keys are used, unless their use, key_ops
// or alg say that they are not for verifying signatures. These are never used: keys published with
// their private part, symmetric keys, RSA keys with an exponent that is even, below 3 or above
// 131072 or with the ROCA weakness, points off their curve, and the Ed25519 points of small order,
// under which one signature verifies many messages.
//
// One token is tried with at most four keys, and with at most one of the expensive ones: RSA keys
// of more than 4096 bits, and keys on P-521. A token without a key id is tried with the one key of
// the issuer that fits, or with the keys that the operator gave; if those are more than four, with
// none.
//
// The x5t#S256 of a token selects a key only if there is no key id. It is compared with the member
// of the key, or without one, with the first certificate of its x5c, if that holds the key. A key
// with another certificate is not used, also if the key id fits.
//
// A key may have a member issuer, as in the key sets of Microsoft Entra ID, where one URL serves
// the keys of many issuers. Such a key signs for those issuers alone. Package bearer skips it for a
// token with another iss, and callers of [Set.Keys] compare with [Key.SignsFor]. A member issuer
// that is not a string, or that has more than one placeholder, makes the key unusable.
//
// # What is fetched
//
// Only https URLs (or http on loopback), no redirect to another origin, at most 1 MiB and 256 keys,
// 5 s for each request ([WithFetchTimeout]). [WithPublicAddressesOnly] also refuses to connect to
// private addresses, whatever the DNS says. [WithHTTPClient] is for certificate authorities and
// proxies of your own.
package jwks
