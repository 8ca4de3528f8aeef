package oauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// A service proves itself with a private key in a file (private_key_jwt). The file may be replaced
// while the service runs.
func ExamplePrivateKeyJWTFile() {
	server := newAuthorizationServer()
	defer server.Close()
	mounted, unmount := mountFiles()
	defer unmount()

	auth := oauth.PrivateKeyJWTFile(mounted+"/orders.pem", "2026-07") // the kid that the server knows the key by
	client, err := oauth.NewClient(server.URL, "orders", auth)
	if err != nil {
		fmt.Println(err)
		return
	}
	manager, err := tokens.NewManager(client.ClientCredentials())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Close()

	token, err := manager.Source(tokens.Key{Scope: "billing:write"}).Token(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.Scopes())
	// Output: [billing:write]
}

// A service on Kubernetes has no secret at all (workload identity federation): it proves itself
// with the token of its service account, which the kubelet renews in its file. For Microsoft Entra
// ID the issuer is https://login.microsoftonline.com/{tenant}/v2.0 and the file the one that
// AZURE_FEDERATED_TOKEN_FILE names.
func ExampleClientAssertionFile() {
	server := newAuthorizationServer()
	defer server.Close()
	mounted, unmount := mountFiles()
	defer unmount()

	client, err := oauth.NewClient(server.URL, "orders", oauth.ClientAssertionFile(mounted+"/token"))
	if err != nil {
		fmt.Println(err)
		return
	}
	manager, err := tokens.NewManager(client.ClientCredentials())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Close()

	token, err := manager.Source(tokens.Key{Scope: "billing:write"}).Token(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.Scopes())
	// Output: [billing:write]
}

// mountFiles stands for what the platform mounts into a container: a private key, and the token
// of a service account.
func mountFiles() (dir string, unmount func()) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	dir, err := os.MkdirTemp("", "mounted")
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	must(os.WriteFile(filepath.Join(dir, "orders.pem"), text, 0o600))
	must(os.WriteFile(filepath.Join(dir, "token"), []byte("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJvcmRlcnMifQ.c2lnbmF0dXJl\n"), 0o600))
	return dir, func() { must(os.RemoveAll(dir)) }
}
