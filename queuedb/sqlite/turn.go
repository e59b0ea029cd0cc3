package sqlite

import "time"

// turnPause is how long a process waits before it asks again for its turn.
const turnPause = 500 * time.Microsecond
