package oauthwire

// Quotes reports whether a text has a good part of a secret in it.
var Quotes = quotes
