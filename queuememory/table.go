package queuememory

// tableSpan is how many numbers share a block.
const tableSpan = 64

// A table has the stored jobs by number. Those that follow each other share a block, as they come and go together.
type table struct {
	blocks map[uint64]*block
	latest *block // that was looked up last; nil or in blocks
}

type block struct {
	no   uint64
	n    int // how many jobs are left
	jobs [tableSpan]*job
}

// block returns the block of a number, or nil.
func (t *table) block(id uint64) *block {
	no := id / tableSpan
	if t.latest != nil && t.latest.no == no {
		return t.latest
	}
	b := t.blocks[no]
	if b != nil {
		t.latest = b
	}
	return b
}

// get returns a job, or nil.
func (t *table) get(id uint64) *job {
	if b := t.block(id); b != nil {
		return b.jobs[id%tableSpan]
	}
	return nil
}

// put adds a job whose number is new.
func (t *table) put(j *job) {
	b := t.block(j.id)
	if b == nil {
		b = &block{no: j.id / tableSpan}
		if t.blocks == nil {
			t.blocks = map[uint64]*block{}
		}
		t.blocks[b.no], t.latest = b, b
	}
	b.jobs[j.id%tableSpan] = j
	b.n++
}

// remove takes out a job that is there.
func (t *table) remove(j *job) {
	b := t.block(j.id)
	b.jobs[j.id%tableSpan] = nil
	if b.n--; b.n == 0 {
		delete(t.blocks, b.no)
		t.latest = nil
	}
}

// all yields every job, in no order.
func (t *table) all(yield func(*job) bool) {
	for _, b := range t.blocks {
		for _, j := range b.jobs {
			if j != nil && !yield(j) {
				return
			}
		}
	}
}
