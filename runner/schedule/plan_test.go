package schedule_test

import (
	"testing"

	"github.com/wikifarm/jobqueue/runner/schedule"
)

func TestGroup(t *testing.T) {
	g := schedule.Group{Include: []string{"*"}, Exclude: []string{"b"}}
	h := schedule.Group{Include: []string{"a", "b"}, Exclude: []string{"b"}}
	for typ, want := range map[string][2]bool{"a": {true, true}, "b": {false, false}, "c": {true, false}} {
		if got := [2]bool{g.Covers(typ), h.Covers(typ)}; got != want {
			t.Errorf("%s: covered %v, want %v", typ, got, want)
		}
	}
}
