// Package optional collects what functional options say and every mistake in it.
//
// An option only records its value. The constructor judges all values together and reports every
// mistake at once.
package optional

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Value is the value of an option that may be given once.
type Value[T any] struct {
	value T
	times int
}

// Set records the value. The last one counts.
func (v *Value[T]) Set(value T) { v.value, v.times = value, v.times+1 }

// Given reports whether the option was given.
func (v *Value[T]) Given() bool { return v.times > 0 }

// Get returns the value, or the zero value if the option was not given.
func (v *Value[T]) Get() T { return v.value }

// Or returns the value, or the default if the option was not given.
func (v *Value[T]) Or(value T) T {
	if v.Given() {
		return v.value
	}
	return value
}

// Mistake is one mistake in a configuration. Each package shows it as its own ConfigError, which
// has the same fields.
type Mistake struct {
	// Option is the option at fault, such as "Leeway".
	Option string
	// Subject is what the option was given for, such as an issuer. It is "" for the whole.
	Subject string
	// Value is what was given. It is "" for secrets and for values that cannot be printed.
	Value string
	// Problem says what is wrong with the value and what to do.
	Problem string
}

// Text returns the mistake in one line. The package is the one that the option belongs to.
func (m Mistake) Text(pkg string) string {
	text := pkg + ": " + m.Option
	if m.Value != "" {
		text += "(" + m.Value + ")"
	}
	if m.Subject != "" {
		text += " for " + m.Subject
	}
	return text + ": " + m.Problem
}

// Mistakes collects mistakes.
type Mistakes struct {
	// Subject is what the options are for that are being judged.
	Subject string
	// All are the mistakes, in the order in which they were found.
	All []Mistake
}

// Add adds a mistake. The format and its arguments give the problem.
func (m *Mistakes) Add(option, value, format string, args ...any) {
	m.All = append(m.All, Mistake{option, m.Subject, value, fmt.Sprintf(format, args...)})
}

// Join returns the mistakes as errors of a package, joined with [errors.Join], or nil if there are
// none.
func Join(mistakes []Mistake, as func(Mistake) error) error {
	return errors.Join(Errors(mistakes, as)...)
}

// Apply gives each option the configuration. A nil option is a mistake in a call of the
// constructor.
func Apply[C any, O ~func(*C)](m *Mistakes, constructor string, options []O, config *C) {
	for i, option := range options {
		if option == nil {
			m.Add(constructor, "nil", "option %d is nil; leave it out", i+1)
			continue
		}
		option(config)
	}
}

// Once adds a mistake if the option was given more than once. show prints the value; nil prints
// nothing.
func Once[T any](m *Mistakes, option string, v *Value[T], show func(T) string) {
	if v.times <= 1 {
		return
	}
	text := ""
	if show != nil {
		text = show(v.value)
	}
	m.Add(option, text, "set more than once; keep one")
}

// Quoted prints a list of texts, each in quotation marks.
func Quoted(values []string) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = strconv.Quote(v)
	}
	return strings.Join(list, ", ")
}
