package sqlite_test

import (
	"encoding/binary"
	"os"
	"testing"

	"github.com/wikifarm/jobqueue"
)

// TestAbandonedCostNothing checks that a claim reads as many pages beside very many abandoned jobs as
// beside few: it finds the claimed jobs in a tree that may have grown a level, and looks into no other of theirs.
func TestAbandonedCostNothing(t *testing.T) {
	many := 50_000
	if _, asked := os.LookupEnv("SOAK"); asked {
		many = 1_000_000
	}
	few, low := claimBeside(t, 1000)
	read, high := claimBeside(t, many)
	t.Logf("a claim of 10 jobs reads %d pages beside 1,000 abandoned jobs and %d beside %d; the table of jobs has %d and %d levels",
		few, read, many, low["job"], high["job"])
	// Ten jobs that follow each other may lie on two pages.
	if want := few + high["job"] - low["job"] + 1; read > want {
		t.Errorf("a claim of 10 jobs reads %d pages beside %d abandoned jobs, want %d at most", read, many, want)
	}
}

const pageSize = 4096

// claimBeside returns how many pages a process reads that opens a file with so many abandoned
// jobs, for a claim of 10 others, and how many levels each tree of the file has.
func claimBeside(t *testing.T, abandoned int) (pages int, levels map[string]int) {
	path := newFile(t)
	b := openFile(t, path, nil)
	push(t, b, records(1)...)
	settle(t, b, outcomes(jobqueue.ActionDone, pop(t, b, 1)...)...)
	db := raw(t, path)
	execute(t, db, `with recursive n (i) as (select 1 union all select i + 1 from n where i < ?1)
		insert into job (id, queue, pushed, params, error) select 1000 + i, 1, 1, x'7b7d', 'no route' from n`, abandoned)
	execute(t, db, `insert into abandoned (job, queue, prune_at) select id, queue, 9e15 + id from job`)
	execute(t, db, `update meta set last = 10000000`)
	push(t, b, records(10)...)
	execute(t, db, `pragma wal_checkpoint(truncate)`)
	levels = treeLevels(t, path)

	cold := openFile(t, path, nil)
	before := bytesRead(t)
	cs := pop(t, cold, 10)
	read := bytesRead(t) - before
	if len(cs) != 10 {
		t.Fatalf("Pop returned %d jobs, want 10", len(cs))
	}
	return read / pageSize, levels
}

// treeLevels returns how many levels each table and index of a file has.
func treeLevels(t *testing.T, path string) map[string]int {
	t.Helper()
	rows, err := raw(t, path).Query("select name, rootpage from sqlite_schema where rootpage > 0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	levels := map[string]int{}
	for rows.Next() {
		var name string
		var page int64
		if err := rows.Scan(&name, &page); err != nil {
			t.Fatal(err)
		}
		for {
			levels[name]++
			data := make([]byte, pageSize)
			if _, err := f.ReadAt(data, (page-1)*pageSize); err != nil {
				t.Fatal(err)
			}
			const inner, innerOfIndex = 5, 2
			if kind := data[0]; kind != inner && kind != innerOfIndex {
				break
			}
			page = int64(binary.BigEndian.Uint32(data[8:])) // the last child
		}
	}
	return levels
}
