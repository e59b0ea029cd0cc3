//go:build linux

package runner_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// A grower uses a megabyte more with each of its runs, or says that it goes on for long and ends with its context.
type grower struct {
	Long bool
	used *atomic.Uint64
}

func (*grower) Type() string { return "grower" }

func (j *grower) Run(ctx context.Context) error {
	if j.Long {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	j.used.Add(1 << 20)
	time.Sleep(100 * time.Millisecond)
	return nil
}

// A run ends when memory gets scarce; what runs by then finishes or, once there is next to none, is given back.
func TestSoftMemory(t *testing.T) {
	for name, test := range map[string]struct {
		limit     runner.Limit
		bytes     int64
		share     float64
		processes int
		most      uint64 // megabytes
		long      bool
	}{
		"90%":           {runner.Limit{Name: "cgroup", Bytes: 100 << 20, Shared: true}, 0, 0.9, 1, 90, false},
		"90% of two":    {runner.Limit{Name: "cgroup", Bytes: 200 << 20, Shared: true}, 0, 0.9, 2, 90, false},
		"90% by itself": {runner.Limit{Name: "rlimit", Bytes: 100 << 20}, 0, 0.9, 2, 90, false},
		"64M":           {runner.Limit{}, 64 << 20, 0, 1, 64, false},
		"64M of 32M":    {runner.Limit{Name: "cgroup", Bytes: 32 << 20}, 64 << 20, 0, 1, 31, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var used atomic.Uint64
				b := queuememory.New()
				g := jobqueue.NewGroup("home", jobqueue.Routes{Default: b})
				var reg jobqueue.Registry
				reg.Add(func() jobqueue.Job { return &grower{used: &used} }, jobqueue.Policy{Timeout: time.Hour})
				const jobs = 300
				for range jobs {
					if _, err := g.Push(t.Context(), jobqueue.Spec{Job: &grower{}}); err != nil {
						t.Fatal(err)
					}
				}
				m := runner.ScriptedMemory(test.limit, test.bytes, test.share, test.processes, used.Load)
				if err := m.Check(); err != nil {
					t.Fatal(err)
				}
				res, err := runner.Run(t.Context(), g, &reg, &runner.Options{Workers: 2, Wait: true, SoftMemory: m})
				if err != nil || res.Reached != runner.LowMemory {
					t.Errorf("Run = %v, %v, want it to end for its memory", res, err)
				}
				// Two workers start two more between two looks.
				if got := used.Load() >> 20; got < test.most || got > test.most+8 {
					t.Errorf("the process used %d MiB at the end, want little more than %d", got, test.most)
				}
				counts, err := b.Counts(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				left := 0
				for _, c := range counts {
					left += c.Ready
					if c.Claimed > 0 {
						t.Errorf("%d jobs are still claimed", c.Claimed)
					}
				}
				if res.Counts.Done+left != jobs {
					t.Errorf("%d done and %d left of %d", res.Counts.Done, left, jobs)
				}
				if err := m.Check(); err == nil || !strings.Contains(err.Error(), "before it runs any job") {
					t.Errorf("Check = %v of a process that uses too much", err)
				}
			})
		})
	}
}

// A job that goes on while there is next to no memory left is interrupted and runs again later.
func TestSoftMemoryInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used atomic.Uint64
		g := jobqueue.NewGroup("home", jobqueue.Routes{Default: queuememory.New()})
		var reg jobqueue.Registry
		reg.Add(func() jobqueue.Job { return &grower{used: &used} }, jobqueue.Policy{Timeout: time.Hour})
		if _, err := g.Push(t.Context(), jobqueue.Spec{Job: &grower{Long: true}}); err != nil {
			t.Fatal(err)
		}
		m := runner.ScriptedMemory(runner.Limit{Name: "cgroup", Bytes: 100 << 20}, 0, 0.9, 1, used.Load)
		ended := make(chan *runner.Result, 1)
		go func() {
			res, _ := runner.Run(t.Context(), g, &reg, &runner.Options{Wait: true, SoftMemory: m})
			ended <- res
		}()
		time.Sleep(time.Second)
		used.Store(93 << 20)
		time.Sleep(time.Minute)
		select {
		case res := <-ended:
			t.Fatalf("%v at the soft limit, want the job to go on", res)
		default:
		}
		used.Store(96 << 20)
		if res := <-ended; res.Reached != runner.LowMemory || res.Counts != (runner.Counts{GivenBack: 1}) {
			t.Errorf("%v, want the job given back", res)
		}
	})
}

// What the files of the kernel say, in both versions of cgroups, in containers and out of them.
func TestCgroupLimits(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  []runner.Limit
	}{
		"second version, the least up the tree": {
			map[string]string{
				"proc/cgroup":    "0::/system.slice/jobs.service\n",
				"proc/mountinfo": "25 20 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n",
				"sys/fs/cgroup/system.slice/jobs.service/memory.max":  "max\n",
				"sys/fs/cgroup/system.slice/jobs.service/memory.high": "400000000\n",
				"sys/fs/cgroup/system.slice/memory.max":               "300000000\n",
			},
			[]runner.Limit{{"/sys/fs/cgroup/system.slice/memory.max", 300000000, true}},
		},
		"second version in a container": {
			map[string]string{
				"proc/cgroup":              "0::/\n",
				"proc/mountinfo":           "25 20 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
				"sys/fs/cgroup/memory.max": "268435456\n",
			},
			[]runner.Limit{{"/sys/fs/cgroup/memory.max", 268435456, true}},
		},
		"first version beside the second": {
			map[string]string{
				"proc/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/docker/abc\n",
				"proc/mountinfo": "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
					"36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n40 31 0:40 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes":            "9223372036854771712\n",
				"sys/fs/cgroup/memory/docker/memory.limit_in_bytes":     "200000000\n",
				"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "9223372036854771712\n",
			},
			[]runner.Limit{{"/sys/fs/cgroup/memory/docker/memory.limit_in_bytes", 200000000, true}},
		},
		"first version in a container": {
			map[string]string{
				"proc/cgroup":    "4:memory:/docker/abc\n",
				"proc/mountinfo": "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes": "150000000\n",
			},
			[]runner.Limit{{"/sys/fs/cgroup/memory/memory.limit_in_bytes", 150000000, true}},
		},
		"none": {map[string]string{"proc/cgroup": "0::/\n", "proc/mountinfo": "25 20 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range test.files {
				path = filepath.Join(root, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(test.want, runner.CgroupLimits(filepath.Join(root, "proc"), root)); diff != "" {
				t.Errorf("limits (-want +got):\n%s", diff)
			}
		})
	}
}

// What a group without workers covers is not run here, whichever group comes after it.
func TestGroupElsewhere(t *testing.T) {
	for name, types := range map[string][]string{"all": nil, "named": {"ours", "theirs"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := jobqueue.NewGroup("home", jobqueue.Routes{Default: queuememory.New()})
				var reg jobqueue.Registry
				for _, typ := range []string{"ours", "theirs"} {
					reg.Add(func() jobqueue.Job { return &named{typ} }, jobqueue.Policy{})
					for range 20 {
						if _, err := g.Push(t.Context(), jobqueue.Spec{Job: &named{typ}}); err != nil {
							t.Fatal(err)
						}
					}
				}
				groups := []schedule.Group{{Name: "a", Include: []string{"theirs"}}, {Name: "b", Workers: 2, Include: []string{"*"}}}
				res, err := runner.Run(t.Context(), g, &reg, &runner.Options{Groups: groups, Types: types})
				if err != nil || res.Counts != (runner.Counts{Done: 20}) || res.Reached != runner.NoneReady {
					t.Errorf("Run = %v, %v, want the 20 jobs of the group that has workers", res, err)
				}
			})
		})
	}
}

type named struct{ typ string }

func (n *named) Type() string            { return n.typ }
func (*named) Run(context.Context) error { return nil }
