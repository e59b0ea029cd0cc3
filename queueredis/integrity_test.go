package queueredis_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// An auditor reads the keys of one shard and says what is wrong with them.
type auditor struct {
	t    testing.TB
	c    redis.UniversalClient
	base string
	keys map[string]bool // without base
	jobs map[string]storedJob
	bad  []string
}

type storedJob struct {
	queue, state, digest string
}

// audit fails the test unless every job of a shard stands in one place, and all that is counted or ordered agrees.
// Nobody uses the store meanwhile.
func audit(t testing.TB, c redis.UniversalClient, prefix string, shard int) {
	t.Helper()
	a := &auditor{t: t, c: c, base: fmt.Sprintf("{%s:%d}:", prefix, shard), keys: map[string]bool{}, jobs: map[string]storedJob{}}
	for it := c.Scan(context.Background(), 0, a.base+"*", 10_000).Iterator(); it.Next(context.Background()); {
		a.keys[strings.TrimPrefix(it.Val(), a.base)] = true
	}
	a.readJobs()
	a.readLists()
	a.readOrders("d", "D")
	a.readOrders("a", "A")
	a.readClaims()
	a.readDigests()
	a.readHolds()
	if len(a.bad) > 0 {
		t.Errorf("the store is inconsistent:\n%s", strings.Join(a.bad[:min(len(a.bad), 20)], "\n"))
	}
}

func (a *auditor) fail(format string, args ...any) {
	a.bad = append(a.bad, fmt.Sprintf(format, args...))
}

func (a *auditor) hash(key string) map[string]string {
	m, err := a.c.HGetAll(context.Background(), a.base+key).Result()
	if err != nil {
		a.t.Fatal(err)
	}
	return m
}

func (a *auditor) scores(key string) map[string]float64 {
	z, err := a.c.ZRangeWithScores(context.Background(), a.base+key, 0, -1).Result()
	if err != nil {
		a.t.Fatal(err)
	}
	m := map[string]float64{}
	for _, e := range z {
		m[e.Member.(string)] = e.Score
	}
	return m
}

// named returns what follows a letter in the keys that begin with it.
func (a *auditor) named(letter string) (rest []string) {
	for k := range a.keys {
		if r, ok := strings.CutPrefix(k, letter); ok && r != "" && r[0] >= '0' && r[0] <= '9' {
			rest = append(rest, r)
		}
	}
	return rest
}

func (a *auditor) readJobs() {
	order := a.scores("jz")
	blocks := a.named("j")
	if len(blocks) != len(order) {
		a.fail("%d blocks, and %d in their order", len(blocks), len(order))
	}
	for _, block := range blocks {
		if n, err := strconv.ParseInt(block, 16, 64); err != nil || order[block] != float64(n) {
			a.fail("block %s has the place %v", block, order[block])
		}
		fields := a.hash("j" + block)
		for f, v := range fields {
			digit := f[len(f)-1:]
			body, ok := fields[digit]
			if !ok {
				a.fail("block %s has %q without a body", block, f)
			} else if len(f) == 1 {
				j := storedJob{queue: strconv.Itoa(int(binary.BigEndian.Uint32([]byte(v)))), state: fields["s"+digit]}
				if body[12]&1 != 0 {
					j.digest = body[13:29]
				}
				a.jobs[block+digit] = j
			}
		}
	}
}

// readLists checks the ready jobs.
func (a *auditor) readLists() {
	ready, voids := a.scores("rz"), a.hash("x")
	places := map[string]int{}
	lists := a.named("r")
	lists = slices.DeleteFunc(lists, func(q string) bool { return q == "z" })
	if len(lists) != len(ready) {
		a.fail("%d ready lists, and %d in their order", len(lists), len(ready))
	}
	for _, q := range lists {
		ids, err := a.c.LRange(context.Background(), a.base+"r"+q, 0, -1).Result()
		if err != nil {
			a.t.Fatal(err)
		}
		if _, ok := ready[q]; !ok {
			a.fail("the ready queue %s is not in the order of them", q)
		}
		void := 0
		for id, n := range a.hash("x" + q) {
			k, _ := strconv.Atoi(n)
			void += k
			places[id] -= k
		}
		if v := voids[q]; v != "" && v != strconv.Itoa(void) || v == "" && void > 0 {
			a.fail("queue %s has %d void places, and %q are counted", q, void, v)
		}
		if len(ids) == void {
			a.fail("all places of queue %s are void", q)
		}
		for _, id := range ids {
			places[id]++
			if j, ok := a.jobs[id]; ok && j.queue != q {
				a.fail("job %s of queue %s is in the list of %s", id, j.queue, q)
			}
		}
	}
	for id, j := range a.jobs {
		want := 0
		if j.state == "" || j.state[0] == 'R' {
			want = 1
		}
		if places[id] != want {
			a.fail("job %s in state %q has %d places in its list", id, j.state, places[id])
		}
		delete(places, id)
	}
	for id, n := range places {
		if n != 0 {
			a.fail("job %s, which there is not, has %d places", id, n)
		}
	}
}

// readOrders checks delayed or abandoned jobs.
func (a *auditor) readOrders(kind, state string) {
	order := a.scores(kind + "z")
	found := map[string]bool{}
	for _, q := range a.named(kind) {
		least := math.Inf(1)
		for id, at := range a.scores(kind + q) {
			found[id] = true
			least = min(least, at)
			if j := a.jobs[id]; j.state != state || j.queue != q {
				a.fail("job %s in state %q of queue %s is among those of %s%s", id, j.state, j.queue, kind, q)
			}
		}
		if at, ok := order[q]; ok == math.IsInf(least, 1) || ok && at != least {
			a.fail("queue %s comes at %v in %sz, and its first at %v", q, at, kind, least)
		}
		delete(order, q)
	}
	if len(order) > 0 {
		a.fail("%sz has queues without jobs: %v", kind, order)
	}
	for id, j := range a.jobs {
		if j.state == state && !found[id] {
			a.fail("job %s in state %q is not among those of %s%s", id, state, kind, j.queue)
		}
	}
}

func (a *auditor) readClaims() {
	held, ofQueue := map[string]int{}, map[string]int{}
	for id, j := range a.jobs {
		if j.state != "" && j.state[0] == 'C' {
			if j.state[18:] != j.queue {
				a.fail("job %s of queue %s is claimed for %s", id, j.queue, j.state[18:])
			}
			held[j.state[1:17]]++
			ofQueue[j.queue]++
		}
	}
	claims, ends := a.hash("c"), a.scores("cz")
	if len(claims) != 3*len(held) || len(ends) != len(held) {
		a.fail("%d tokens hold jobs; there are %d fields and %d ends of leases", len(held), len(claims), len(ends))
	}
	for token, n := range held {
		if claims[token] == "" || claims[token+"h"] != strconv.Itoa(n) || claims[token+"l"] == "" {
			a.fail("token %x holds %d jobs, and has %q, %q", token, n, claims[token+"h"], claims[token+"l"])
		}
	}
	counted := a.hash("k")
	if len(counted) != len(ofQueue) {
		a.fail("%d queues have claimed jobs, and %d are counted", len(ofQueue), len(counted))
	}
	for q, n := range ofQueue {
		if counted[q] != strconv.Itoa(n) {
			a.fail("queue %s has %d claimed jobs, and %s are counted", q, n, counted[q])
		}
	}
}

func (a *auditor) readDigests() {
	for _, q := range a.named("u") {
		for digest, id := range a.hash("u" + q) {
			j, ok := a.jobs[id]
			if !ok || j.queue != q || j.digest != digest || j.state != "" && j.state != "D" && j.state[0] != 'R' {
				a.fail("the digest %x of queue %s is that of job %s, which is %+v", digest, q, id, j)
			}
		}
	}
}
