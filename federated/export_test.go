package federated

import "time"

// Shift moves what the backend takes for the time that has passed.
func (b *Backend) Shift(d time.Duration) { b.offset.Add(int64(d)) }
