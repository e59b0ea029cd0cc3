package sqlite_test

import (
	"strings"
	"testing"

	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// TestPlans checks that no statement reads a whole table or index, but for the
// one row of meta, and queues and holds where they are all asked for.
func TestPlans(t *testing.T) {
	b := open(t)
	for name := range sqlite.Statements {
		plan, err := b.Plan(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, line := range plan {
			table, scans := strings.CutPrefix(line, "SCAN ")
			switch {
			case !scans, strings.Contains(line, "VIRTUAL TABLE"), table == "meta", table == "filled", strings.HasPrefix(table, "(subquery"):
			case name == "queue_all" && strings.HasPrefix(table, "queue "):
			case name == "hold_list" && table == "hold USING INDEX hold_since":
			default:
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

// TestPlansNotice checks that TestPlans would notice.
func TestPlansNotice(t *testing.T) {
	b := open(t)
	sqlite.Statements["test_scan"] = "select count(*) from job where pushed > ?"
	defer delete(sqlite.Statements, "test_scan")
	plan, err := b.Plan("test_scan")
	if err != nil || len(plan) != 1 || plan[0] != "SCAN job" {
		t.Errorf("Plan = %q, %v", plan, err)
	}
}
