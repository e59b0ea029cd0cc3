package sqlite_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/wikifarm/jobqueue"
)

// TestClaimReadsFewPages checks that what a claim reads of the file does not
// grow with the delayed and the abandoned jobs, nor with the queues that are empty.
func TestClaimReadsFewPages(t *testing.T) {
	few := claimReads(t, 0)
	many := claimReads(t, 100_000)
	t.Logf("a claim of 10 jobs reads %d bytes, %d beside 200,000 other jobs and 1,000 empty queues", few, many)
	// Each B-tree may be a few levels higher.
	if many > few+40*4096 {
		t.Errorf("a claim of 10 jobs reads %d bytes, %d beside 200,000 other jobs", few, many)
	}
}

// claimReads returns how many bytes a process reads that opens a file, in
// which others jobs are delayed and as many abandoned, for a claim of 10 ready ones.
func claimReads(t *testing.T, others int) int {
	path := newFile(t)
	b := openFile(t, path, nil)
	push(t, b, records(1)...)
	settle(t, b, outcomes(jobqueue.ActionDone, pop(t, b, 1)...)...)
	db := raw(t, path)
	execute(t, db, `with recursive n (i) as (select 1 where ?1 > 0 union all select i + 1 from n where i < 2 * ?1)
		insert into job (id, queue, pushed, params) select 1000 + i, 1, 1, x'7b7d' from n`, others)
	execute(t, db, `insert into later (job, queue, release) select id, queue, 9e15 from job where id % 2 = 0`)
	execute(t, db, `insert into abandoned (job, queue, prune_at, pushed, params) select id, queue, 9e15, pushed, params from job where id % 2 = 1`)
	execute(t, db, `delete from job where id % 2 = 1`)
	execute(t, db, `with recursive n (i) as (select 1 where ?1 > 0 union all select i + 1 from n where i < 1000)
		insert into queue (domain, type) select 'wiki', i from n`, others)
	execute(t, db, `update meta set last = 1000000`)
	push(t, b, records(10)...)
	execute(t, db, `pragma wal_checkpoint(truncate)`)

	cold := openFile(t, path, nil)
	before := bytesRead(t)
	cs := pop(t, cold, 10)
	read := bytesRead(t) - before
	if len(cs) != 10 {
		t.Fatalf("Pop returned %d jobs, want 10", len(cs))
	}
	return read
}

// bytesRead returns how many bytes this process has read from files.
func bytesRead(t *testing.T) (n int) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(text), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}
