package federated_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// rooted returns a record of an edit, deduplicated so that it goes where its number belongs.
func rooted(n int, at time.Time) jobqueue.Record {
	r := unique(n)
	r.Root = jobqueue.Root{Key: "Template:A", Time: at}
	return r
}

// While the owner of a mark is away no job is superseded because of it, and no edit's work is lost when it is back, though
// its clock is ahead of the others'.
func TestRootsWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fakes(t, 3)
		keeper := f[c.b.Keeper(name, "Template:A")[1]-'1']
		keeper.store.Shift(time.Minute)
		var own, elsewhere []int // what belongs to the owner of the mark, and what does not
		for n := range 100 {
			r := rooted(n, time.Time{})
			if f[c.b.Owner(&r)[1]-'1'] == keeper {
				own = append(own, n)
			} else {
				elsewhere = append(elsewhere, n)
			}
		}
		push := func(numbers ...int) {
			t.Helper()
			var records []jobqueue.Record
			for _, n := range numbers {
				records = append(records, rooted(n, time.Time{}))
			}
			if got := c.push(records...); got.Stored() != len(numbers) {
				t.Fatalf("Push = %+v", got)
			}
		}
		superseded := func(jobs, want int) {
			t.Helper()
			n := 0
			claims := c.pop(200)
			for _, claim := range claims {
				if claim.Superseded {
					n++
				}
			}
			if len(claims) != jobs || n != want {
				t.Errorf("%d of %d jobs are superseded, want %d of %d", n, len(claims), want, jobs)
			}
		}
		push(own[0])
		keeper.down()
		push(elsewhere[:10]...)
		keeper.up()
		c.back()
		superseded(11, 0)
		push(elsewhere[:10]...)
		push(own[0])
		superseded(11, 10)
	})
}

// A repeated push with a new root does not supersede what the first one stored.
func TestRootsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := fakes(t, 3)
		id := uuid.New()
		records := []jobqueue.Record{rooted(1, time.Time{}), rooted(2, time.Time{}), rooted(3, time.Time{})}
		c.pushAs(id, records...)
		<-time.After(time.Minute)
		c.pushAs(id, records...)
		claims := c.pop(10)
		if len(claims) != 3 {
			t.Fatalf("Pop = %d claims", len(claims))
		}
		for _, claim := range claims {
			if claim.Superseded {
				t.Errorf("job %s is superseded by the repeat of its own push", claim.Params)
			}
		}
	})
}

// Pauses hold while the partition that keeps them is away: for who knew them, and for who starts then.
func TestValuesWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fakes(t, 3)
		set := func(key, data string, ttl time.Duration) {
			t.Helper()
			v := jobqueue.Value{Key: key, Version: jobqueue.AnyVersion, TTL: ttl}
			if data != "" {
				v.Data = []byte(data)
			}
			if _, ok, err := c.b.SetValue(t.Context(), v); err != nil || !ok {
				t.Fatalf("SetValue = %v, %v", ok, err)
			}
		}
		has := func(c *client, want string) {
			t.Helper()
			values, err := c.b.Values(t.Context(), "pause/")
			var got []string
			for _, v := range values {
				got = append(got, strings.TrimPrefix(v.Key, "pause/")+"="+string(v.Data))
			}
			if s := strings.Join(got, " "); s != want || err != nil {
				t.Errorf("Values = %s, %v, want %s", s, err, want)
			}
		}
		set("pause/a", "1", 0)
		set("pause/b", "2", 0)
		set("pause/t", "3", time.Minute)
		has(c, "a=1 b=2 t=3")
		set("pause/c", "4", 0)
		set("pause/b", "", 0)
		has(c, "a=1 c=4 t=3")
		f[0].down()
		has(c, "a=1 c=4 t=3")
		<-time.After(2 * time.Minute)
		has(c, "a=1 c=4")
		f[0].up()
		c.back()
		set("pause/z", "7", 0)
		has(c, "a=1 c=4 z=7")
		set("pause/z", "", 0)
		f[0].down()
		has(c, "a=1 c=4")
		if _, _, err := c.b.SetValue(t.Context(), jobqueue.Value{Key: "pause/d", Data: []byte("5")}); !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Errorf("SetValue = %v, want ErrUnavailable", err)
		}
		// Another process starts.
		parts := partsOf(f)
		late := &client{t, open(t, parts, nil)}
		has(late, "a=1 c=4")
		// What was set while a partition was away it gets when it is back.
		f[0].up()
		f[1].down()
		c.back()
		set("pause/e", "6", 0)
		set("pause/a", "", 0)
		f[1].up()
		c.back()
		f[0].down()
		f[2].down()
		has(&client{t, open(t, parts, nil)}, "c=4 e=6")
		f[1].down()
		if _, err := open(t, parts, nil).Values(t.Context(), "pause/"); !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Errorf("Values = %v though nobody knows, want ErrUnavailable", err)
		}
	})
}

// Rates are kept by the first partition that answers.
func TestRatesWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fakes(t, 2)
		charge := func(want time.Duration) {
			t.Helper()
			waits, err := c.b.Charge(t.Context(), jobqueue.Charge{Key: "k", Items: 1, PerSecond: 4})
			if err != nil || waits[0] != want {
				t.Errorf("Charge = %v, %v, want %v", waits, err, want)
			}
		}
		charge(0)
		charge(250 * time.Millisecond)
		f[0].down()
		charge(0)
		charge(250 * time.Millisecond)
	})
}

// Who waits hears of work at any partition, and of one that is back.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fakes(t, 3)
		heard := make(chan []jobqueue.Name)
		wait := func() {
			go func() {
				names, err := c.b.Wait(t.Context())
				if err != nil {
					t.Error(err)
				}
				heard <- names
			}()
			synctest.Wait()
		}
		for n := range 20 {
			wait()
			c.push(unique(n))
			if names := <-heard; !slices.Equal(names, []jobqueue.Name{name}) {
				t.Errorf("Wait = %v", names)
			}
		}
		f[0].down()
		c.b.Counts(t.Context())
		wait()
		f[0].up()
		<-time.After(time.Minute)
		c.b.Counts(t.Context())
		if names := <-heard; names != nil {
			t.Errorf("Wait = %v when a partition is back, want that there may be work anywhere", names)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.b.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Wait = %v", err)
		}
	})
}
