package queuememory

// An item knows its place in a heap, so that it can be moved or taken out.
type item interface{ place() *int }

// A heap is a binary heap whose least item is items[0].
type heap[T item] struct {
	items []T
	less  func(a, b T) bool
}

func (h *heap[T]) push(t T) {
	*t.place() = len(h.items)
	h.items = append(h.items, t)
	h.up(len(h.items) - 1)
}

func (h *heap[T]) remove(t T) {
	i, last := *t.place(), len(h.items)-1
	h.swap(i, last)
	var zero T
	h.items[last] = zero
	h.items = h.items[:last]
	if i < last {
		h.fix(h.items[i])
	}
}

// fix puts t in its place after its key has changed.
func (h *heap[T]) fix(t T) {
	h.up(*t.place())
	h.down(*t.place())
}

func (h *heap[T]) up(i int) {
	for i > 0 && h.less(h.items[i], h.items[(i-1)/2]) {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (h *heap[T]) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h.items); c++ {
			if h.less(h.items[c], h.items[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}

func (h *heap[T]) swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	*h.items[i].place() = i
	*h.items[j].place() = j
}

// each calls f for every item for which visit holds, given that it never
// holds for an item below one for which it does not.
func (h *heap[T]) each(visit func(T) bool, f func(T)) { h.walk(0, visit, f) }

func (h *heap[T]) walk(i int, visit func(T) bool, f func(T)) {
	if i < len(h.items) && visit(h.items[i]) {
		f(h.items[i])
		h.walk(2*i+1, visit, f)
		h.walk(2*i+2, visit, f)
	}
}
