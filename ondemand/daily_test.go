package ondemand_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
)

// What is done once a day is done in the first run of each day and domain, again if it failed, and not by a clock that is behind.
func TestDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		var did []string
		var failure error
		digest := ondemand.Daily(c, ondemand.Work{Name: "digests", Do: func(_ context.Context, domain string) (int, error) {
			did = append(did, domain)
			return 1, failure
		}})
		other := ondemand.Daily(c, ondemand.Work{Name: "digest", Do: digest.Do}) // its key is the beginning of the other's
		do := func(w ondemand.Work, domain string, want int, wrong error) {
			t.Helper()
			did = nil
			if n, err := w.Do(t.Context(), domain); n != want || !errors.Is(err, wrong) || !slices.Equal(did, slices.Repeat([]string{domain}, want)) {
				t.Errorf("%d, %v, of %q; want %d, %v", n, err, did, want, wrong)
			}
		}
		failure = errors.New("no mail server")
		do(digest, "a", 1, failure)
		failure = nil
		do(digest, "a", 1, nil)
		do(digest, "a", 0, nil)
		do(digest, "aa", 1, nil)
		time.Sleep(23*time.Hour + 59*time.Minute) // from midnight, where the clock of synctest begins
		do(digest, "a", 0, nil)
		time.Sleep(time.Minute)
		do(digest, "a", 1, nil)
		do(digest, "a", 0, nil)
		do(other, "b", 1, nil)
		do(other, "b", 0, nil)
		time.Sleep(10 * 24 * time.Hour)
		do(digest, "a", 1, nil)
	})
}
