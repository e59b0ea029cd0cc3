package federated

import (
	"encoding/binary"
	"math"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// of returns the section of a domain.
func (b *Backend) of(domain string) *section {
	if len(b.sections) > 0 {
		if s := b.sections[domain]; s != nil {
			return s
		}
	}
	return &b.usual
}

// owner returns the member that a key belongs to, not counting those passed over: the one with
// the highest score in weighted rendezvous hashing; nil if there is none left. Each has a number
// between 0 and 1 for each key; the higher the weight the nearer to 1 it comes.
func (s *section) owner(key uint64, passed set) *partition {
	var best *partition
	most := math.Inf(-1)
	for i := range s.members {
		m := &s.members[i]
		if passed.has(m.partition) {
			continue
		}
		n := unit(mix(key, m.seed))
		if !s.even { // Else the highest number is of the highest score.
			n = math.Log(n) / m.weight
		}
		if best == nil || n > most {
			best, most = m.partition, n
		}
	}
	return best
}

func score(key, seed uint64, weight float64) float64 { return math.Log(unit(mix(key, seed))) / weight }

// unit returns a number above 0 and below 1.
func unit(h uint64) float64 { return (float64(h>>11) + 0.5) / (1 << 53) }

// mix returns a hash of two hashes (the finalizer of SplitMix64, by Vigna).
func mix(a, b uint64) uint64 {
	h := a ^ b*0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// A set is some of the partitions.
type set uint64

func (s set) has(p *partition) bool { return s>>p.place&1 == 1 }

func (s *set) add(p *partition) { *s |= 1 << p.place }

// plainKey returns the key of the records of a push that have no digest: a hash of its id.
func plainKey(id uuid.UUID) uint64 { return xxhash.Sum64(id[:]) }

// keys makes the keys of records, which are mostly of one queue.
type keys struct {
	plain uint64 // of those without a digest
	name  jobqueue.Name
	hash  uint64
}

func (k *keys) of(r *jobqueue.Record) uint64 {
	if r.Digest == (jobqueue.Digest{}) {
		return k.plain
	}
	if k.hash == 0 || k.name != r.Name {
		d := keyOf(r.Name, "\x00d")
		k.name, k.hash = r.Name, d.Sum64()
	}
	// A digest is a hash itself.
	return mix(k.hash^binary.LittleEndian.Uint64(r.Digest[:8]), binary.LittleEndian.Uint64(r.Digest[8:]))
}

func rootKey(n jobqueue.Name, key string) uint64 {
	d := keyOf(n, "\x00r")
	d.WriteString(key)
	return d.Sum64()
}

// keyOf begins the hash of what is of a queue and of one kind. Names have no NUL, so that no two are put together in the same way.
func keyOf(n jobqueue.Name, kind string) (d xxhash.Digest) {
	d.Reset()
	d.WriteString(n.Domain)
	d.WriteString("\x00")
	d.WriteString(n.Type)
	d.WriteString(kind)
	return d
}
