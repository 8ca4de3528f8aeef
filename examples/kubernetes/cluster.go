package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// A cluster reaches the API server as this pod. The files of its service account are renewed while
// the program runs, so each request reads them: keys are fetched a few times an hour.
type cluster struct {
	host string // of the API server
	dir  string // with ca.crt and token
}

// inCluster is the API server as every pod sees it.
var inCluster = cluster{host: "kubernetes.default.svc", dir: "/var/run/secrets/kubernetes.io/serviceaccount"}

// RoundTrip sends a request to the API server, and none to any other host: the pod's token is for
// that one alone. The connection is used once, so that a new certificate authority counts at once.
func (c cluster) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" || r.URL.Host != c.host {
		return nil, errors.New("the request is for another host than the API server")
	}
	ca, err := os.ReadFile(filepath.Join(c.dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("ca.crt has no certificate")
	}
	token, err := os.ReadFile(filepath.Join(c.dir, "token"))
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}
	return transport.RoundTrip(r)
}
