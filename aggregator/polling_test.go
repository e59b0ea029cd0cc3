package aggregator_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/aggregator"
)

func TestPolling(t *testing.T) {
	f := newFarm()
	f.push(t, jobqueue.Spec{Domain: "en", Type: "x"})
	f.push(t, jobqueue.Spec{Domain: "de", Type: "y"})
	p := aggregator.NewPolling(f.Group)
	read := func(types ...string) (names []string, err error) {
		for q, e := range p.Ready(t.Context(), types...) {
			if err = e; e == nil {
				names = append(names, q.Name.String())
			}
		}
		slices.Sort(names)
		return names, err
	}
	for _, test := range []struct{ types, want []string }{
		{nil, []string{"de/y", "en/x"}},
		{[]string{"x"}, []string{"en/x"}},
		{[]string{"z"}, nil},
	} {
		if got, err := read(test.types...); !slices.Equal(got, test.want) || err != nil {
			t.Errorf("Ready(%v) = %v, %v, want %v", test.types, got, err, test.want)
		}
	}
	if err := errors.Join(p.Notify(t.Context(), queue("fr")), p.Clear(t.Context(), queue("en"))); err != nil {
		t.Error(err)
	}
	f.away = fmt.Errorf("%w: gone", jobqueue.ErrUnavailable)
	if got, err := read(); !slices.Equal(got, []string{"de/y"}) || !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("Ready with a backend away = %v, %v", got, err)
	}
}
