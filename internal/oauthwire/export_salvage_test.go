package oauthwire

import "github.com/bearer-go/bearer/internal/strictjson"

// What is read out of an answer that cannot be used as a whole.
var (
	SalvageJSON = salvageJSON
	SalvageForm = salvageForm
)

// StrictRefreshToken is what the strict reader reads in its place. False means that it refuses the
// object, or that it says error.
func StrictRefreshToken(body string) (token string, ok bool) {
	m, err := strictjson.Object(body)
	if err != nil || saysError(m.Value("error")) {
		return "", false
	}
	if token = m.Text("refresh_token"); !isRefreshToken(token) {
		token = ""
	}
	return token, true
}
