module github.com/bearer-go/bearer/adapters/beareroauth2

go 1.26.0

require (
	github.com/bearer-go/bearer v0.0.0
	golang.org/x/oauth2 v0.37.0
)

replace github.com/bearer-go/bearer => ../..
