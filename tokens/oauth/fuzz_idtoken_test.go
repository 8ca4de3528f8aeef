package oauth_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens"
)

// Whatever claims a server signs, an ID token that is accepted says by encoding/json, too, that it
// is of this server, for this client, of this login, and not over.
func FuzzIDToken(f *testing.F) {
	w := newIDWorld(f)
	header := idJSON(f, w.header(nil)) // unknown keys would be searched for
	f.Add(string(idJSON(f, w.claims(nil))))
	f.Add(`{"iss":"https://issuer.test","sub":"a","aud":["app"],"exp":99999999999,"iat":0,"nonce":"the-nonce","azp":"app"}`)
	f.Add(`{"iss":"https:\/\/issuer.test","sub":"a","aud":["app","b"],"exp":9.9e10,"iat":0.5}`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, claims string) {
		token := w.SignRaw(header, []byte(claims))
		identity, err := w.client.VerifyIDToken(t.Context(), tokens.NewSecret(token), idNonce)
		if err != nil {
			if identity != nil {
				t.Fatal("an Identity beside an error")
			}
			return
		}
		var said struct {
			Issuer  string  `json:"iss"`
			Subject string  `json:"sub"`
			Nonce   string  `json:"nonce"`
			AZP     *string `json:"azp"`
			Expiry  float64 `json:"exp"`
			Issued  float64 `json:"iat"`
		}
		var audience struct {
			One any `json:"aud"`
		}
		if json.Unmarshal([]byte(claims), &audience) != nil || identity.Decode(&said) != nil {
			t.Fatalf("accepted, and cannot be decoded: %s", claims)
		}
		list, _ := audience.One.([]any)
		inAudience := audience.One == any(idClient) || slices.Contains(list, any(idClient))
		now := float64(time.Now().Unix())
		if said.Issuer != w.URL() || said.Subject == "" || said.Subject != identity.Subject() || said.Nonce != idNonce || !inAudience ||
			len(list) > 1 && said.AZP == nil || said.AZP != nil && *said.AZP != idClient || said.Expiry+31 < now || said.Issued > now+31 {
			t.Errorf("accepted: %s", claims)
		}
	})
}
