package queueredis

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/wikifarm/jobqueue"
)

// nameKey returns what stands for a name, of which no other name has the same.
func nameKey(n jobqueue.Name) string {
	return strconv.Itoa(len(n.Domain)) + ":" + n.Domain + n.Type
}

// parseName is the inverse of nameKey.
func parseName(s string) (n jobqueue.Name, ok bool) {
	digits, rest, ok := strings.Cut(s, ":")
	size, err := strconv.Atoi(digits)
	if !ok || err != nil || size < 0 || size > len(rest) {
		return n, false
	}
	return jobqueue.Name{Domain: rest[:size], Type: rest[size:]}, true
}

// shardOf returns the shard of the queues of a domain. They are together, so that what concerns one domain
// is atomic, in order and in one round trip. It must stay as it is.
func (b *Backend) shardOf(domain string) int {
	if b.shards == 1 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(domain))
	return int(h.Sum64() % uint64(b.shards))
}

// A jobID is the number of a job in its shard.
type jobID struct {
	number int64
	shard  int
}

// mostID is the largest number that scripts can tell from the next one.
const mostID = 1 << 53

// idText is the number, followed by a dash and the shard if there are several.
func (b *Backend) idText(id jobID) string {
	if b.shards == 1 {
		return strconv.FormatInt(id.number, 10)
	}
	return strconv.FormatInt(id.number, 10) + "-" + strconv.Itoa(id.shard)
}

// idTexts returns the texts of jobs of a shard. They share their memory.
func (b *Backend) idTexts(numbers []int64, shard int) []string {
	suffix := ""
	if b.shards > 1 {
		suffix = "-" + strconv.Itoa(shard)
	}
	buf, ends := make([]byte, 0, len(numbers)*(16+len(suffix))), make([]int, len(numbers))
	for i, n := range numbers {
		buf = append(strconv.AppendInt(buf, n, 10), suffix...)
		ends[i] = len(buf)
	}
	return cutAt(string(buf), ends)
}

// cutAt returns the parts of a text, of which the ends are known.
func cutAt(s string, ends []int) []string {
	parts, from := make([]string, len(ends)), 0
	for i, end := range ends {
		parts[i], from = s[from:end], end
	}
	return parts
}

// parseID returns the id that a text stands for, and false if it has not the form of one.
func (b *Backend) parseID(s string) (id jobID, ok bool) {
	digits, shard := s, ""
	if b.shards > 1 {
		digits, shard, _ = strings.Cut(s, "-")
		id.shard, _ = strconv.Atoi(shard)
	}
	id.number, _ = strconv.ParseInt(digits, 10, 64)
	ok = id.number > 0 && id.number < mostID && id.shard >= 0 && id.shard < b.shards && digits[0] >= '1' && digits[0] <= '9' &&
		(b.shards == 1 || shard == strconv.Itoa(id.shard))
	return id, ok
}

// byShard splits things by shard. Those of a shard keep their order.
func byShard[T any](b *Backend, all []T, shard func(T) int) map[int][]T {
	if b.shards == 1 {
		if len(all) == 0 {
			return nil
		}
		return map[int][]T{0: all}
	}
	parts := map[int][]T{}
	for _, t := range all {
		s := shard(t)
		parts[s] = append(parts[s], t)
	}
	return parts
}

// hex returns the number of a job as scripts have it.
func hex(n int64) string { return strconv.FormatInt(n, 16) }

// unhex is the inverse of hex.
func unhex(s string) int64 {
	n, _ := strconv.ParseInt(s, 16, 64)
	return n
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{jobqueue.ErrInvalid}, args...)...)
}
