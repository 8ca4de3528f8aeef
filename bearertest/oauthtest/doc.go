// Package oauthtest is an authorization server under a test's control, for testing the clients of
// one: it hands out tokens to the clients that are registered with it, rotates refresh tokens, and
// revokes.
//
//	server := oauthtest.NewServer(bearertest.NewIssuer(), oauthtest.WithClient("orders", "s3cret"))
//
// [Server] says what it knows. [WithClient], [WithPublicClient], [WithKeyClient],
// [WithFederatedClient] and [WithCertificateClient] register a client. [Server.NewSession] begins a
// session without a login, [Server.Sessions] and [Server.Revoked] tell what became of it.
// [Server.ApproveDevice] is the person's part in the login of a device.
//
// Like those of package bearertest, its functions panic when they are misused, with a text that
// begins with "oauthtest:". Nothing of it belongs in a production program.
package oauthtest
