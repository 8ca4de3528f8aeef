package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/bearer-go/bearer/internal/accesstoken"
	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/livefile"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
)

var (
	errAssertionSize  = fmt.Errorf("it is longer than %d bytes", accesstoken.MaxSize)
	errAssertionShape = errors.New("it is not a signed JWT: three parts in base64url with dots between them")
)

// ClientAssertionFunc sends an assertion that another party has signed (RFC 7523 section 2.2): the
// platform that the client runs on, whose issuer the authorization server trusts. This is known as
// workload identity federation, or federated credentials: of a Kubernetes service account, a job of
// GitHub Actions, or a managed identity. The function returns a JWT of at most 64 KiB, without
// white space around it. It is called for each request, at several at once, and should return the
// same assertion while that is good. Its error is in that of the request.
//
// The assertion is sent as it is. Whose it is, for whom and until when is for the server to judge.
// One that it refused, as invalid_client, because it has expired for instance, is not sent again
// for a while. Another one is sent at once, until 4 in a row were refused: a function that gets a
// new one for each request would otherwise make a server that counts refusals lock the client. The
// pause is 5 minutes at most. A [tokens.Source] that was told of a refusal has one of its own,
// whatever the assertion is then: 5 minutes and a half at most.
func ClientAssertionFunc(assertion func(ctx context.Context) (tokens.Secret, error)) ClientAuth {
	if assertion == nil {
		return badAuth("ClientAssertionFunc", "nil", errFunction)
	}
	return readyAssertion(func(ctx context.Context) (string, error) {
		got, err := assertion(ctx)
		if err != nil {
			return "", err
		}
		return got.Reveal(), checkAssertion(got.Reveal())
	})
}

// ClientAssertionFile is [ClientAssertionFunc] with the assertion in a file that the platform
// renews, such as a projected token of a Kubernetes service account. The file is read for each
// request, so that a new assertion is used at once. White space around the assertion is dropped.
// NewClient does not read the file; one that cannot be used is the error of the request.
//
// The path may lead through links. The file must be a regular one, have at most 64 KiB, and not be
// writable by everyone (not checked on Windows). Its owner and who may read it are not checked. A
// file system that is stuck is an error after 5 seconds.
func ClientAssertionFile(path string) ClientAuth {
	if path == "" {
		return badAuth("ClientAssertionFile", `""`, errors.New("the path is empty; name a file"))
	}
	file := livefile.New(path, accesstoken.MaxSize)
	return readyAssertion(func(ctx context.Context) (string, error) {
		text, err := file.Read(ctx)
		if err != nil {
			return "", err
		}
		text = strings.TrimSpace(text)
		if err := checkAssertion(text); err != nil {
			return "", file.Unusable(err)
		}
		return text, nil
	})
}

// checkAssertion refuses a text that is no signed JWT by its looks.
func checkAssertion(text string) error {
	if len(text) > accesstoken.MaxSize {
		return errAssertionSize
	}
	parts := strings.SplitN(text, ".", 4)
	if len(parts) != 3 {
		return errAssertionShape
	}
	for _, part := range parts {
		if decoded, _, ok := jws.Decode(part, make([]byte, len(part))); !ok || len(decoded) == 0 {
			return errAssertionShape
		}
	}
	return nil
}

// readyAssertion proves a client by an assertion that a function returns.
func readyAssertion(assertion func(context.Context) (string, error)) ClientAuth {
	return ClientAuth{wire: oauthwire.Auth{Proof: func(ctx context.Context) (oauthwire.Proof, error) {
		text, err := assertion(ctx)
		if err != nil {
			return oauthwire.Proof{}, fmt.Errorf("the client's assertion is not available: %w", err)
		}
		return oauthwire.Proof{ID: tokens.NewSecret(text), Apply: func(
			client *oauthwire.Client, _ string, form url.Values, _ http.Header,
		) ([]string, error) {
			setAssertion(form, client, text)
			return nil, nil
		}}, nil
	}}}
}
