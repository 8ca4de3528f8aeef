package jwks_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// A broken entry costs that entry alone, wherever it stands, and its key id is not known: which of
// two the issuer means is not clear.
// Rules: key.entry.
func TestBrokenEntryCostsThatEntryAlone(t *testing.T) {
	good, after := mustJSON(edJWK("good")), mustJSON(edJWK("after"))
	bad := strings.TrimSuffix(mustJSON(edJWK("bad")), "}")
	for name, entry := range map[string]string{
		"a name twice":                bad + `,"kid":"good"}`,
		"a name twice, deep":          bad + `,"oth_":{"a":1,"a":2}}`,
		"a control character in x5c":  bad + ",\"x5c\":[\"MIIB\nAAAA\"]}",
		"NUL in x5c":                  bad + ",\"x5c\":[\"\x00\"]}",
		"not UTF-8 in x5c":            bad + ",\"x5c\":[\"\xff\"]}",
		"an escape that is none":      bad + `,"x5c":["\x"]}`,
		"half a pair":                 bad + `,"x5c":["\ud800"]}`,
		"a name that is not UTF-8":    bad + ",\"\xff\":\"]}\"}",
		"a quotation mark behind one": bad + ",\"x5c\":[\"\x01\\\"]},{\"]}",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logs
				w := newWeb()
				w.put(keysURL, says(200, `{"keys":[`+good+`,`+entry+`,`+after+`]}`))
				set := w.remote(t, jwks.WithLogger(log.logger()))
				want(t, set, "good", "EdDSA", "found")
				want(t, set, "after", "EdDSA", "found")
				want(t, set, "bad", "EdDSA", "not found")
				synctest.Wait()
				if n := len(log.lines("a published key is not used", "invalid JSON", "WARN")); n != 1 {
					t.Errorf("%d lines in the log", n)
				}
				if stats := set.Stats(); stats.Keys != 2 || stats.Refused != 1 || stats.Failures != 0 {
					t.Errorf("%+v", stats)
				}
			})
		})
	}
}

// A document of which no entry can be read is what a broken proxy makes of a good one. It does not
// take the keys away.
// Rules: key.entry.
func TestDocumentOfBrokenEntriesReplacesNoKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := warm(t)
		whole := func(entry string) page { return says(200, `{"keys":[`+entry+`,`+entry+`]}`) }
		w.put(keysURL, whole("{\"kid\":\"a\",\"x5c\":[\"MIIB\r\nAAAA\"]}"))
		for range 30 {
			<-time.After(20 * time.Minute)
			want(t, set, "a", "EdDSA", "found")
			want(t, set, "b", "EdDSA", "unavailable")
		}
		if last := set.Stats().LastError; !strings.Contains(last, "none of its keys can be read: invalid JSON") {
			t.Errorf("%s", last)
		}
		for _, entry := range []string{`null`, `[]`, `"a"`} {
			w.put(keysURL, whole(entry))
			<-time.After(20 * time.Minute)
			want(t, set, "a", "EdDSA", "found")
			synctest.Wait()
			if last := set.Stats().LastError; !strings.Contains(last, "it is not a JSON object") {
				t.Errorf("%s: %s", entry, last)
			}
		}
		w.put(keysURL, whole(`{"kid":"a"}`)) // which can be read
		<-time.After(20 * time.Minute)
		want(t, set, "a", "EdDSA", "not found")
	})
}

// A doubled member keys still refuses the document, and so does everything that makes it unclear
// where an entry ends.
// Rules: key.entry.
func TestDocumentThatIsNotClearIsRefused(t *testing.T) {
	good := mustJSON(edJWK("a"))
	for _, document := range []string{
		`{"keys":[` + good + `],"keys":[` + good + `]}`, `{"keys":[` + good + `],"keys":[]}`, `{"keys":[` + good + `],"\u006beys":null}`,
		`{"keys":[` + good + `,{"x5c":["]}`, `{"keys":[` + good + ` ` + good + `]}`, `{"keys":[` + good + `,]}`,
		"\ufeff\ufeff" + `{"keys":[` + good + `]}`, "{\"keys\":[" + good + "],\"x\":\"\x01\"}",
	} {
		w := newWeb()
		w.put(keysURL, says(200, document))
		want(t, w.remote(t), "a", "EdDSA", "unavailable")
		if _, err := jwks.New(jwks.Static([]byte(document))); err == nil {
			t.Errorf("Static takes %q", document)
		}
	}
}

// Rules: key.entry.
func TestByteOrderMarkIsSkipped(t *testing.T) {
	document := "\ufeff" + keySet(edJWK("a"))
	w := newWeb()
	w.put(discoveryURL, says(200, "\ufeff"+metadata(issuerURL, keysURL)))
	w.put(keysURL, says(200, document))
	want(t, w.discover(t), "a", "EdDSA", "found")
	want(t, open(t, jwks.Static([]byte(document)), w), "a", "EdDSA", "found")
}

// Rules: key.entry.
func TestNullMembersCountAsAbsent(t *testing.T) {
	null := json.RawMessage("null")
	all := jwk{}
	for _, name := range []string{
		"use", "key_ops", "alg", "x5u", "x5c", "x5t", "x5t#S256", "d", "p", "q", "dp", "dq", "qi", "oth", "k", "n", "e", "y", "ext",
	} {
		all[name] = null
		want(t, open(t, jwks.Static([]byte(keySet(newJWK("a", edKey.Public()).with(jwk{name: null})))), newWeb()), "a", "EdDSA", "found")
	}
	want(t, open(t, jwks.Static([]byte(keySet(newJWK("a", edKey.Public()).with(all)))), newWeb()), "a", "EdDSA", "found")
	for name, says := range map[string]string{
		"kid": "its kid is not a string", "issuer": "its issuer is not a string", "kty": "its type is not", "crv": "missing or broken", "x": "is missing",
	} {
		_, err := jwks.New(jwks.Static([]byte(keySet(newJWK("a", edKey.Public()).with(jwk{name: null})))))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s null: %v, want %q", name, err, says)
		}
	}
}

// Rules: key.kid.
func TestKeyOpsAreAListOfDifferentTexts(t *testing.T) {
	for operations, says := range map[string]string{
		`["verify"]`: "", `["verify","sign"]`: "", `["verify","verify"]`: "not a list of different", `["verify","x","x"]`: "not a list of different",
		`["verify",1]`: "not a list of different", `["verify",null]`: "not a list of different", `"verify"`: "not a list of different",
		`{"verify":1}`: "not a list of different", `["sign"]`: "do not include verify", `[]`: "do not include verify",
		`["encrypt"]`: "is for encryption", `["wrapKey","deriveBits"]`: "is for encryption", `["encrypt","sign"]`: "do not include verify",
		`["encrypt","encrypt"]`: "not a list of different",
	} {
		_, err := jwks.New(jwks.Static([]byte(keySet(newJWK("a", edKey.Public()).with(jwk{"key_ops": json.RawMessage(operations)})))))
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, want %q", operations, err, says)
		}
	}
}

// A set may have keys for other things, which are worth no warning. A key for signatures that
// cannot be used is.
// Rules: key.entry.
func TestKeysForEncryptionAreSkippedAtDebug(t *testing.T) {
	rs, ed := newJWK("k", rsaKey.Public()), newJWK("k", edKey.Public())
	x25519 := ed.with(jwk{"crv": "X25519", "x": b64(make([]byte, 32))})
	for name, test := range map[string]struct {
		entry jwk
		level string
	}{
		"use enc":                   {rs.with(jwk{"use": "enc", "alg": "RSA-OAEP"}), "DEBUG"},
		"alg RSA-OAEP-256":          {rs.with(jwk{"alg": "RSA-OAEP-256"}), "DEBUG"},
		"alg RSA1_5":                {rs.with(jwk{"alg": "RSA1_5"}), "DEBUG"},
		"alg ECDH-ES":               {newJWK("k", p256Key.Public()).with(jwk{"alg": "ECDH-ES+A128KW"}), "DEBUG"},
		"key_ops":                   {rs.with(jwk{"key_ops": []string{"encrypt", "wrapKey"}}), "DEBUG"},
		"X25519":                    {x25519, "DEBUG"},
		"use x509-svid":             {ed.with(jwk{"use": "x509-svid"}), "DEBUG"},
		"use jwt-svid":              {ed.with(jwk{"use": "jwt-svid"}), "WARN"},
		"use sig, alg RSA-OAEP":     {rs.with(jwk{"use": "sig", "alg": "RSA-OAEP"}), "WARN"},
		"use sig, key_ops encrypt":  {rs.with(jwk{"use": "sig", "key_ops": []string{"encrypt"}}), "WARN"},
		"use sig, X25519":           {x25519.with(jwk{"use": "sig"}), "WARN"},
		"use SIG":                   {rs.with(jwk{"use": "SIG"}), "WARN"},
		"an unknown alg":            {rs.with(jwk{"alg": "RS1"}), "WARN"},
		"a private key with enc":    {rs.with(jwk{"use": "enc", "d": "AA"}), "WARN"},
		"a small key for signature": {rs.with(jwk{"n": b64(odd(1024))}), "WARN"},
	} {
		var log logs
		source := jwks.Static([]byte(keySet(edJWK("good"), test.entry)), jwks.WithLogger(log.detailed()))
		want(t, open(t, source, newWeb()), "k", "EdDSA", "not found")
		if lines := log.lines("a published key is not used"); len(lines) != 1 || !strings.Contains(lines[0], `"level":"`+test.level+`"`) {
			t.Errorf("%s: logged %q, want %s", name, lines, test.level)
		}
	}
}

// Rules: key.jwt-svid.
func TestJWTSVIDKeysAreUsedByOptionAlone(t *testing.T) {
	bundle := []byte(keySet(edJWK("svid").with(jwk{"use": "jwt-svid"}), edJWK("ca").with(jwk{"use": "x509-svid"}),
		edJWK("sig").with(jwk{"use": "sig"}), edJWK("plain"), edJWK("odd").with(jwk{"use": "other"})))
	without := open(t, jwks.Static(bundle), newWeb())
	w := newWeb()
	w.put(keysURL, says(200, string(bundle)))
	for name, set := range map[string]*jwks.Set{
		"pinned": open(t, jwks.Static(bundle, jwks.WithJWTSVIDKeys()), w), "fetched": w.remote(t, jwks.WithJWTSVIDKeys()),
	} {
		t.Run(name, func(t *testing.T) {
			for _, kid := range []string{"svid", "sig", "plain"} {
				want(t, set, kid, "EdDSA", "found")
			}
			for _, kid := range []string{"ca", "odd"} {
				want(t, set, kid, "EdDSA", "not found")
			}
		})
	}
	want(t, without, "svid", "EdDSA", "not found")
	want(t, without, "sig", "EdDSA", "found")
	_, err := without.Keys(t.Context(), "svid", "EdDSA")
	if err == nil || !strings.Contains(err.Error(), "WithJWTSVIDKeys") {
		t.Errorf("the error does not name the option: %v", err)
	}
}

// Rules: key.entry.
func TestKeyWithACertificateAloneSaysWhatToDo(t *testing.T) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, rsaKey.Public(), rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	x5c := []string{base64.StdEncoding.EncodeToString(der)}
	for _, entry := range []jwk{
		{"kid": "a", "x5c": x5c},
		{"kid": "a", "kty": "RSA", "use": "sig", "x5c": x5c},
		{"kid": "a", "kty": "EC", "x5c": x5c},
		{"kid": "a", "kty": "RSA", "n": json.RawMessage("null"), "x5c": x5c},
	} {
		_, err := jwks.New(jwks.Static([]byte(keySet(entry))))
		if err == nil || !strings.Contains(err.Error(), "a certificate (x5c)") || !strings.Contains(err.Error(), "PEM") {
			t.Errorf("%v", err)
		}
	}
}

// The file has the set without its broken entries, because it is read as strictly as ever.
func TestLastKnownGoodOfASetWithABrokenEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "keys")
		w := newWeb()
		w.put(keysURL, says(200, "\ufeff{\"keys\":["+mustJSON(edJWK("a"))+",{\"kid\":\"b\",\"x5c\":[\"\x01\"]}]}"))
		first := w.remote(t, jwks.WithLastKnownGood(path, time.Hour))
		want(t, first, "a", "EdDSA", "found")
		_ = first.Close()
		w.put(keysURL, down)
		want(t, w.remote(t, jwks.WithLastKnownGood(path, time.Hour)), "a", "EdDSA", "found")
	})
}
