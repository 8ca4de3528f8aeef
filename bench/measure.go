package main

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"
)

// subject is one thing that is measured.
type subject struct {
	name string
	// run does it n times in a loop of its own, and panics when an answer is not the expected one.
	run func(n int)
}

// figure is what one operation costs.
type figure struct {
	ns, allocs, bytes float64
	rate, busy        float64   // of a server: requests per second, and the share of its core it used
	runs              []float64 // the nanoseconds of each round, where there were rounds
}

// figures are all that was measured, by "section/variant/subject".
type figures map[string]figure

// ns returns nanoseconds, or NaN if they were not measured. What is computed with NaN is NaN.
func (f figures) ns(name string) float64 {
	if one, ok := f[name]; ok {
		return one.ns
	}
	return math.NaN()
}

// ratio returns how many times as long one takes as the other. Where both took turns, it is the
// median of the rounds' ratios: what slows the machine in a round slows both and cancels out.
func (f figures) ratio(name, other string) float64 {
	ratios := f.ratios(name, other)
	if len(ratios) == 0 {
		return f.ns(name) / f.ns(other)
	}
	return median(ratios)
}

// ratios are those of the rounds, sorted.
func (f figures) ratios(name, other string) []float64 {
	runs, others := f[name].runs, f[other].runs
	if len(runs) != len(others) {
		return nil
	}
	ratios := make([]float64, len(runs))
	for i := range runs {
		ratios[i] = runs[i] / others[i]
	}
	slices.Sort(ratios)
	return ratios
}

// spread writes the range in which the middle half of the ratios are.
func (f figures) spread(name, other string) string {
	ratios := f.ratios(name, other)
	if len(ratios) == 0 {
		return missing
	}
	quarter := len(ratios) / 4
	return times(ratios[quarter]) + " to " + times(ratios[len(ratios)-1-quarter])
}

func (f figures) allocs(name string) float64 {
	if one, ok := f[name]; ok {
		return one.allocs
	}
	return math.NaN()
}

// measure runs the subjects in rounds, in turns, so that whatever slows the machine for a while slows
// all of them. The median of each becomes the figure "prefix/name".
func (b *bench) measure(prefix string, subjects []subject) {
	runs := make([][]figure, len(subjects))
	times := make([]int, len(subjects))
	for i, s := range subjects {
		times[i] = calibrate(s, b.round)
	}
	for range b.rounds {
		for i, s := range subjects {
			runs[i] = append(runs[i], once(s, times[i]))
		}
	}
	for i, s := range subjects {
		b.figures[prefix+"/"+s.name] = medianFigure(runs[i])
	}
}

// calibrate finds how often a subject runs in about that time.
func calibrate(s subject, d time.Duration) int {
	for n := 1; ; n *= 4 {
		started := time.Now()
		s.run(n)
		if took := time.Since(started); took > d/8 || n > 1<<28 {
			return max(1, int(float64(n)*float64(d)/float64(took+1)))
		}
	}
}

// once measures one round. The heap is collected before, so that no subject pays for another's garbage.
// Then there is a round that does not count: it gets from the operating system the memory that the
// subject works in, and leaves the processor's caches as the subject does.
func once(s subject, n int) figure {
	var before, after runtime.MemStats
	runtime.GC()
	s.run(n)
	runtime.ReadMemStats(&before)
	started := time.Now()
	s.run(n)
	took := time.Since(started)
	runtime.ReadMemStats(&after)
	return figure{
		ns:     float64(took.Nanoseconds()) / float64(n),
		allocs: math.Floor(float64(after.Mallocs-before.Mallocs) / float64(n)), // as package testing rounds them
		bytes:  math.Floor(float64(after.TotalAlloc-before.TotalAlloc) / float64(n)),
	}
}

func medianFigure(runs []figure) figure {
	column := func(of func(figure) float64) []float64 {
		values := make([]float64, len(runs))
		for i, r := range runs {
			values[i] = of(r)
		}
		return values
	}
	all := figureOf(column(func(f figure) float64 { return f.ns }))
	all.allocs = median(column(func(f figure) float64 { return f.allocs }))
	all.bytes = median(column(func(f figure) float64 { return f.bytes }))
	return all
}

// figureOf is the figure of rounds, from the nanoseconds that an operation took in each.
func figureOf(ns []float64) figure { return figure{ns: median(slices.Clone(ns)), runs: ns} }

// perOperation turns rates per second into nanoseconds.
func perOperation(rates []float64) []float64 {
	ns := make([]float64, len(rates))
	for i, rate := range rates {
		ns[i] = 1e9 / rate
	}
	return ns
}

// median sorts its argument.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// wrong ends the program: what was to be timed did not do what the table would say.
func wrong(format string, args ...any) {
	panic("bench: " + fmt.Sprintf(format, args...))
}
