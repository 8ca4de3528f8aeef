package oauth

// Identity says who logged in.
type Identity struct{ opaque }
