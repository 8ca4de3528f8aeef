package tokens

import "github.com/bearer-go/bearer/internal/accesstoken"

// Extra returns another member of the server's answer, such as Salesforce's instance_url: the text
// of a string, and the JSON of any other value. It is "" if there is none with this name, if it is
// null, and for the members that have a place of their own, such as refresh_token.
//
// It may be secret, and what the server says there is not verified: check a URL before a token is
// sent to it. A member of more than 4 KiB, with its name, is left out, and so is what does not fit
// into 16 KiB beside the members before it.
func (r *Response) Extra(name string) string { return accesstoken.Extra(r.Extras.Reveal(), name) }

// Extra returns another member of the answer that the token came with; see [Response.Extra]. That
// of the zero Token is "".
//
// With a Store of package session another process has them too, unless the record of the session
// had no room for them.
func (t *Token) Extra(name string) string { return accesstoken.Extra(t.extras.Reveal(), name) }
