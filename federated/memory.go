package federated

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// How much is remembered, whatever its age.
const (
	rememberedPushes = 100_000
	rememberedPops   = 20_000
)

// A memory has what is known of the newest ids for some time.
type memory[T any] struct {
	most int
	life time.Duration

	mu    sync.Mutex
	of    map[uuid.UUID]T
	order []dated // oldest first, in a ring
	first int
}

type dated struct {
	id uuid.UUID
	at time.Time
}

func (m *memory[T]) get(id uuid.UUID) (t T, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, known = m.of[id]
	return t, known
}

func (m *memory[T]) put(id uuid.UUID, t T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil {
		m.of = map[uuid.UUID]T{}
	}
	if _, known := m.of[id]; !known {
		m.forget()
		m.order = append(m.order, dated{id, time.Now()})
	}
	m.of[id] = t
}

// forget makes room for one more.
func (m *memory[T]) forget() {
	for len(m.order)-m.first >= m.most || m.first < len(m.order) && time.Since(m.order[m.first].at) > m.life {
		delete(m.of, m.order[m.first].id)
		m.first++
	}
	if m.first > len(m.order)/2 {
		m.order = append(m.order[:0], m.order[m.first:]...)
		m.first = 0
	}
}
