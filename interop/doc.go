// Package interop tests the library against parts that others made: a certified OpenID provider
// (npm's oidc-provider) issues the tokens, golang.org/x/oauth2 and package tokens fetch them, and
// every framework's adapter judges them. People log in with a browser and with a device; a login
// that one process began is finished by another. Processes that share a login renew it a thousand
// times, and are killed in the middle of it two hundred times, while a third of the provider's
// answers are odd. Chromium opens a WebSocket with a token, and brings the answer to a login.
//
// The tests need Node.js 20 or newer, `npm ci` in this folder, and Chromium. Where that is missing
// they skip and say so; with the environment variable BEARER_INTEROP=require they fail instead. This
// module stands outside the workspace: run it with `make interop`, or here with GOWORK=off.
package interop
