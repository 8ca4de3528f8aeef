package session

import (
	"context"
	"time"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// ForwardLogin makes the wall clock, and it alone, say that a login is over.
func ForwardLogin(l *Login) { l.endWall = time.Now().Round(0) }

// SetLoginWallBack is the wall clock set back by an hour, as a login has it.
func SetLoginWallBack(l *Login) { l.endWall = l.endWall.Add(time.Hour) }

// SealedLoginName is what stands for a client where a sealed record has its name.
func SealedLoginName(client *oauth.Client) string { return sealedLoginName(oauthwire.Of(client)) }

// SealLoginData seals bytes as those of a client's login.
func SealLoginData(client *oauth.Client, keys SealKeys, data []byte) (string, error) {
	sealers, err := keys.sealers(context.Background())
	if err != nil {
		return "", err
	}
	return jws.Encode(sealRecord(sealers, binding{purpose: sealedForLogin}, SealedLoginName(client), data)), nil
}
