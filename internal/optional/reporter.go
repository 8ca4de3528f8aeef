package optional

// A Reporter is made by a function that has options and returns no error. The constructor that it
// is given to reports the mistakes in them, beside its own.
type Reporter interface {
	// ConfigErrors returns every mistake, each a ConfigError of the package that the function is
	// in.
	ConfigErrors() []error
}

// Errors returns the mistakes as errors of a package.
func Errors(mistakes []Mistake, as func(Mistake) error) []error {
	errs := make([]error, len(mistakes))
	for i, m := range mistakes {
		errs[i] = as(m)
	}
	return errs
}
