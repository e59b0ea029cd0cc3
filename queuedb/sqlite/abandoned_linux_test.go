package sqlite_test

import (
	"encoding/binary"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// TestAbandonedCostNothing checks that a claim reads as many pages beside very many abandoned jobs as
// beside few, by queue and by id: it looks into no tree that holds any of them.
func TestAbandonedCostNothing(t *testing.T) {
	many := 50_000
	if _, asked := os.LookupEnv("SOAK"); asked {
		many = 1_000_000
	}
	few, low := claimBeside(t, 1000)
	read, high := claimBeside(t, many)
	t.Logf("claims of 10 jobs and of one by its id read %d pages beside 1,000 abandoned jobs and %d beside %d", few, read, many)
	if read != few {
		t.Errorf("claims read %d pages beside 1,000 abandoned jobs and %d beside %d, want the same", few, read, many)
	}
	if high["abandoned"] <= low["abandoned"] {
		t.Errorf("the table of abandoned jobs has %d and %d levels, so the test shows nothing", low["abandoned"], high["abandoned"])
	}
}

const pageSize = 4096

// claimBeside returns how many pages processes read that open a file with so many abandoned
// jobs, for a claim of 10 others and for one of a job by its id, and how many levels each tree of the file has.
func claimBeside(t *testing.T, abandoned int) (pages [2]int, levels map[string]int) {
	path := newFile(t)
	b := openFile(t, path, nil)
	push(t, b, records(1)...)
	settle(t, b, outcomes(jobqueue.ActionDone, pop(t, b, 1)...)...)
	db := raw(t, path)
	execute(t, db, `with recursive n (i) as (select 1 union all select i + 1 from n where i < ?1)
		insert into abandoned (job, queue, prune_at, pushed, params, error) select 1000 + i, 1, 9e15 + i, 1, ?2, 'no route' from n`,
		abandoned, records(1)[0].Params)
	execute(t, db, `update meta set last = 10000000`)
	pushed := push(t, b, records(11)...)
	execute(t, db, `pragma wal_checkpoint(truncate)`)
	levels = treeLevels(t, path)

	for i, want := range []jobqueue.Want{{Name: queue, Max: 10}, {Name: queue, ID: pushed[10].ID}} {
		cold := openFile(t, path, nil)
		before := bytesRead(t)
		cs, err := cold.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Minute}, want)
		if err != nil || len(cs) != max(want.Max, 1) {
			t.Fatalf("Pop returned %d jobs, %v, want %d", len(cs), err, max(want.Max, 1))
		}
		pages[i] = (bytesRead(t) - before) / pageSize
		if forgot, err := cold.Ran("claim_forget"); err != nil {
			t.Fatal(err)
		} else if forgot {
			return claimBeside(t, abandoned) // Some claims also forget what others settled long ago.
		}
	}
	return pages, levels
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
