//go:build unix && !linux

package supervisor

// reapOrphans has nothing to do: only Linux has containers with a first process of their own.
func (s *supervisor) reapOrphans() {}
