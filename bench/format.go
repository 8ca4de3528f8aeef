package main

import (
	"fmt"
	"math"
)

// missing stands for a figure that was not measured.
const missing = "-"

// duration writes nanoseconds.
func duration(ns float64) string {
	switch {
	case math.IsNaN(ns):
		return missing
	case ns < 100:
		return fmt.Sprintf("%.1f ns", ns)
	case ns < 1000:
		return fmt.Sprintf("%.0f ns", ns)
	case ns < 100_000:
		return fmt.Sprintf("%.2f µs", ns/1e3)
	}
	return fmt.Sprintf("%.0f µs", ns/1e3)
}

// roundDuration writes a power of ten of nanoseconds.
func roundDuration(ns float64) string {
	switch {
	case ns < 1e3:
		return fmt.Sprintf("%.0f ns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.0f µs", ns/1e3)
	}
	return fmt.Sprintf("%.0f ms", ns/1e6)
}

// seconds writes nanoseconds that are many.
func seconds(ns float64) string {
	if math.IsNaN(ns) {
		return missing
	}
	return fmt.Sprintf("%.2f s", ns/1e9)
}

func times(ratio float64) string {
	switch {
	case math.IsNaN(ratio) || math.IsInf(ratio, 0):
		return missing
	case ratio >= 100:
		return fmt.Sprintf("%.0f x", ratio)
	case ratio >= 10:
		return fmt.Sprintf("%.1f x", ratio)
	}
	return fmt.Sprintf("%.2f x", ratio)
}

// timesOf and plainOf write a figure and whose it is.
func timesOf(name string) func(float64) string {
	return func(v float64) string { return of(times(v), name) }
}

func plainOf(name string) func(float64) string {
	return func(v float64) string { return of(plain(v), name) }
}

func of(text, name string) string {
	if text == missing {
		return missing
	}
	return text + " (" + name + ")"
}

func plain(v float64) string {
	if math.IsNaN(v) {
		return missing
	}
	return fmt.Sprintf("%.0f", v)
}

func percent(ratio float64) string {
	if math.IsNaN(ratio) {
		return missing
	}
	return fmt.Sprintf("%.1f %%", 100*ratio)
}

func perSecond(ns float64) string {
	if math.IsNaN(ns) {
		return missing
	}
	return grouped(int(1e9 / ns))
}

// grouped writes a number with its thousands apart.
func grouped(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
