package queuedb

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

func (t tx) sweepState() (swept int64, live bool, err error) {
	err = t.Query("sweep_state", func(scan Scan) error { return scan(&swept, &live) })
	return swept, live, err
}

// sweepDue reports whether any Pop or Ready must sweep.
func (t tx) sweepDue() (bool, error) {
	swept, live, err := t.sweepState()
	return live && (t.now-swept > time.Second.Microseconds() || t.now < swept), err
}

func (t tx) sweepIfDue() (recycled int, err error) {
	due, err := t.sweepDue()
	if err != nil || !due {
		return 0, err
	}
	return t.sweep()
}

// sweep gives back what claims hold whose lease has ended, a bounded number
// of claims, and returns how many jobs that were.
func (t tx) sweep() (recycled int, err error) {
	swept, live, err := t.sweepState()
	if err != nil {
		return 0, err
	}
	gap := t.now - swept
	if !live && 0 <= gap && gap < time.Second.Microseconds() {
		// Nothing can depend on it; an idle store is left alone.
		return 0, nil
	}
	if live {
		if _, err := t.Exec("claim_renew", t.now, gap); err != nil {
			return 0, err
		}
		if _, err := t.Exec("claim_cut", t.now); err != nil {
			return 0, err
		}
		if recycled, err = t.lapse(); err != nil {
			return 0, err
		}
	}
	_, err = t.Exec("sweep_record", t.now)
	return recycled, err
}

func (t tx) lapse() (recycled int, err error) {
	type ended struct{ token, settled []byte }
	var claims []ended
	var ids []int64
	err = t.Query("claim_lapsed", func(scan Scan) error {
		var c ended
		var held Numbers
		err := scan(&c.token, &held, &c.settled)
		claims, ids = append(claims, c), append(ids, held...)
		return err
	}, t.now, int64(lapseBatch))
	if err != nil || len(claims) == 0 {
		return 0, err
	}
	for _, c := range claims {
		token, err := uuid.FromBytes(c.token)
		if err != nil {
			return 0, err
		}
		if err := t.endClaim(token, c.settled); err != nil {
			return 0, err
		}
	}
	n := len(ids)
	return n, t.putBackWith(make([]int64, n), column(n, int64(1)), make([]string, n), ids, column(n, t.now))
}

// due are delayed jobs whose time has come.
type due struct{ ids, releases []int64 }

func (d *due) row(scan Scan) error {
	var id, release int64
	err := scan(&id, &release)
	d.ids, d.releases = append(d.ids, id), append(d.releases, release)
	return err
}

// cut sorts by release time and keeps the first n.
func (d *due) cut(n int) {
	order := make([]int, len(d.ids))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		if d.releases[i] != d.releases[j] {
			return int(d.releases[i] - d.releases[j])
		}
		return int(d.ids[i] - d.ids[j])
	})
	order = order[:min(n, len(order))]
	ids, releases := make([]int64, len(order)), make([]int64, len(order))
	for k, i := range order {
		ids[k], releases[k] = d.ids[i], d.releases[i]
	}
	d.ids, d.releases = ids, releases
}

func (t tx) release(d due) error {
	if len(d.ids) == 0 {
		return nil
	}
	if _, err := t.Exec("later_delete", Numbers(d.ids)); err != nil {
		return err
	}
	return t.putBack(d.ids, d.releases)
}
