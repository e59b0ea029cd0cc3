package runner

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	memoryTime  = 100 * time.Millisecond // between two measurements
	collectTime = 5 * time.Second        // between two collections for their sake
)

// A memory watches how much the process has taken from the operating system.
type memory struct {
	limit     uint64
	measured  time.Time
	collected time.Time
}

// over reports whether more than the limit is in use that a garbage collection does not free.
func (m *memory) over() bool {
	now := time.Now()
	if m.limit == 0 || now.Sub(m.measured) < memoryTime {
		return false
	}
	m.measured = now
	if used() <= m.limit || !m.collected.IsZero() && now.Sub(m.collected) < collectTime {
		return false
	}
	m.collected = now
	debug.FreeOSMemory()
	return used() > m.limit
}

// used returns the bytes that the Go runtime holds and has not returned.
func used() uint64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
