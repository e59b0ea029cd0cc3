package jobqueue_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wikifarm/jobqueue"
)

func TestOutcome(t *testing.T) {
	const day = 24 * time.Hour
	broken := errors.New("broken")
	g := newGroup(jobqueue.Routes{Policy: func(typ string) jobqueue.Policy {
		switch typ {
		case "endless":
			return jobqueue.Policy{MaxSnooze: jobqueue.NoLimit}
		case "eager":
			return jobqueue.Policy{Backoff: func(int) time.Duration { return -time.Hour }}
		}
		return jobqueue.Policy{Backoff: func(attempt int) time.Duration { return time.Duration(attempt) * time.Minute }}
	}})
	for what, tt := range map[string]struct {
		typ     string
		attempt int
		age     time.Duration
		err     error
		want    jobqueue.Outcome
	}{
		"success":                {attempt: 1, want: jobqueue.Outcome{Do: jobqueue.ActionDone}},
		"first failure":          {attempt: 1, err: broken, want: jobqueue.Outcome{Do: jobqueue.ActionRetry, Delay: time.Minute, Err: "broken"}},
		"second failure":         {attempt: 2, err: broken, want: jobqueue.Outcome{Do: jobqueue.ActionRetry, Delay: 2 * time.Minute, Err: "broken"}},
		"last failure":           {attempt: 3, err: broken, want: jobqueue.Outcome{Do: jobqueue.ActionAbandon, Delay: -1, Err: "broken"}},
		"one past the last":      {attempt: 4, err: broken, want: jobqueue.Outcome{Do: jobqueue.ActionAbandon, Delay: -1, Err: "broken"}},
		"back-off in the past":   {typ: "eager", attempt: 1, err: broken, want: jobqueue.Outcome{Do: jobqueue.ActionRetry, Err: "broken"}},
		"abandon":                {attempt: 1, err: jobqueue.Abandon(broken), want: jobqueue.Outcome{Do: jobqueue.ActionAbandon, Err: "broken"}},
		"abandon, wrapped":       {attempt: 1, err: fmt.Errorf("page 7: %w", jobqueue.Abandon(broken)), want: jobqueue.Outcome{Do: jobqueue.ActionAbandon, Err: "page 7: broken"}},
		"abandon for no reason":  {attempt: 1, err: jobqueue.Abandon(nil), want: jobqueue.Outcome{Do: jobqueue.ActionAbandon, Err: "no reason given"}},
		"retry in":               {attempt: 2, err: jobqueue.RetryIn(time.Hour, broken), want: jobqueue.Outcome{Do: jobqueue.ActionRetry, Delay: time.Hour, Err: "broken"}},
		"retry at once":          {attempt: 1, err: jobqueue.RetryIn(0, broken), want: jobqueue.Outcome{Do: jobqueue.ActionRetry, Err: "broken"}},
		"retry in the past":      {attempt: 1, err: jobqueue.RetryIn(-time.Hour, broken), want: jobqueue.Outcome{Do: jobqueue.ActionRetry, Err: "broken"}},
		"retry in, last":         {attempt: 3, err: jobqueue.RetryIn(time.Hour, broken), want: jobqueue.Outcome{Do: jobqueue.ActionAbandon, Delay: time.Hour, Err: "broken"}},
		"snooze":                 {attempt: 1, err: jobqueue.Snooze(time.Hour), want: jobqueue.Outcome{Do: jobqueue.ActionGiveBack, Delay: time.Hour, Err: "snoozed for 1h0m0s"}},
		"snooze on the last try": {attempt: 3, err: jobqueue.Snooze(time.Hour), want: jobqueue.Outcome{Do: jobqueue.ActionGiveBack, Delay: time.Hour, Err: "snoozed for 1h0m0s"}},
		"snooze late":            {attempt: 1, age: 6 * day, err: jobqueue.Snooze(12 * time.Hour), want: jobqueue.Outcome{Do: jobqueue.ActionGiveBack, Delay: 12 * time.Hour, Err: "snoozed for 12h0m0s"}},
		"snooze too late": {attempt: 1, age: 6 * day, err: jobqueue.Snooze(2 * day),
			want: jobqueue.Outcome{Do: jobqueue.ActionAbandon, Delay: 2 * day, Err: "snoozed for 48h0m0s, which is past 168h0m0s after it was queued"}},
		"fault":                 {attempt: 1, err: jobqueue.Fault(broken), want: jobqueue.Outcome{Do: jobqueue.ActionGiveBack, Err: "broken"}},
		"fault on the last try": {attempt: 3, age: 1000 * day, err: fmt.Errorf("mail: %w", jobqueue.Fault(broken)), want: jobqueue.Outcome{Do: jobqueue.ActionGiveBack, Err: "mail: broken"}},
		"fault for no reason":   {attempt: 1, err: jobqueue.Fault(nil), want: jobqueue.Outcome{Do: jobqueue.ActionGiveBack, Err: "handler at fault"}},
		"snooze for ever":       {typ: "endless", attempt: 1, age: 1000 * day, err: jobqueue.Snooze(2 * day), want: jobqueue.Outcome{Do: jobqueue.ActionGiveBack, Delay: 2 * day, Err: "snoozed for 48h0m0s"}},
	} {
		c := &jobqueue.Claim{Attempt: tt.attempt, QueuedAt: time.Now().Add(-tt.age)}
		c.Type, c.MaxTries = tt.typ, 3
		got := g.Outcome(c, tt.err)
		if got.Claim != c {
			t.Errorf("%s: the outcome is of another claim", what)
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(jobqueue.Outcome{}, "Claim")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

func TestVerdictsUnwrap(t *testing.T) {
	broken := errors.New("broken")
	for _, err := range []error{jobqueue.Abandon(broken), jobqueue.RetryIn(1, broken), jobqueue.Fault(broken)} {
		if !errors.Is(err, broken) {
			t.Errorf("%v does not wrap its reason", err)
		}
	}
}

func TestFaultIs(t *testing.T) {
	broken := errors.New("broken")
	for want, errs := range map[bool][]error{
		true:  {jobqueue.Fault(broken), jobqueue.Fault(nil), fmt.Errorf("mail: %w", jobqueue.Fault(broken))},
		false: {broken, jobqueue.Snooze(1), jobqueue.Abandon(broken), jobqueue.RetryIn(1, broken)},
	} {
		for _, err := range errs {
			if got := errors.Is(err, jobqueue.ErrFault); got != want {
				t.Errorf("%v is a fault: %v, want %v", err, got, want)
			}
		}
	}
}

func TestClaimTries(t *testing.T) {
	for _, tt := range []struct {
		failures, expiries, tries int
		suspect, alone            bool
	}{
		{0, 0, 0, false, false},
		{2, 0, 2, false, false},
		{0, 1, 0, true, false},
		{0, 2, 0, true, true},
		{0, 3, 1, true, true},
		{2, 5, 5, true, true},
	} {
		c := jobqueue.Claim{Failures: tt.failures, Expiries: tt.expiries}
		if c.Tries() != tt.tries || c.Suspect() != tt.suspect || c.Alone() != tt.alone {
			t.Errorf("%d failures and %d expiries: %d tries, suspect %v, alone %v, want %+v", tt.failures, tt.expiries, c.Tries(), c.Suspect(), c.Alone(), tt)
		}
	}
}

func TestStates(t *testing.T) {
	for _, s := range jobqueue.States() {
		if got, ok := jobqueue.ParseState(s.String()); !ok || got != s {
			t.Errorf("ParseState(%q) = %v, %v", s, got, ok)
		}
	}
	for _, bad := range []string{"", "unknown", "Ready", "held"} {
		if got, ok := jobqueue.ParseState(bad); ok {
			t.Errorf("ParseState(%q) = %v", bad, got)
		}
	}
	if s := jobqueue.State(0).String() + jobqueue.State(200).String(); s != "unknownunknown" {
		t.Errorf("what is no state prints as %s", s)
	}
}
