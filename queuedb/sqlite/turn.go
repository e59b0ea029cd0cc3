package sqlite

import "time"

const (
	turnPause    = 500 * time.Microsecond // how long a process waits before it asks again for its turn
	turnPatience = 500 * time.Millisecond // after how long it does without one
	lockPatience = 5 * time.Second        // after how long it gives up
	openPatience = 10 * time.Second       // how long a process that opens a file waits for others that do
)
