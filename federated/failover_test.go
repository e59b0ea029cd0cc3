package federated_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/federated"
	"github.com/wikifarm/jobqueue/queuetest"
)

// homes returns how many of the jobs are at each partition.
func homes(pushed jobqueue.Pushed) map[string]int {
	at := map[string]int{}
	for _, p := range pushed {
		home, _, _ := strings.Cut(p.ID, ":")
		at[home]++
	}
	return at
}

// back has the partitions probed until those that are up are known to be.
func (c *client) back() {
	<-time.After(time.Minute)
	c.b.Counts(c.Context())
	synctest.Wait()
}

// While a partition is away equal jobs are pushed to another one, the same for all of them; so when it is back there is at most one twin of
// each job that waits there.
func TestTwinsOfAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 300
		c, f := fakes(t, 3)
		before := homes(c.push(uniques(n)...))
		f[0].down()
		for range 3 { // again and again, as in an outage that lasts
			c.push(uniques(n)...)
		}
		f[0].up()
		c.back()
		again := c.push(uniques(n)...)
		if again.Stored() != 0 {
			t.Errorf("%d jobs are stored though each waits where it belongs", again.Stored())
		}
		counts, err := c.b.Counts(t.Context(), name)
		if err != nil || counts[0].Ready != n+before["q1"] || before["q1"] == 0 {
			t.Errorf("%+v, %v, want %d jobs and one twin for each of the %d at q1", counts, err, n, before["q1"])
		}
	})
}

// With two away there are at most two twins.
func TestTwinsOfTwoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 300
		c, f := fakes(t, 3)
		c.push(uniques(n)...)
		f[0].down()
		c.push(uniques(n)...)
		f[1].down()
		if at := homes(c.push(uniques(n)...)); at["q3"] != n {
			t.Errorf("the jobs went to %v, want q3", at)
		}
		f[0].up()
		f[1].up()
		c.back()
		twins := map[string]int{}
		for e, err := range c.b.List(t.Context(), jobqueue.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			twins[string(e.Params)]++
		}
		most := 0
		for _, n := range twins {
			most = max(most, n)
		}
		if len(twins) != n || most != 3 {
			t.Errorf("%d jobs are there, up to %d times, want %d, up to 3 times", len(twins), most, n)
		}
	})
}

// When a partition stored a push, could not say so and went away, that push is there twice, and never more often,
// however often it is repeated and whether the partition is back by then.
func TestLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fakes(t, 3)
		id := uuid.New()
		// Find out where the push will go.
		home := f[c.pushAs(id, record(1))[0].ID[1]-'1']
		c.b.Delete(t.Context(), jobqueue.Filter{States: jobqueue.States()})
		<-time.After(jobqueue.PushMemory + time.Minute)
		c.b.Maintain(t.Context())

		answered := false
		home.fail(func(op string) error {
			if op == "push" && !answered {
				answered = true
				return queuetest.After(errDown)
			}
			return errDown
		})
		first := c.pushAs(id, record(1))
		c.holds(home, 1)
		for range 3 {
			if again := c.pushAs(id, record(1)); again[0] != first[0] {
				t.Errorf("the repeated push says %+v, want %+v", again, first)
			}
		}
		home.up()
		c.back()
		for range 3 {
			if again := c.pushAs(id, record(1)); again[0] != first[0] {
				t.Errorf("the push that is repeated when the partition is back says %+v, want %+v", again, first)
			}
		}
		counts, err := c.b.Counts(t.Context(), name)
		if err != nil || counts[0].Ready != 2 {
			t.Errorf("Counts = %+v, %v, want the job and one twin", counts, err)
		}
	})
}

// A push of many owners is repeated piece by piece: what is in is known, what is not goes in.
func TestRepeatAfterEjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 300
		c, f := fakes(t, 3)
		id := uuid.New()
		first := c.pushAs(id, uniques(n)...)
		at := homes(first)
		f[0].down()
		again := c.pushAs(id, uniques(n)...)
		for i, p := range again {
			if was := first[i]; !strings.HasPrefix(was.ID, "q1:") && p != was || strings.HasPrefix(p.ID, "q1:") {
				t.Fatalf("job %d is %+v in the repeated push, and was %+v", i, p, was)
			}
		}
		third := c.pushAs(id, uniques(n)...)
		f[0].up()
		c.back()
		fourth := c.pushAs(id, uniques(n)...)
		for i := range again {
			if third[i] != again[i] || fourth[i] != again[i] {
				t.Fatalf("job %d is %+v, %+v and %+v in three repeated pushes", i, again[i], third[i], fourth[i])
			}
		}
		counts, err := c.b.Counts(t.Context(), name)
		if err != nil || counts[0].Ready != n+at["q1"] {
			t.Errorf("Counts = %+v, %v, want %d jobs and %d twins", counts, err, n, at["q1"])
		}
	})
}

// A full partition is passed over by pushes for a second, and handed out from as ever. So is one that takes no writes.
func TestFull(t *testing.T) {
	for what, refusal := range map[string]error{
		"full":      fmt.Errorf("%w: maxmemory is reached", jobqueue.ErrUnavailable),
		"read-only": fmt.Errorf("%w: it is a standby", jobqueue.ErrReadOnly),
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, f := fakes(t, 2)
				before := homes(c.push(uniques(100)...))
				asked := 0
				f[0].fail(func(op string) error {
					if op == "push" {
						asked++
						return refusal
					}
					return nil
				})
				for range 50 {
					if at := homes(c.push(uniques(150)[100:]...)); at["q2"] != 50 {
						t.Fatalf("the jobs went to %v, want q2", at)
					}
				}
				if asked > 2 {
					t.Errorf("the partition was asked %d times within a second", asked)
				}
				if got := homes(idsOf(c.pop(150))); got["q1"] != before["q1"] {
					t.Errorf("Pop handed out %v, want all %d of q1", got, before["q1"])
				}
				f[0].up()
				<-time.After(time.Second)
				if at := homes(c.push(uniques(400)[200:]...)); at["q1"] == 0 {
					t.Errorf("the jobs went to %v, want some to go to q1, which has room again", at)
				}
				f[0].fail(func(op string) error { return map[string]error{"push": refusal}[op] })
				f[1].fail(func(op string) error { return map[string]error{"push": refusal}[op] })
				_, err := c.b.Push(t.Context(), uuid.New(), uniques(1))
				if !errors.Is(err, errors.Unwrap(refusal)) || !strings.Contains(err.Error(), "no partition takes the jobs: q1: ") {
					t.Errorf("Push = %v, want the reasons", err)
				}
			})
		})
	}
}

func idsOf(claims []*jobqueue.Claim) (pushed jobqueue.Pushed) {
	for _, c := range claims {
		pushed = append(pushed, jobqueue.PushedJob{ID: c.ID})
	}
	return pushed
}

// What cannot be told to a partition that is away is told of by name, and all else is done.
func TestPartError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fakes(t, 3)
		claims := c.popAfter(uniques(90))
		c.push(uniques(180)[90:]...)
		f[1].down()
		at := homes(idsOf(claims))
		lost, err := c.b.Settle(t.Context(), done(claims...)...)
		part := c.missing(err, "q2")
		if len(lost) > 0 || len(part.Claims) != at["q2"] {
			t.Errorf("Settle lost %v and left out %d claims, want %d", lost, len(part.Claims), at["q2"])
		}
		for _, left := range part.Claims {
			if !strings.HasPrefix(left.ID, "q2:") {
				t.Errorf("claim %s is left out", left.ID)
			}
		}
		tokens := map[string]uuid.UUID{}
		for _, c := range claims {
			tokens[c.ID[:2]] = c.Token
		}
		unknown := uuid.New()
		gone, err := c.b.Extend(t.Context(), time.Hour, tokens["q1"], tokens["q2"], unknown)
		part = c.missing(err, "q2")
		if len(gone) != 1 || gone[0] != tokens["q1"] || len(part.Tokens) != 2 || part.Tokens[0] != tokens["q2"] || part.Tokens[1] != unknown {
			t.Errorf("Extend lost %v and left out %v", gone, part.Tokens)
		}
		counts, err := c.b.Counts(t.Context())
		c.missing(err, "q2")
		if len(counts) != 1 || counts[0].Ready == 0 || counts[0].Claimed != 0 {
			t.Errorf("Counts = %+v", counts)
		}
		var last error
		found := 0
		for r, err := range c.b.Ready(t.Context()) {
			if last = err; err == nil && r.Name == name {
				found++
			}
		}
		if c.missing(last, "q2"); found != 1 {
			t.Errorf("Ready yields %d queues", found)
		}
		listed := 0
		for e, err := range c.b.List(t.Context(), jobqueue.Filter{}) {
			if last = err; err == nil && e.ID[:2] != "q2" {
				listed++
			}
		}
		if c.missing(last, "q2"); listed != counts[0].Ready {
			t.Errorf("List yields %d jobs, Counts %d", listed, counts[0].Ready)
		}
		_, err = c.b.Maintain(t.Context())
		c.missing(err, "q2")
		n, err := c.b.Delete(t.Context(), jobqueue.Filter{})
		if c.missing(err, "q2"); n != listed {
			t.Errorf("Delete = %d, want %d", n, listed)
		}
		f[1].up()
		c.back()
		if lost, err := c.b.Settle(t.Context(), done(claims...)...); err != nil || len(lost) > 0 {
			t.Errorf("Settle = %v, %v when the partition is back", lost, err)
		}
	})
}

// What has noPush gets nothing new, and is drained.
func TestNoPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, fresh := newFake(), newFake()
		parts := []federated.Partition{{Name: "old", Weight: 5, Backend: old}, {Name: "new", Weight: 1, Backend: fresh}}
		c := &client{t, open(t, parts, nil)}
		was := homes(c.push(uniques(200)...))
		parts[0].NoPush = true
		c = &client{t, open(t, parts, nil)}
		if at := homes(c.push(uniques(400)[200:]...)); at["new"] != 200 {
			t.Errorf("the jobs went to %v, want new", at)
		}
		for range 10 {
			if at := homes(c.push(record(1))); at["new"] != 1 {
				t.Errorf("a job went to %v, want new", at)
			}
		}
		if got := homes(idsOf(c.pop(1000))); got["old"] != was["old"] || got["old"] == 0 {
			t.Errorf("Pop handed out %v, want all of old", got)
		}
	})
}

// A repeat of a Pop returns what it claimed, also after other partitions got jobs, and one that was cut off goes on.
func TestRepeatPop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fakes(t, 3)
		c.push(uniques(30)...)
		l, want := lease(), jobqueue.Want{Name: name, Max: 40}
		first, err := c.b.Pop(t.Context(), l, want)
		if err != nil || len(first) != 30 {
			t.Fatalf("Pop = %d claims, %v, want 30", len(first), err)
		}
		c.push(uniques(60)[30:]...)
		again, err := c.b.Pop(t.Context(), l, want)
		if err != nil || len(again) != 30 {
			t.Errorf("the repeated Pop = %d claims, %v, want 30", len(again), err)
		}
		// The answer of one is lost twice; what it claimed is in the answer to the repeat.
		l = lease()
		lost := 0
		for _, f := range f {
			f.fail(func(op string) error {
				if op == "pop" && lost < 2 {
					lost++
					return queuetest.After(errDown)
				}
				return nil
			})
		}
		some, err := c.b.Pop(t.Context(), l, want)
		all, err2 := c.b.Pop(t.Context(), l, want)
		if err != nil || err2 != nil || len(some) >= 30 || len(all) != 30 {
			t.Errorf("Pop = %d claims, %v, and repeated %d, %v, want some, then all", len(some), err, len(all), err2)
		}
	})
}
