package runner

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"time"
)

// A SoftMemory ends runs before their process has no memory left. All runs of a process share one.
type SoftMemory struct {
	bounds []bound
	sample func() sizes

	mu        sync.Mutex
	collected time.Time     // when garbage was collected last for its sake
	took      time.Duration // how long that took
}

// A bound is what one limit leaves to the process.
type bound struct {
	name string
	soft uint64 // runs end above this
	hard uint64 // jobs are interrupted above this; 0: they are not
	used func(s sizes) uint64
}

// A limit is what the process, or all that share it, may have at most.
type limit struct {
	name   string
	bytes  uint64
	shared bool   // with other processes
	spare  uint64 // that cannot be used to the last byte
	used   func(s sizes) uint64
}

// sizes are how much memory the process has, in bytes.
type sizes struct {
	resident, data, space uint64 // in memory, writable and its own, address space; 0: not known
	taken                 uint64 // by the Go runtime, and not returned
	reusable              uint64 // of what is mapped, by the Go runtime, for what it allocates next
}

func (s sizes) inMemory() uint64 {
	if s.resident == 0 {
		return s.taken
	}
	return s.resident
}

// What was mapped once stays mapped; but what Go has freed of it needs no more.
func (s sizes) mappedData() uint64  { return s.data - min(s.data, s.reusable) }
func (s sizes) mappedSpace() uint64 { return s.space - min(s.space, s.reusable) }

const (
	leastPause = 2 * time.Millisecond
	mostPause  = 250 * time.Millisecond
	fastLeak   = 4 << 30 // bytes a second
	mostShare  = 0.95    // of a limit, for who gives a number of bytes that may be more than it
	hardRoom   = 2       // jobs are interrupted when of the room above the soft bound one part in so many is used
)

// errNoLimit is returned where there is nothing to take a share of.
var errNoLimit = errors.New("no limit of memory holds for this process, neither of its cgroup nor GOMEMLIMIT nor RLIMIT_DATA nor RLIMIT_AS: give a number of bytes such as 512M")

// SoftMemoryOf returns what ends runs when their process uses more than so many bytes or, if bytes is 0, more than
// a share, from 0 to 1, of the least of its limits: those of the cgroups that it is in, GOMEMLIMIT, RLIMIT_DATA and RLIMIT_AS.
// What is the cgroup's is divided among so many processes.
//
// On Linux the process uses what it has in memory, also of C code and of files; elsewhere what the Go runtime
// has. Unless GOMEMLIMIT is set the garbage collector is told to stay below.
func SoftMemoryOf(bytes int64, share float64, processes int) (*SoftMemory, error) {
	limits := memoryLimits()
	if n := debug.SetMemoryLimit(-1); n < math.MaxInt64 {
		limits = append(limits, limit{name: "GOMEMLIMIT", bytes: uint64(n), used: func(s sizes) uint64 { return s.taken }})
	}
	m := newSoftMemory(limits, bytes, share, max(processes, 1), sample)
	if m == nil {
		return nil, errNoLimit
	}
	s := sample()
	if passed, _ := m.over(s); passed == nil && debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(m.forGo(s))
	}
	return m, nil
}

func newSoftMemory(limits []limit, bytes int64, share float64, processes int, sample func() sizes) *SoftMemory {
	m := &SoftMemory{sample: sample}
	if bytes > 0 {
		m.bounds = []bound{{name: "the soft limit", soft: uint64(bytes), used: sizes.inMemory}}
		share = mostShare
	} else if len(limits) == 0 {
		return nil
	}
	for _, l := range limits {
		all := l.bytes - min(l.bytes, l.spare)
		if l.shared {
			all /= uint64(processes)
		}
		soft := uint64(float64(all) * share)
		m.bounds = append(m.bounds, bound{name: l.name, soft: soft, hard: soft + (all-soft)/hardRoom, used: l.used})
	}
	return m
}

// forGo returns what the Go runtime may have so that the process stays below all bounds.
func (m *SoftMemory) forGo(s sizes) int64 {
	least := uint64(math.MaxInt64)
	for _, b := range m.bounds {
		used := b.used(s)
		others := used - min(used, s.taken)
		room := b.soft - min(b.soft, others)
		least = min(least, max(room/20*19, s.taken/2))
	}
	return int64(max(least, 1<<20))
}

// Check returns an error if the process uses more than it should, even without garbage. Before it
// has run anything that means that it never can.
func (m *SoftMemory) Check() error {
	if b, _ := m.over(m.sample()); b == nil {
		return nil
	}
	debug.FreeOSMemory()
	s := m.sample()
	b, _ := m.over(s)
	if b == nil {
		return nil
	}
	return fmt.Errorf("the process uses %s of memory before it runs any job, and may use %s: of %s", megabytes(b.used(s)), megabytes(b.soft), b.name)
}

// String says what the bounds are.
func (m *SoftMemory) String() string {
	var list []string
	for _, b := range m.bounds {
		list = append(list, fmt.Sprintf("%s of %s", megabytes(b.soft), b.name))
	}
	return strings.Join(list, ", ")
}

func megabytes(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// over returns the bound that is passed, nil if none is, and whether jobs are to be interrupted.
func (m *SoftMemory) over(s sizes) (passed *bound, hard bool) {
	for i := range m.bounds {
		b := &m.bounds[i]
		used := b.used(s)
		if used > b.soft {
			passed = b
		}
		hard = hard || b.hard > 0 && used > b.hard
	}
	return passed, hard
}

// firm reports whether the process would end at a bound by itself.
func (m *SoftMemory) firm() bool {
	return slices.ContainsFunc(m.bounds, func(b bound) bool { return b.hard > 0 })
}

// pause returns for how long even a fast leak does no harm.
func (m *SoftMemory) pause(s sizes) time.Duration {
	room := uint64(math.MaxInt64)
	for _, b := range m.bounds {
		until := b.soft
		if used := b.used(s); used > b.soft {
			until = max(b.hard, used)
			room = min(room, until-used)
		} else {
			room = min(room, until-used)
		}
	}
	// As a float, since the room may be without end.
	wait := time.Duration(min(float64(room)/fastLeak, mostPause.Seconds()) * float64(time.Second))
	return max(wait/2, leastPause)
}

// look measures, and collects garbage before it says that a bound is passed; once that is known, only before
// it says that jobs are to be interrupted.
func (m *SoftMemory) look(known bool) (passed *bound, hard bool, next time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sample()
	passed, hard = m.over(s)
	if passed == nil || known && !hard {
		return nil, false, m.pause(s)
	}
	// At most a tenth of the time goes into this.
	if since := time.Since(m.collected); !m.collected.IsZero() && since < 10*m.took && !hard {
		return nil, false, leastPause
	}
	begin := time.Now()
	debug.FreeOSMemory()
	m.collected = time.Now()
	m.took = m.collected.Sub(begin)
	s = m.sample()
	passed, hard = m.over(s)
	return passed, hard, m.pause(s)
}

var errSoftMemory = errors.New("memory is at its soft limit")

// sample measures the memory of the process.
func sample() sizes {
	values := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(values)
	total, released, free := values[0].Value.Uint64(), values[1].Value.Uint64(), values[2].Value.Uint64()
	s := sizes{taken: total - released, reusable: released + free}
	s.resident, s.data, s.space = ownMemory()
	return s
}
