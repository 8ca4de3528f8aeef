// Command kubernetes lets in other pods by the tokens of their service accounts. A caller mounts a
// token for this service, which the kubelet renews, and reads the file before each call:
//
//	volumes:
//	- name: orders-token
//	  projected:
//	    sources:
//	    - serviceAccountToken: {audience: orders, path: token, expirationSeconds: 600}
//
// The issuer is what "kubectl get --raw /.well-known/openid-configuration" says. Its keys come from
// the API server, which asks for a token, too: that of this pod. cluster.go is the part to copy.
//
// A token is good until it expires, also if its pod is deleted before. A service that cannot accept
// that asks the API server about each token (TokenReview).
//
//	ISSUER=https://kubernetes.default.svc.cluster.local go run ./examples/kubernetes
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/jwks"
)

func main() {
	auth, err := newAuth(os.Getenv("ISSUER"), inCluster)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: ":8080", Handler: newHandler(auth), ReadHeaderTimeout: 5 * time.Second}
	log.Printf("serving at %s", server.Addr)
	log.Fatal(server.ListenAndServe())
}

// newAuth takes the keys from the API server's own name. Discovery would name its address as seen
// from outside, which a pod may not reach, and which the cluster's certificate may not cover.
func newAuth(issuer string, c cluster) (*bearer.Middleware, error) {
	return bearer.New(
		bearer.WithIssuer(issuer, "orders",
			bearer.Keys(jwks.Remote("https://"+c.host+"/openid/v1/jwks",
				jwks.WithHTTPClient(&http.Client{Transport: c})))),
	)
}

// newHandler names who may call. Every pod of the cluster can get a token for this audience.
func newHandler(auth *bearer.Middleware) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /orders", auth.Handler(http.HandlerFunc(orders),
		bearer.HasClaim("sub", "system:serviceaccount:shop:web")))
	return mux
}

func orders(w http.ResponseWriter, r *http.Request) {
	pod, err := bearer.ClaimsAs[struct {
		Kubernetes struct {
			Pod struct {
				Name string `json:"name"`
			} `json:"pod"`
		} `json:"kubernetes.io"`
	}](r.Context())
	if err != nil {
		http.Error(w, "the claims have another form", http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "espresso machine, for pod %s\n", pod.Kubernetes.Pod.Name)
}
