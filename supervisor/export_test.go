package supervisor

import "time"

// Starts returns how often a child is started within a while that lives for so long each time.
func Starts(within, lives time.Duration, clean, announced bool) (n int) {
	var b backoff
	now := time.Unix(0, 0)
	for end := now.Add(within); now.Before(end); n++ {
		now = now.Add(lives)
		now = now.Add(b.after(now, lives, clean, announced))
	}
	return n
}

// Delays returns the pauses after a number of ends in a row.
func Delays(n int, lives time.Duration) (list []time.Duration) {
	var b backoff
	for range n {
		list = append(list, b.after(time.Unix(0, 0), lives, false, false))
	}
	return list
}
