//go:build linux

package runner

// A Limit of the system, for tests.
type Limit struct {
	Name   string
	Bytes  uint64
	Shared bool
}

// CgroupLimits returns those that the files below a directory say.
func CgroupLimits(proc, root string) (list []Limit) {
	for _, l := range cgroupLimits(proc, root) {
		list = append(list, Limit{l.name, l.bytes, l.shared})
	}
	return list
}

// ScriptedMemory returns a SoftMemory of one limit in a process that uses what a function says.
func ScriptedMemory(l Limit, bytes int64, share float64, processes int, used func() uint64) *SoftMemory {
	var limits []limit
	if l.Bytes > 0 {
		limits = []limit{{name: l.Name, bytes: l.Bytes, shared: l.Shared, used: sizes.inMemory}}
	}
	return newSoftMemory(limits, bytes, share, processes, func() sizes { return sizes{resident: used()} })
}
