package cli_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/cli"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/snmp"
)

// A slow store counts how often it is counted, and does not answer while it hangs.
type slow struct {
	*queuememory.Backend
	counted atomic.Int64
	hangs   atomic.Bool
}

func (b *slow) Counts(ctx context.Context, names ...jobqueue.Name) ([]jobqueue.Counts, error) {
	b.counted.Add(1)
	if b.hangs.Load() {
		<-ctx.Done()
		return nil, fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.Cause(ctx))
	}
	return b.Backend.Counts(ctx, names...)
}

func (b *slow) Ready(ctx context.Context, names ...jobqueue.Name) iter.Seq2[jobqueue.Backlog, error] {
	if b.hangs.Load() {
		return func(yield func(jobqueue.Backlog, error) bool) {
			<-ctx.Done()
			yield(jobqueue.Backlog{}, fmt.Errorf("%w: \x1bhung", jobqueue.ErrUnavailable))
		}
	}
	return b.Backend.Ready(ctx, names...)
}

func newSlow() *slow { return &slow{Backend: queuememory.New()} }

// put pushes n jobs of a type.
func put(t *testing.T, b jobqueue.Backend, domain, typ string, n int) {
	t.Helper()
	g := jobqueue.NewGroup(domain, jobqueue.Routes{Default: b})
	for range n {
		if _, err := g.Push(t.Context(), jobqueue.Spec{Type: typ}); err != nil {
			t.Fatal(err)
		}
	}
}

// ask sends requests to an agent and returns the answers.
func ask(t *testing.T, look func() *snmp.Table, requests ...string) string {
	t.Helper()
	var out strings.Builder
	if err := snmp.Pass(strings.NewReader(strings.Join(requests, "\n")+"\n"), &out, look); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A walk over very many values reads each store once, and finds them all.
func TestAgentWalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newSlow(), newSlow()
		const types = 1200
		for i := range types {
			put(t, one, "enwiki", fmt.Sprintf("t%04d", i), 1)
			put(t, two, "dewiki", fmt.Sprintf("t%04d", i), 2)
		}
		look := cli.NewAgent(t.Context(), snmp.OID{1, 3}, config.Store{Name: "one", Backend: one}, config.Store{Name: "two", Backend: two})
		at, n, sum := ".1.3", 0, 0
		for {
			answer := strings.Split(ask(t, look, "getnext", at), "\n")
			if answer[0] == "NONE" {
				break
			}
			at = answer[0]
			n++
			if strings.HasPrefix(at, ".1.3.1.3.1.2.") {
				sum++
				if answer[2] != "3" {
					t.Errorf("%s is %s, want 3", at, answer[2])
				}
			}
		}
		if sum != 1000 || n < 5000 {
			t.Errorf("the walk found %d values, with %d types, want 1000 types", n, sum)
		}
		if one.counted.Load() != 1 || two.counted.Load() != 1 {
			t.Errorf("the stores were counted %d and %d times, want once each", one.counted.Load(), two.counted.Load())
		}
		for name, want := range map[string]string{"3": "3600", "6": "0", "8": "0", "11": "0", "13": "0", "15": "200"} {
			if got := ask(t, look, "get", ".1.3.1.1."+name+".0"); !strings.HasSuffix(got, "\ngauge\n"+want+"\n") {
				t.Errorf("total %s is %q, want %s", name, got, want)
			}
		}
		put(t, one, "enwiki", "t0000", 1)
		time.Sleep(6 * time.Second)
		if got := ask(t, look, "get", ".1.3.1.1.3.0"); !strings.HasSuffix(got, "\n3601\n") {
			t.Errorf("later there are %q ready, want 3601", got)
		}
	})
}

// A store that does not answer keeps nobody waiting. What is told of the others is right, and what would not be is not told.
func TestAgentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newSlow(), newSlow()
		put(t, one, "enwiki", "mail", 3)
		put(t, two, "enwiki", "mail", 4)
		look := cli.NewAgent(t.Context(), snmp.OID{1, 3}, config.Store{Name: "one", Backend: one}, config.Store{Name: "two", Backend: two})
		two.hangs.Store(true)
		for _, after := range []time.Duration{0, 10 * time.Second, time.Minute, time.Hour} {
			time.Sleep(after)
			begun := time.Now()
			got := ask(t, look, "get", ".1.3.1.1.1.0", "get", ".1.3.1.1.3.0", "get", ".1.3.1.1.13.0",
				"get", ".1.3.1.2.1.4.3.111.110.101", "get", ".1.3.1.2.1.4.3.116.119.111", "get", ".1.3.1.3.1.2.4.109.97.105.108")
			want := ".1.3.1.1.1.0\ninteger\n3\nNONE\n.1.3.1.1.13.0\ngauge\n1\n.1.3.1.2.1.4.3.111.110.101\ngauge\n3\nNONE\nNONE\n"
			if got != want && !(after > 0 && got == strings.Replace(want, "integer\n3", "integer\n2", 1)) {
				t.Errorf("after %v: %q, want %q", after, got, want)
			}
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("after %v: the answer took %v, want at most 2 s", after, took)
			}
		}
		two.hangs.Store(false)
		time.Sleep(time.Minute)
		ask(t, look, "get", ".1.3.1.1.3.0")
		time.Sleep(2 * time.Second)
		if got := ask(t, look, "get", ".1.3.1.1.3.0", "get", ".1.3.1.1.1.0"); got != ".1.3.1.1.3.0\ngauge\n7\n.1.3.1.1.1.0\ninteger\n2\n" {
			t.Errorf("when it is back: %q, want 7 jobs and critical, as nobody runs them", got)
		}
	})
}
