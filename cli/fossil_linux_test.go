package cli_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue/ondemand"
)

// TestFossil has Fossil's backoffice and jobctl ondemand do the same, and compares what becomes of their leases.
func TestFossil(t *testing.T) {
	both := func(name string, do func(s *leaser), fossil, ours []string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, system := range []struct {
				name string
				make func(*testing.T) *leaser
				want []string
			}{{"fossil", newFossil, fossil}, {"jobctl", newOurs, ours}} {
				t.Run(system.name, func(t *testing.T) {
					t.Parallel()
					s := system.make(t)
					do(s)
					if diff := cmp.Diff(system.want, s.steps); diff != "" {
						t.Errorf("the lease (-want +got):\n%s", diff)
					}
				})
			}
		})
	}
	alike := func(name string, do func(s *leaser), want ...string) { both(name, do, want, want) }

	alike("Rate", func(s *leaser) {
		s.note("nobody")
		s.once("first")
		s.once("hasty", "--nodelay")
		s.onDeck("second")
		s.note("second")
		s.once("third")
	},
		"nobody: nobody, nobody",
		"first, begin: first +60, nobody", // it has ended early, and keeps its minute
		"hasty, no-delay exit: first +60, nobody",
		"second: first +60, second +60",
		"third, not needed: first +60, second +60",
	)

	alike("Reset", func(s *leaser) {
		s.once("first")
		s.onDeck("second")
		s.reset()
		s.note("reset")
		s.once("third", "--nodelay")
	},
		"first, begin: first +60, nobody",
		"reset: nobody, nobody",
		"third, begin: third +60, nobody",
	)

	alike("No delay", func(s *leaser) {
		s.setting("nodelay")
		s.once("first")
		s.once("second")
	},
		"first, begin: first +60, nobody",
		"second, no-delay exit: first +60, nobody",
	)

	// What is disabled is what follows a reply, not the command.
	alike("Disabled", func(s *leaser) {
		s.setting("disable")
		s.once("first")
	}, "first, begin: first +60, nobody")

	alike("Read-only", func(s *leaser) {
		s.mode(0o444)
		s.without = "dac_override"
		s.once("first")
		s.mode(0o644)
		s.once("second")
	},
		"first: nobody, nobody",
		"second, begin: second +60, nobody",
	)

	alike("Ended on deck", func(s *leaser) {
		s.once("first")
		c, _ := s.onDeck("second")
		c.Process.Signal(syscall.SIGTERM)
		c.Wait()
		s.onDeck("third")
		s.note("third")
	},
		"first, begin: first +60, nobody",
		"third: first +60, third +60",
	)

	alike("Zombie on deck", func(s *leaser) {
		s.once("first")
		c, _ := s.onDeck("second")
		c.Process.Kill()
		s.until("a zombie", func() bool { return ended(c) })
		s.once("third")
	},
		"first, begin: first +60, nobody",
		"third, not needed: first +60, second +60",
	)

	alike("Dead on deck when its turn is over", func(s *leaser) {
		s.once("first")
		c, _ := s.onDeck("second")
		kill(c)
		s.age(62 * time.Second)
		s.note("killed")
		s.once("third", "--nodelay")
	},
		"first, begin: first +60, nobody",
		"killed: first over, second in time",
		"third, begin: third +60, nobody",
	)

	alike("Dead at work", func(s *leaser) {
		kill(s.working())
		s.note("killed")
		s.once("next", "--nodelay")
	},
		"killed: holder +60, nobody",
		"next, no-delay exit: holder +60, nobody",
	)

	alike("Long at work", func(s *leaser) {
		s.overdue()
		s.once("hasty", "--nodelay")
		s.onDeck("second")
		s.note("second")
		s.once("third")
	},
		"hasty, no-delay exit: holder over, nobody",
		"second: holder over, second in time",
		"third, not needed: holder over, second in time",
	)

	// Fossil waits for a second more, as it cuts times to whole ones.
	both("Turn", func(s *leaser) {
		s.once("first")
		s.age(58 * time.Second)
		turn := s.look().turn
		c, out := s.onDeck("second")
		s.finish(c, out)
		more := s.look().turn-60 > turn
		if s.ours {
			wait, err := time.ParseDuration(regexp.MustCompile(`On-deck only, for (\S+)`).FindStringSubmatch(out.String())[1])
			more = err != nil || wait > 2*time.Second
		}
		s.steps = append(s.steps, fmt.Sprintf("waits beyond its turn: %t", more))
	},
		[]string{"first, begin: first +60, nobody", "second, on-deck, begin: second +60, nobody", "waits beyond its turn: true"},
		[]string{"first, begin: first +60, nobody", "second, on-deck, begin: second +60, nobody", "waits beyond its turn: false"},
	)

	// One on deck is waited for a minute, or a TTL.
	both("Defaults", func(s *leaser) {
		if s.ours {
			s.use("")
		}
		s.once("first")
		s.onDeck("second")
		s.note("second")
	},
		[]string{"first, begin: first +60, nobody", "second: first +60, second +60"},
		[]string{"first, begin: first +60, nobody", "second: first +60, second +30"},
	)

	// Fossil asks the system whether a process exists, and jobctl whether somebody has given a sign of life.
	both("Dead on deck", func(s *leaser) {
		s.once("first")
		c, _ := s.onDeck("second")
		kill(c)
		c, _ = s.begin("third")
		s.until("a third process that has decided", func() bool { return strings.Contains(s.state(), "third") || ended(c) })
		s.note("third")
	},
		[]string{"first, begin: first +60, nobody", "third: first +60, third +60"},
		[]string{"first, begin: first +60, nobody", "third: first +60, second +60"},
	)

	both("Dead at work when its turn is over", func(s *leaser) {
		kill(s.overdue())
		s.once("hasty", "--nodelay")
		s.forgetful()
		s.once("next", "--nodelay")
	},
		[]string{"hasty, begin: hasty +60, nobody", "next, no-delay exit: hasty +60, nobody"},
		[]string{"hasty, no-delay exit: holder over, nobody", "next, begin: next +60, nobody"},
	)

	// What has ended exists until somebody has waited for it.
	both("Zombie", func(s *leaser) {
		c := s.overdue()
		c.Process.Kill()
		s.until("a zombie", func() bool { return ended(c) })
		s.forgetful()
		s.once("next", "--nodelay")
	},
		[]string{"next, no-delay exit: holder over, nobody"},
		[]string{"next, begin: next +60, nobody"},
	)

	both("Another user at work", func(s *leaser) {
		s.held(anothers(s.T))
		s.without = "kill"
		s.once("next", "--nodelay")
	},
		[]string{"next, begin: next +60, nobody"},
		[]string{"next, no-delay exit: holder over, nobody"},
	)

	// The number of a holder that has died is that of the test itself.
	both("Number used again", func(s *leaser) {
		s.held(os.Getpid())
		s.forgetful()
		s.once("next", "--nodelay")
	},
		[]string{"next, no-delay exit: holder over, nobody"},
		[]string{"next, begin: next +60, nobody"},
	)

	// What nobody can read is nobody's lease for Fossil, and one that somebody has just taken for jobctl, which mends it.
	both("Garbage", func(s *leaser) {
		s.once("first")
		s.garble()
		s.once("second", "--nodelay")
		s.age(62 * time.Second)
		s.once("third", "--nodelay")
	},
		[]string{"first, begin: first +60, nobody", "second, begin: second +60, nobody", "third, begin: third +60, nobody"},
		[]string{"first, begin: first +60, nobody", "second, no-delay exit: another +60, nobody", "third, begin: third +60, nobody"},
	)

	// Fossil starts a process for each of several.
	both("Several", func(s *leaser) {
		more := "--all"
		if !s.ours {
			more = "other"
		}
		s.once("first", more)
		s.once("second", more)
	},
		[]string{"first, begin: another +60, nobody", "second, no-delay exit: another +60, nobody"},
		[]string{"first, begin: first +60, nobody", "second, no-delay exit: first +60, nobody"},
	)

	// Fossil polls beside the lease.
	both("Poll", func(s *leaser) {
		s.begin("first", "--poll", map[bool]string{true: "1s", false: "1"}[s.ours], "--debug", "--logfile", "log")
		s.until("logged", func() bool { return s.log() != "" })
		s.note("first")
	},
		[]string{"first: nobody, nobody"},
		[]string{"first: first +60, nobody"},
	)

	// Fossil traces nothing of it.
	both("No lease", func(s *leaser) {
		s.once("first")
		s.once("beside", "--nolease", "--debug", "--logfile", "log")
		if !logLine.MatchString(s.log()) {
			s.Errorf("the log is %q", s.log())
		}
	},
		[]string{"first, begin: first +60, nobody", "beside: first +60, nobody"},
		[]string{"first, begin: first +60, nobody", "beside, begin: first +60, nobody"},
	)
}

// logLine is what both log of a run that did nothing.
var logLine = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} [^ ]+ no-op elapse-time [0-9]+ us\n$`)

// Fossil runs after the replies that FossilTrigger names, unless it is disabled.
func TestFossilTrigger(t *testing.T) {
	visit := func(s *leaser, path string) int {
		c, out := s.command("fossil", "http", "--nojail", "--ipaddr", "127.0.0.1", "repo")
		c.Stdin = strings.NewReader("GET " + path + " HTTP/1.0\r\nHost: localhost\r\n\r\n")
		if err := c.Run(); err != nil {
			t.Fatalf("%s: %v\n%s", path, err, out)
		}
		status, err := strconv.Atoi(strings.Fields(out.String())[1])
		if err != nil {
			t.Fatalf("%s: %s", path, out)
		}
		return status
	}
	var idle []*leaser
	for path, want := range map[string]int{"/nosuch": 404, "/": 302} {
		s := newFossil(t)
		if got := visit(s, path); got != want || ondemand.FossilTrigger(got) {
			t.Errorf("%s: status %d, want %d, which is no trigger", path, got, want)
		}
		idle = append(idle, s)
	}
	disabled := newFossil(t)
	disabled.setting("disable")
	for _, s := range []*leaser{disabled, newFossil(t)} {
		if got := visit(s, "/timeline"); got != 200 || !ondemand.FossilTrigger(got) {
			t.Errorf("/timeline: status %d, want 200, which is a trigger", got)
		}
		if s != disabled {
			s.until("run", func() bool { return s.state() == "another +60, nobody" })
		}
	}
	// What was asked for last has run.
	for _, s := range append(idle, disabled) {
		if got := s.state(); got != "nobody, nobody" {
			t.Errorf("the lease is %s", got)
		}
	}
}
