package jwks

// The parts of the guard, for tests that must not connect to the Internet to see what it lets through.
var (
	Guard        = guard
	CheckGuarded = checkGuarded
	DialPublic   = dialPublic
	IsPublic     = isPublic
)
