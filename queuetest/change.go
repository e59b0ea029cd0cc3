package queuetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

var deleteRules = []testCase{
	{"matching", "Delete deletes the jobs that f matches and returns how many", testDeleteMatching},
	{"running", "Delete deletes running jobs only when f.States names Claimed", testDeleteRunning},
	{"claimed", "when f.States names Claimed, running jobs are deleted and their claims are lost", testDeleteClaimed},
	{"limit", "Delete deletes the jobs that f matches: at most Limit", testDeleteLimit},
	{"many", "Delete works in batches of bounded size, and deletes every job that f matches", testDeleteMany},
	{"elsewhere", "Delete deletes the jobs that f matches and no other", testDeleteElsewhere},
	{"lost only of the deleted", "a deleted job's claim is lost; the others of its Pop are held", testDeleteOneOfClaim},
}

func testDeleteMatching(t *tester) {
	t.stores(append(jobs(1, 3), typed(job(4), "b"), typed(delayed(job(5), time.Hour), "b"))...)
	t.deletes(1, jobqueue.Filter{Type: "b", States: []jobqueue.State{jobqueue.Delayed}})
	t.deletes(1, jobqueue.Filter{Type: "b"})
	t.deletes(0, jobqueue.Filter{Type: "b"})
	t.hands(1, 2, 3)
}

func testDeleteRunning(t *tester) {
	t.stores(append(jobs(1, 3), delayed(job(4), time.Hour))...)
	c := t.takes(1, 2)
	t.settle(abandon(c[0], 0))
	t.deletes(3, jobqueue.Filter{})
	t.counts(0, 0, 1, 0)
	t.settle(done(c[1]))
}

func testDeleteClaimed(t *tester) {
	t.stores(jobs(1, 2)...)
	c := t.takes(1)[0]
	t.deletes(1, jobqueue.Filter{States: []jobqueue.State{jobqueue.Claimed}})
	t.counts(1, 0, 0, 0)
	t.loses([]*jobqueue.Claim{c}, retry(c, 0))
	t.extend([]uuid.UUID{c.Token}, c.Token)
	t.advance(lease + lease/2)
	t.hands(2)
}

func testDeleteLimit(t *tester) {
	ids := t.stores(jobs(1, 5)...)
	t.deletes(2, jobqueue.Filter{Limit: 2, IDs: ids[:4]})
	t.deletes(1, jobqueue.Filter{Limit: 5, After: ids[3]})
	t.counts(2, 0, 0, 0)
}

func testDeleteMany(t *tester) {
	t.stores(jobs(1, 1000)...)
	t.stores(jobs(1001, 1600)...)
	t.stores(typed(job(1), "other"))
	t.deletes(1600, jobqueue.Filter{Type: t.q.Type})
	t.counts(0, 0, 0, 0)
	t.countsOf(t.want("other", 0).Name, 1, 0, 0, 0)
}

func testDeleteElsewhere(t *tester) {
	elsewhere := job(2)
	elsewhere.Domain = t.q.Domain + "2"
	t.stores(job(1), elsewhere)
	t.deletes(1, jobqueue.Filter{})
	t.countsOf(jobqueue.Name{Domain: elsewhere.Domain, Type: t.q.Type}, 1, 0, 0, 0)
}

func testDeleteOneOfClaim(t *tester) {
	t.stores(jobs(1, 3)...)
	c := t.hands(1, 2, 3)
	t.deletes(1, jobqueue.Filter{IDs: []string{c[1].ID}, States: []jobqueue.State{jobqueue.Claimed}})
	t.loses([]*jobqueue.Claim{c[1]}, done(c[0]), done(c[1]))
	t.extend([]uuid.UUID{c[0].Token})
	t.settle(retry(c[2], 0))
	t.hands(3)
}

var requeueRules = []testCase{
	{"abandoned", "Requeue without f.States takes the abandoned jobs and makes them ready, with no failures and no expiries", testRequeueAbandoned},
	{"delayed", "Requeue makes the jobs that f matches ready: delayed ones, when named", testRequeueDelayed},
	{"claimed", "claimed jobs, when named, lose their claim", testRequeueClaimed},
	{"ready", "Requeue leaves ready jobs alone", testRequeueReady},
	{"limit", "Requeue makes the jobs that f matches ready: at most Limit", testRequeueLimit},
	{"not pruned", "a requeued job is an abandoned one no more, and is not deleted after Keep", testRequeueNotPruned},
	{"many", "Requeue makes ready every job that f matches", testRequeueMany},
	{"same job", "Requeue moves each job, and copies none", testRequeueSameJob},
}

func testRequeueAbandoned(t *tester) {
	t.stores(append(jobs(1, 3), delayed(job(4), time.Hour))...)
	t.takes(1)
	t.advance(lease + lease/2)
	c := t.pop(3)
	t.same(c, 2, 3, 1)
	t.settle(abandon(c[1], time.Hour), abandon(c[2], time.Hour))
	t.requeues(2, jobqueue.Filter{})
	t.counts(2, 1, 1, 0)
	for _, c := range t.pop(3) {
		if c.Failures != 0 || c.Expiries != 0 {
			t.Fatalf("job %s has %d failures and %d expiries, want none", c.Params, c.Failures, c.Expiries)
		}
	}
}

func testRequeueDelayed(t *tester) {
	t.stores(delayed(job(1), time.Hour), delayed(job(2), time.Hour), job(3))
	t.settle(retry(t.takes(3)[0], time.Hour))
	t.requeues(3, jobqueue.Filter{States: []jobqueue.State{jobqueue.Delayed, jobqueue.Ready}})
	t.counts(3, 0, 0, 0)
	for _, c := range t.pop(3) {
		if c.Failures != 0 {
			t.Fatalf("job %s has %d failures, want none", c.Params, c.Failures)
		}
	}
}

func testRequeueClaimed(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.requeues(0, jobqueue.Filter{})
	t.requeues(1, jobqueue.Filter{States: []jobqueue.State{jobqueue.Claimed}})
	t.loses([]*jobqueue.Claim{c}, done(c))
	t.extend([]uuid.UUID{c.Token}, c.Token)
	t.counts(1, 0, 0, 0)
	fresh := t.hands(1)[0]
	t.loses([]*jobqueue.Claim{c}, done(c))
	t.settle(done(fresh))
}

func testRequeueReady(t *tester) {
	t.stores(jobs(1, 3)...)
	t.settle(retry(t.takes(1)[0], 0))
	t.requeues(0, jobqueue.Filter{States: jobqueue.States()})
	if c := t.hands(2, 3, 1); c[2].Failures != 1 {
		t.Fatalf("a ready job has %d failures after Requeue, want its 1", c[2].Failures)
	}
}

func testRequeueLimit(t *tester) {
	t.stores(jobs(1, 5)...)
	t.settle(each(t.pop(5), abandon(nil, time.Hour))...)
	t.requeues(2, jobqueue.Filter{Limit: 2})
	t.counts(2, 0, 0, 3)
	t.requeues(3, jobqueue.Filter{Limit: 9})
	t.counts(5, 0, 0, 0)
}

func testRequeueNotPruned(t *tester) {
	t.stores(job(1))
	t.settle(abandon(t.hands(1)[0], time.Hour))
	t.requeues(1, jobqueue.Filter{})
	t.jump(2 * time.Hour)
	t.maintain()
	t.hands(1)
}

func testRequeueMany(t *tester) {
	for range 3 {
		t.stores(jobs(1, 500)...)
		t.settle(each(t.pop(500), abandon(nil, time.Hour))...)
	}
	t.requeues(1500, jobqueue.Filter{})
	t.counts(1500, 0, 0, 0)
}

func testRequeueSameJob(t *tester) {
	r := rooted(job(1), "page", day(1))
	r.Headers, r.MaxTries = map[string]string{"h": "v"}, 4
	id := t.stores(r)[0]
	queued := t.entry(id).QueuedAt
	t.settle(abandon(t.hands(1)[0], time.Hour))
	t.jump(time.Minute)
	t.requeues(1, jobqueue.Filter{IDs: []string{id}})
	c := t.hands(1)[0]
	sameRecord(t, c.Record, t.named([]jobqueue.Record{r})[0], "Pop")
	if c.ID != id || !c.QueuedAt.Equal(queued) {
		t.Fatalf("Pop = job %s queued at %v, want %s at %v", c.ID, c.QueuedAt, id, queued)
	}
}
