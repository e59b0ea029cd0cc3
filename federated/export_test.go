package federated

import (
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// Shift moves what the backend takes for the time that has passed.
func (b *Backend) Shift(d time.Duration) { b.offset.Add(int64(d)) }

// Owner returns the name of the partition that a record with a digest belongs to.
func (b *Backend) Owner(r *jobqueue.Record) string {
	var k keys
	return b.of(r.Domain).owner(k.of(r), 0).name
}

// Taker returns the name of the partition that gets what a push has for a domain without digests.
func (b *Backend) Taker(id uuid.UUID, domain string) string {
	return b.of(domain).owner(plainKey(id), 0).name
}

// Keeper returns the name of the partition that keeps the mark of a root.
func (b *Backend) Keeper(n jobqueue.Name, key string) string { return b.keeper(n, key).name }
