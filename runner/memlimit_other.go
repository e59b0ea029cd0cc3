//go:build !linux

package runner

// memoryLimits returns none: how they are read, and what counts against them, is another thing on each system.
func memoryLimits() []limit { return nil }

// ownMemory knows nothing; the Go runtime does.
func ownMemory() (resident, data, space uint64) { return 0, 0, 0 }
