package tokens_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens"
)

// What a redirect leads to gets the token only if the request never left the origin.
func TestTransportRedirects(t *testing.T) {
	const a, b, evil = transportService, "https://b.example", "https://evil.example"
	const token, none, own, basic = "Bearer " + transportSecret + "1", "", "Basic b3duOm93bg==", "Basic dTpw"
	type hop struct{ url, authorization string }
	tests := []struct {
		name   string
		header string
		hops   []hop // the last is where the answer comes from
		err    string
	}{
		{"within the origin", "", []hop{{a + "/1", token}, {a + "/2", token}, {a + "/3", token}}, ""},
		{"to another spelling of the origin", "", []hop{{a + "/1", token}, {"https://BILLING.example:443/2", token}}, ""},
		{"to another origin", "", []hop{{a + "/1", token}, {evil + "/", none}}, ""},
		{"to another listed origin", "", []hop{{a + "/1", token}, {b + "/", none}}, ""},
		{"to another and back", "", []hop{{a + "/1", token}, {evil + "/", none}, {a + "/2", none}, {a + "/3", none}}, ""},
		{"to another listed one and back", "", []hop{{a + "/1", token}, {b + "/", none}, {a + "/2", none}}, ""},
		{"from another origin", "", []hop{{evil + "/", none}, {a + "/", none}, {a + "/2", none}}, ""},
		{"to a subdomain", "", []hop{{a + "/1", token}, {"https://eu.billing.example/", none}}, ""},
		{"to another port", "", []hop{{a + "/1", token}, {a + ":8443/", none}}, ""},
		{"to plain http", "", []hop{{a + "/1", token}, {"http://billing.example/", none}}, "not https"},
		{"to plain http elsewhere", "", []hop{{a + "/1", token}, {"http://evil.example/", none}}, ""},
		{"to a user name of the server's", "", []hop{{a + "/1", token}, {"https://u:p@billing.example/2", none}, {a + "/3", none}}, ""},

		{"own, within the origin", own, []hop{{a + "/1", own}, {a + "/2", own}}, ""},
		{"own, to a subdomain", own, []hop{{a + "/1", own}, {"https://eu.billing.example/", none}}, ""},
		{"own, to another port", own, []hop{{a + "/1", own}, {a + ":8443/", none}}, ""},
		{"own, to plain http", own, []hop{{a + "/1", own}, {"http://billing.example/", none}}, "not https"},
		{"own, to a listed subdomain", own, []hop{{"https://example/", own}, {b + "/", none}}, ""},
		{"own, elsewhere", own, []hop{{"https://c.example/", own}, {"https://eu.c.example/", own}}, ""},
		{"user name, within the origin", "", []hop{{"https://u:p@billing.example/1", basic}, {"/2", basic}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []hop
			base := transportFunc(func(r *http.Request) (*http.Response, error) {
				at := len(got)
				got = append(got, hop{tt.hops[at].url, r.Header.Get("Authorization")})
				if at+1 < len(tt.hops) {
					return transportAnswer(r, http.StatusTemporaryRedirect, "Location", tt.hops[at+1].url), nil
				}
				return transportAnswer(r, http.StatusOK), nil
			})
			transport, _ := transportOver(t, base, tokens.WithOrigins(a, b))
			client := &http.Client{Transport: transport}
			request := transportRequest(t, "POST", tt.hops[0].url, strings.NewReader("payload"))
			if tt.header != "" {
				request.Header.Set("Authorization", tt.header)
			}
			response, err := client.Do(request)
			if err == nil {
				_ = response.Body.Close()
			}
			wants := tt.hops
			if tt.err != "" {
				wants = wants[:len(wants)-1]
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q in it", err, tt.err)
				}
			} else if err != nil {
				t.Error(err)
			}
			if !slices.Equal(got, wants) {
				t.Errorf("sent\n%q, want\n%q", got, wants)
			}
		})
	}
}

// A credential that CheckRedirect takes away does not come back as another.
func TestTransportDoesNotReplaceARemovedAuthorization(t *testing.T) {
	var got []string
	base := transportFunc(func(r *http.Request) (*http.Response, error) {
		got = append(got, r.Header.Get("Authorization"))
		if len(got) == 1 {
			return transportAnswer(r, http.StatusFound, "Location", "/2"), nil
		}
		return transportAnswer(r, http.StatusOK), nil
	})
	transport, _ := transportOver(t, base)
	client := &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		r.Header.Del("Authorization")
		return nil
	}}
	request := transportRequest(t, "GET", transportService, nil)
	request.Header.Set("Authorization", "Bearer of-a-person")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if !slices.Equal(got, []string{"Bearer of-a-person", ""}) {
		t.Errorf("sent %q", got)
	}
}

// A way that is too long, or that cannot be followed back, is one that led elsewhere.
func TestTransportFollowsRedirectsBackToTheFirst(t *testing.T) {
	chain := func(hops int) *http.Request {
		request := transportRequest(t, "GET", transportService, nil)
		for range hops {
			next := transportRequest(t, "GET", transportService, nil)
			next.Response = &http.Response{Request: request}
			request = next
		}
		return request
	}
	lost := chain(2)
	lost.Response.Request.Response.Request = nil
	lostOwn := chain(1)
	lostOwn.Response.Request = nil
	lower := strings.ToLower("Authorization") // as of a caller who puts it into the map
	lostOwn.Header[lower] = []string{"Basic eDp5"}
	elsewhere := transportRequest(t, "GET", "https://other.example", nil)
	elsewhere.Response, elsewhere.Header = lostOwn.Response, lostOwn.Header.Clone()
	for _, tt := range []struct {
		name    string
		request *http.Request
		want    string
	}{
		{"the longest way", chain(transportHops), "Bearer " + transportSecret + "1"},
		{"one more", chain(transportHops + 1), ""},
		{"lost", lost, ""},
		{"lost, with a header", lostOwn, ""},
		{"lost, with a header, to another origin", elsewhere, ""},
	} {
		var sink transportSink
		transport, _ := transportOver(t, &sink)
		if _, err := transportSend(t, transport, tt.request); err != nil {
			t.Fatal(err)
		}
		sent := sink.requests[0].Header
		if got := sent.Get("Authorization"); got != tt.want || sent[lower] != nil {
			t.Errorf("%s: sent %q, want %q", tt.name, sent, tt.want)
		}
	}
	if lostOwn.Header[lower] == nil {
		t.Error("the request was changed")
	}
}

// The same with sockets: servers on several ports are several origins.
func TestTransportRedirectsBetweenServers(t *testing.T) {
	var evilURL string
	heard := make(map[string]string)
	mux := http.NewServeMux()
	mux.HandleFunc("/start", func(w http.ResponseWriter, r *http.Request) {
		heard["start"] = r.Header.Get("Authorization")
		http.Redirect(w, r, "/same", http.StatusFound)
	})
	mux.HandleFunc("/same", func(w http.ResponseWriter, r *http.Request) {
		heard["same"] = r.Header.Get("Authorization")
		http.Redirect(w, r, evilURL, http.StatusFound)
	})
	mux.HandleFunc("/back", func(_ http.ResponseWriter, r *http.Request) { heard["back"] = r.Header.Get("Authorization") })
	service := httptest.NewServer(mux)
	defer service.Close()
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard["evil"] = r.Header.Get("Authorization")
		http.Redirect(w, r, service.URL+"/back", http.StatusFound)
	}))
	defer evil.Close()
	evilURL = evil.URL

	transport, _ := transportOver(t, service.Client().Transport, tokens.WithOrigins(service.URL, evil.URL))
	response, err := (&http.Client{Transport: transport}).Do(transportRequest(t, "GET", service.URL+"/start", nil))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	const token = "Bearer " + transportSecret + "1"
	if want := map[string]string{"start": token, "same": token, "evil": "", "back": ""}; !maps.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}
