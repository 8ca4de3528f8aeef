package bearer

import "context"

// VerifyJWS takes a token through the steps of the pipeline that do not need claims: the shape, the header, the algorithm,
// the type, the key and the signature. It is for the published test vectors, whose payloads are no claims sets, and calls
// what verify calls, in its order.
func (m *Middleware) VerifyJWS(ctx context.Context, issuer, token string) error {
	jws, ok := split(token)
	if !ok || !jws.decode(make([]byte, len(token))) {
		return refuse(ReasonMalformedToken)
	}
	header, err := readHeader(jws.headerText, jws.room)
	if err != nil {
		return err
	}
	if _, _, err := m.issuers[issuer].checkJWS(ctx, jws, header, new(Event)); err != nil {
		return err
	}
	return nil
}

// Refusal is the error for a reason, as requests get it.
func Refusal(reason Reason) *Error { return refuse(reason) }
