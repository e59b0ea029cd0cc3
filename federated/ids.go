package federated

import (
	"encoding/binary"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// A tag names a partition in the last bytes of a token.
type tag [4]byte

func tagOf(name string) (t tag) {
	binary.BigEndian.PutUint32(t[:], uint32(xxhash.Sum64String(name)))
	return t
}

// token returns the token under which a Pop is made at a partition. What its last bytes had to
// make room for is mixed into the others.
func (p *partition) token(t uuid.UUID) uuid.UUID {
	h := binary.BigEndian.AppendUint64(nil, xxhash.Sum64(t[:]))
	for i, x := range h {
		t[i+4] ^= x
	}
	copy(t[12:], p.tag[:])
	return version8(t)
}

// holder returns the partition that a token names; nil if it is none of token.
func (b *Backend) holder(t uuid.UUID) *partition {
	if t.Version() != 8 {
		return nil
	}
	return b.byTag[tag(t[12:])]
}

// chain returns the id under which what came by id is pushed at a partition.
func (p *partition) chain(id uuid.UUID) uuid.UUID {
	var d xxhash.Digest
	d.ResetWithSeed(p.seed)
	d.Write(id[:])
	first := d.Sum64()
	d.WriteString(p.name)
	second := d.Sum64()
	binary.BigEndian.PutUint64(id[:8], first)
	binary.BigEndian.PutUint64(id[8:], second)
	return version8(id)
}

func version8(id uuid.UUID) uuid.UUID {
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// namePushed makes the IDs of jobs in the partition those of the federation, all with one allocation.
func (p *partition) namePushed(jobs jobqueue.Pushed) {
	size := 0
	for i := range jobs {
		size += len(p.prefix) + len(jobs[i].ID)
	}
	all := p.writer(size)
	for i := range jobs {
		jobs[i].ID = all.write(jobs[i].ID)
	}
}

// nameClaims is namePushed for claims.
func (p *partition) nameClaims(claims []*jobqueue.Claim) {
	size := 0
	for _, c := range claims {
		size += len(p.prefix) + len(c.ID)
	}
	all := p.writer(size)
	for _, c := range claims {
		c.ID = all.write(c.ID)
	}
}

// A writer writes IDs behind each other.
type writer struct {
	strings.Builder
	prefix string
}

func (p *partition) writer(size int) *writer {
	w := &writer{prefix: p.prefix}
	w.Grow(size)
	return w
}

func (w *writer) write(id string) string {
	from := w.Len()
	w.WriteString(w.prefix)
	w.WriteString(id)
	return w.String()[from:]
}

// local returns the partition that an ID names, and the ID there.
func (b *Backend) local(id string) (*partition, string, bool) {
	name, rest, _ := strings.Cut(id, ":")
	p := b.byName[name]
	return p, rest, p != nil && rest != ""
}
