package queuedb

import (
	"cmp"
	"slices"
	"time"
)

func (t tx) sweepState() (swept int64, live bool, err error) {
	err = t.Query("sweep_state", func(scan Scan) error { return scan(&swept, &live) })
	return swept, live, err
}

// sweepBegin is sweepState for the one that sweeps now. While another does, it sees nothing live.
func (t tx) sweepBegin() (swept int64, live bool, err error) {
	if t.Exclusive() {
		return t.sweepState()
	}
	err = t.Query("sweep_begin", func(scan Scan) error { return scan(&swept, &live) })
	return swept, live, err
}

// sweepDue reports whether any Pop or Ready must sweep.
func (t tx) sweepDue() (bool, error) {
	swept, live, err := t.sweepState()
	return live && t.stale(swept), err
}

// stale reports whether the last sweep was more than a second ago.
func (t tx) stale(swept int64) bool {
	return t.now()-swept > time.Second.Microseconds() || t.now() < swept
}

func (t tx) sweepIfDue() (recycled int, err error) {
	swept, live, err := t.sweepState()
	if err != nil || !t.stale(swept) {
		return 0, err
	}
	if !live && !t.Exclusive() {
		// So that popDirect need not look for claims: that there is none is hard to see behind many that have ended.
		return 0, t.Exec("sweep_record", t.now())
	}
	recycled, _, err = t.sweep()
	return recycled, err
}

// sweep gives back what claims hold whose lease has ended, a bounded number
// of claims, and returns how many jobs that were and whether there may be more.
func (t tx) sweep() (recycled int, more bool, err error) {
	swept, live, err := t.sweepBegin()
	if err != nil || !live {
		return 0, false, err
	}
	if err := t.Exec("claim_renew", t.now(), t.now()-swept); err != nil {
		return 0, false, err
	}
	if err := t.Exec("claim_cut", t.now()); err != nil {
		return 0, false, err
	}
	if recycled, more, err = t.lapse(); err != nil {
		return 0, false, err
	}
	return recycled, more, t.Exec("sweep_record", t.now())
}

// lapse is sweep for one that has just been.
func (t tx) lapse() (recycled int, more bool, err error) {
	type ended struct {
		token   []byte
		settled Runs
	}
	var claims []ended
	var ids []int64
	err = t.Query("claim_lapsed", func(scan Scan) error {
		var c ended
		var held Runs
		err := scan(&c.token, &held, &c.settled)
		claims, ids = append(claims, c), append(ids, held.Numbers()...)
		return err
	}, t.now(), int64(lapseBatch))
	if err != nil || len(claims) == 0 {
		return 0, false, err
	}
	for _, c := range claims {
		if err := t.endClaim(c.token, c.settled); err != nil {
			return 0, false, err
		}
	}
	n := len(ids)
	err = t.putBackWith(make([]int64, n), column(n, int64(1)), make([]string, n), ids, column(n, t.now()))
	return n, len(claims) == lapseBatch, err
}

// due are delayed jobs whose time has come.
type due struct{ ids, releases []int64 }

func (d *due) row(scan Scan) error {
	var id, release int64
	err := scan(&id, &release)
	d.ids, d.releases = append(d.ids, id), append(d.releases, release)
	return err
}

// dueFrom returns from when on to look for delayed jobs, less than 0 for the time that is stored.
func (t tx) dueFrom(full bool) int64 {
	if full {
		return 0
	}
	return t.b.late.back(delayed, t.b.reached.behind([]int64{delayed})[0])
}

// cut sorts by release time and keeps the first n.
func (d *due) cut(n int) {
	order := make([]int, len(d.ids))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		if d.releases[i] != d.releases[j] {
			return cmp.Compare(d.releases[i], d.releases[j])
		}
		return cmp.Compare(d.ids[i], d.ids[j])
	})
	order = order[:min(n, len(order))]
	ids, releases := make([]int64, len(order)), make([]int64, len(order))
	for k, i := range order {
		ids[k], releases[k] = d.ids[i], d.releases[i]
	}
	d.ids, d.releases = ids, releases
}

// releaseDue makes ready up to n jobs of any queue that are due, those that have been for longest.
func (t tx) releaseDue(n int, full bool) (released int, err error) {
	var d due
	args := []any{t.now(), int64(n)}
	look := dueLook{until: t.now(), most: n, began: time.Now()}
	if !t.Exclusive() {
		look.from = t.dueFrom(full)
		args = append(args, look.from)
	}
	if err := t.Query("later_due_any", d.row, args...); err != nil {
		return 0, err
	}
	d.cut(n)
	if look.found = len(d.ids); look.found > 0 {
		look.last = d.releases[look.found-1]
	}
	if !t.Exclusive() {
		t.lines.looks = append(t.lines.looks, look)
	}
	return look.found, t.release(d)
}

func (t tx) release(d due) error {
	if len(d.ids) == 0 {
		return nil
	}
	if !t.Exclusive() {
		t.lines.due = max(t.lines.due, slices.Max(d.releases))
	}
	if err := t.Exec("later_delete", Numbers(d.ids)); err != nil {
		return err
	}
	return t.putBack(d.ids, d.releases)
}
