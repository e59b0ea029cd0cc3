package queueredis

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// mostMicros is the longest duration in microseconds that is still one in nanoseconds.
const mostMicros = math.MaxInt64 / 1000

// micros returns a duration as scripts take it, rounded up, as one of less than a microsecond would be none.
func micros(d time.Duration) string {
	us := int64(d / time.Microsecond)
	if d%time.Microsecond > 0 && us < mostMicros {
		us++
	}
	return strconv.FormatInt(us, 10)
}

// duration is that of so many microseconds, or the longest there is.
func duration(us int64) time.Duration {
	return time.Duration(max(-mostMicros, min(us, mostMicros))) * time.Microsecond
}

func instant(us int64) time.Time { return time.UnixMicro(us).UTC() }

// toUnix is how many seconds the year 1 began before 1970.
const toUnix = 62135596800

// stamp returns a time as scripts compare it: 18 digits, seconds since the year 1 and microseconds; "" for the zero time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf("%012d%06d", t.Unix()+toUnix, t.Nanosecond()/1000)
}

// parseStamp is the inverse of stamp.
func parseStamp(s string) time.Time {
	if len(s) < 18 {
		return time.Time{}
	}
	sec, _ := strconv.ParseInt(s[:12], 10, 64)
	us, _ := strconv.ParseInt(s[12:18], 10, 64)
	return time.Unix(sec-toUnix, us*1000).UTC()
}
