package aggregator

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
)

// Memory is an aggregator for one process. The zero Memory is empty and ready for use.
type Memory struct {
	mu      sync.Mutex
	entries map[jobqueue.Name]entry
	version int64
}

type entry struct {
	since   time.Time
	version int64
}

// Notify implements [jobqueue.Aggregator].
func (m *Memory) Notify(_ context.Context, queues ...jobqueue.Backlog) error {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries == nil {
		m.entries = map[jobqueue.Name]entry{}
	}
	for _, q := range queues {
		e, known := m.entries[q.Name]
		if !known || q.Age > 0 {
			e.since = now.Add(-q.Age)
		}
		m.version++
		e.version = m.version
		m.entries[q.Name] = e
	}
	return nil
}

// Ready implements [jobqueue.Aggregator].
func (m *Memory) Ready(_ context.Context, types ...string) iter.Seq2[jobqueue.Backlog, error] {
	return func(yield func(jobqueue.Backlog, error) bool) {
		for _, q := range m.list(types) {
			if !yield(q, nil) {
				return
			}
		}
	}
}

func (m *Memory) list(types []string) []jobqueue.Backlog {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]jobqueue.Backlog, 0, len(m.entries))
	for name, e := range m.entries {
		if len(types) == 0 || slices.Contains(types, name.Type) {
			all = append(all, jobqueue.Backlog{Name: name, Age: max(0, now.Sub(e.since)), Version: e.version})
		}
	}
	return all
}

// Clear implements [jobqueue.Aggregator].
func (m *Memory) Clear(_ context.Context, seen ...jobqueue.Backlog) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, q := range seen {
		if e, known := m.entries[q.Name]; known && e.version == q.Version {
			delete(m.entries, q.Name)
		}
	}
	return nil
}
