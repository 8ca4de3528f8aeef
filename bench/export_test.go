package main

import (
	"io"
	"path/filepath"
)

// Smoke runs the sections that need no sockets with the least effort, writes report and chart into the folder and returns the
// report.
func Smoke(folder string) (string, error) {
	e := effortOf(true)
	e.scan /= 4
	b, err := newBench(e, io.Discard)
	if err != nil {
		return "", err
	}
	for _, s := range sections {
		if s.sockets {
			continue
		}
		if err := s.run(b); err != nil {
			return "", err
		}
	}
	if err := b.chart(filepath.Join(folder, chartName)); err != nil {
		return "", err
	}
	return b.markdown(true)
}

// Algorithms are those that are measured.
func Algorithms() []string { return algorithms }

// CheckGuards calls report with each guard that can do an algorithm, and what it does wrong.
func CheckGuards(alg string, report func(guard string, err error)) error {
	s, err := newScene(alg)
	if err != nil {
		return err
	}
	for _, g := range guards {
		if g.can(alg) {
			_, err := g.checked(s)
			report(g.name, err)
		}
	}
	return nil
}

// TokenSize is how long the good token of an algorithm is.
func TokenSize(alg string) (int, error) {
	s, err := newScene(alg)
	if err != nil {
		return 0, err
	}
	return len(s.token), nil
}
