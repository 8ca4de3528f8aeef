package main

import (
	"io"
	"maps"
	"path/filepath"
	"slices"
)

// Smoke runs the sections that need no sockets with the least effort. It writes the chart into the
// folder and returns the report.
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
	return b.markdown(true), nil
}

// Chart draws rows, each with a figure for each of the chart's algorithms.
func Chart(rows map[string][3]float64) string {
	return drawChart(slices.Collect(maps.Keys(rows)), func(row, alg string) float64 {
		return rows[row][slices.Index(chartAlgorithms, alg)]
	})
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
