package jws

import (
	"math"
	"strconv"
	"time"
)

// maxNumericDate is the last second of the year 9999, the last that RFC 3339 can write.
const maxNumericDate = 253402300799

// NumericDate reads a NumericDate (RFC 7519 section 2): a JSON number of seconds since 1970, which
// may have a fraction. Strings, negative numbers and dates after the year 9999 are refused: no
// clock issues them.
func NumericDate(value string) (time.Time, bool) {
	if value == "" || value[0] < '0' || value[0] > '9' {
		return time.Time{}, false
	}
	var seconds int64
	digits := 0
	for digits < len(value) && '0' <= value[digits] && value[digits] <= '9' && seconds <= maxNumericDate {
		seconds = 10*seconds + int64(value[digits]-'0')
		digits++
	}
	if digits == len(value) && seconds <= maxNumericDate {
		return time.Unix(seconds, 0), true
	}
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || f > maxNumericDate {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}
