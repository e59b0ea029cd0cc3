package queueredis

import (
	"context"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// A pushCall is the part of a Push that goes to one shard.
type pushCall struct {
	id      uuid.UUID
	records []jobqueue.Record
	keys    []string // of the names of the records
	bodies  []string
	places  []int // of the records that go to this shard
	size    int   // in bytes
	answer  string
}

// Push implements [jobqueue.Backend].
func (b *Backend) Push(ctx context.Context, id uuid.UUID, records []jobqueue.Record) (jobqueue.Pushed, error) {
	if err := jobqueue.CheckPush(records); err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, nil
	}
	keys, bodies := make([]string, len(records)), b.bodies(records)
	places := make([]int, len(records))
	for i := range records {
		if i > 0 && records[i].Name == records[i-1].Name {
			keys[i] = keys[i-1]
		} else {
			keys[i] = nameKey(records[i].Name)
		}
		places[i] = i
	}
	pushed := make(jobqueue.Pushed, len(records))
	err := each(byShard(b, places, func(i int) int { return b.shardOf(records[i].Domain) }), func(shard int, places []int) error {
		c := &pushCall{id: id, records: records, keys: keys, bodies: bodies, places: places}
		for _, i := range places {
			c.size += len(bodies[i]) + 100
		}
		if err := b.pushes[shard].call(ctx, c, max(len(places), c.size>>12)); err != nil {
			return err
		}
		b.pushedOf(c, shard, pushed)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return pushed, nil
}

// pushedOf fills in what became of the jobs of a call.
func (b *Backend) pushedOf(c *pushCall, shard int, pushed jobqueue.Pushed) {
	base, twins, _ := strings.Cut(c.answer, " ")
	first := unhex(base)
	numbers := make([]int64, len(c.places))
	for k, i := range c.places {
		numbers[k] = first + int64(i)
	}
	for k, id := range b.idTexts(numbers, shard) {
		pushed[c.places[k]].ID = id
	}
	for t := range strings.FieldsSeq(twins) {
		place, id, _ := strings.Cut(t, ":")
		pushed[number(place)] = jobqueue.PushedJob{ID: b.idText(jobID{unhex(id), shard}), Duplicate: true}
	}
	b.saw(first + int64(c.places[len(c.places)-1]))
}

// saw notes the number of a job, so that those of later pushes are higher in whatever shard they are.
func (b *Backend) saw(n int64) {
	if b.shards == 1 {
		return
	}
	for {
		old := b.newest.Load()
		if n <= old || b.newest.CompareAndSwap(old, n) {
			return
		}
	}
}

// pushAll pushes calls in one script.
func (b *Backend) pushAll(ctx context.Context, shard int, calls []*pushCall) error {
	var names []any
	numbers := map[string]string{} // of names
	numberOf := func(key string) string {
		n, known := numbers[key]
		if !known {
			names = append(names, key)
			n = strconv.Itoa(len(names))
			numbers[key] = n
		}
		return n
	}
	least := strconv.FormatInt(b.newest.Load()+1, 10)
	size := 0
	for _, c := range calls {
		size += len(c.places) + 8
	}
	args := make([]any, 0, size)
	for _, c := range calls {
		args = append(args, c.id[:], len(c.places), least)
		for at := 0; at < len(c.places); {
			i := c.places[at]
			n := 0
			for at+n < len(c.places) && c.places[at+n] == i+n && plain(&c.records[i+n]) && c.keys[i+n] == c.keys[i] {
				n++
			}
			if n == 0 {
				args = append(appendSpecial(append(args, "s", i, numberOf(c.keys[i])), &c.records[i]), c.bodies[i])
				at++
				continue
			}
			args = append(args, "p", i, numberOf(c.keys[i]), n)
			for k := range n {
				args = append(args, &c.bodies[i+k]) // which takes less memory than a copy
			}
			at += n
		}
	}
	all := append(append([]any{len(names)}, names...), len(calls))
	v, err := b.run(ctx, shard, pushScript, append(all, args...)...)
	if err != nil {
		return err
	}
	answers := list(v)
	if len(answers) != len(calls) {
		return errAnswer
	}
	for i, c := range calls {
		c.answer = text(answers[i])
	}
	return nil
}

// plain reports whether a record is ready at once and has neither digest nor root.
func plain(r *jobqueue.Record) bool {
	return r.Delay == 0 && r.ReleaseAt.IsZero() && r.Root.Key == "" && r.Digest == jobqueue.Digest{}
}

func appendSpecial(args []any, r *jobqueue.Record) []any {
	digest, release, root := "", "", ""
	if r.Digest != (jobqueue.Digest{}) {
		digest = string(r.Digest[:])
	}
	if !r.ReleaseAt.IsZero() {
		release = "=" + strconv.FormatInt(r.ReleaseAt.UnixMicro(), 10)
	} else if r.Delay > 0 {
		release = "+" + micros(r.Delay)
	}
	if r.Root.Key != "" {
		root = stamp(r.Root.Time)
	}
	return append(args, digest, release, r.Root.Key, root)
}
