package queuedb

import "github.com/wikifarm/jobqueue"

// Queues are never deleted, so what is known of them stays true.

type found map[jobqueue.Name]int64

func (f found) row(scan Scan) error {
	var id int64
	var n jobqueue.Name
	err := scan(&id, &n.Domain, &n.Type)
	f[n] = id
	return err
}

// look returns the numbers of queues; one that does not exist is left out, or
// made by the statement. The caller calls remember once they are committed.
func (b *Backend) look(t tx, statement string, names []jobqueue.Name) (found, error) {
	f := make(found)
	var domains, types []string
	for i, n := range names {
		if i > 0 && n == names[i-1] {
			continue
		}
		if _, seen := f[n]; seen {
			continue
		}
		if id, ok := b.ids.Load(n); ok {
			f[n] = id.(int64)
			continue
		}
		f[n] = 0
		domains, types = append(domains, n.Domain), append(types, n.Type)
	}
	if len(domains) > 0 {
		if err := t.QueryEach(statement, f.row, domains, types); err != nil {
			return nil, err
		}
	}
	for n, id := range f {
		if id == 0 {
			delete(f, n)
		}
	}
	return f, nil
}

func (b *Backend) addQueues(t tx, names []jobqueue.Name) (found, error) {
	return b.look(t, "queue_add", names)
}

func (b *Backend) findQueues(t tx, names []jobqueue.Name) (found, error) {
	return b.look(t, "queue_find", names)
}

func (b *Backend) remember(f found) {
	for n, id := range f {
		if _, ok := b.ids.Load(n); !ok {
			b.ids.Store(n, id)
			b.names.Store(id, n)
		}
	}
}

// namesOf returns the names of queues by number. The caller of a Read
// remembers them; a Write may not, as what it sees need not be committed yet.
func (b *Backend) namesOf(t tx, queues []int64) (map[int64]jobqueue.Name, found, error) {
	names := make(map[int64]jobqueue.Name, len(queues))
	var unknown Numbers
	for _, id := range queues {
		if n, ok := b.names.Load(id); ok {
			names[id] = n.(jobqueue.Name)
		} else if _, seen := names[id]; !seen {
			names[id] = jobqueue.Name{}
			unknown = append(unknown, id)
		}
	}
	if len(unknown) == 0 {
		return names, nil, nil
	}
	f := make(found, len(unknown))
	err := t.Query("queue_name", f.row, unknown)
	for n, id := range f {
		names[id] = n
	}
	return names, f, err
}
