module github.com/bearer-go/bearer/examples/websocket

go 1.26.0

require github.com/bearer-go/bearer v0.0.0

require (
	github.com/MicahParks/jwkset v0.11.3 // indirect
	github.com/MicahParks/keyfunc/v3 v3.9.0 // indirect
	github.com/coder/websocket v1.8.15
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/bearer-go/bearer => ../..
