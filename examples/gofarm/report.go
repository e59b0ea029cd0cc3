package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// report prints what is true of the wikis and the queue, and what should be and
// is not. The error says that there is something of the latter.
func (f *farm) report(ctx context.Context, w io.Writer, below string) error {
	if err := f.reportWikis(ctx, w); err != nil {
		return err
	}
	if err := f.reportJobs(ctx, w); err != nil {
		return err
	}
	return f.verify(ctx, w, below)
}

// perWiki are numbers to report, each with a query for its value on each wiki.
var perWiki = []struct{ what, sql string }{
	{"pages", "select wiki, count(*) from pages group by 1"},
	{"links", "select from_wiki, count(*) from leads group by 1"},
	{"  to another wiki", "select from_wiki, count(*) from leads where wiki <> from_wiki group by 1"},
	{"  in the text", "select from_wiki, count(*) from leads where kind = 'doc' group by 1"},
	{"  broken", "select from_wiki, count(*) from leads where target is null group by 1"},
	{"memberships of categories", "select wiki, count(*) from members join pages on page = id group by 1"},
	{"rendered pages", "select wiki, count(*) from rendered join pages on page = id group by 1"},
	{"  kilobytes of HTML", "select wiki, sum(length(cast(html as blob))) / 1000 from rendered join pages on page = id group by 1"},
	{"  red links", "select wiki, sum(red) from rendered join pages on page = id group by 1"},
}

func (f *farm) reportWikis(ctx context.Context, w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\nwikis\t")
	for _, wiki := range wikis {
		fmt.Fprint(t, wiki, "\t")
	}
	fmt.Fprintln(t, "together\t")
	for _, number := range perWiki {
		values, err := numbers(ctx, f.store.reader, number.sql)
		if err != nil {
			return err
		}
		fmt.Fprint(t, number.what, "\t")
		sum := 0
		for _, wiki := range wikis {
			fmt.Fprint(t, values[wiki], "\t")
			sum += values[wiki]
		}
		fmt.Fprint(t, sum, "\t\n")
	}
	return t.Flush()
}

// perType are numbers to report, each with a query for its value of each job type.
var perType = []struct{ what, sql string }{
	{"pushed", "select type, sum(n) from (select type, count(*) as n from jobs group by 1 union all select type, sum(jobs) from duplicates group by 1) group by 1"},
	{"duplicates", "select type, sum(jobs) from duplicates group by 1"},
	{"stored", "select type, count(*) from jobs group by 1"},
	{"run", "select type, sum(runs) from jobs group by 1"},
	{"superseded", "select type, sum(superseded) from jobs group by 1"},
}

func (f *farm) reportJobs(ctx context.Context, w io.Writer) error {
	left, err := f.left(ctx)
	if err != nil {
		return err
	}
	columns := make([]map[string]int, 0, len(perType)+1)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\njobs\t")
	for _, number := range perType {
		values, err := numbers(ctx, f.store.reader, number.sql)
		if err != nil {
			return err
		}
		columns = append(columns, values)
		fmt.Fprint(t, number.what, "\t")
	}
	columns = append(columns, left)
	fmt.Fprintln(t, "left\t")
	sums := make([]int, len(columns))
	for _, typ := range slices.Sorted(maps.Keys(columns[0])) {
		fmt.Fprint(t, typ, "\t")
		for i, values := range columns {
			fmt.Fprint(t, values[typ], "\t")
			sums[i] += values[typ]
		}
		fmt.Fprintln(t)
	}
	fmt.Fprint(t, "together\t")
	for _, sum := range sums {
		fmt.Fprint(t, sum, "\t")
	}
	fmt.Fprintln(t)
	if err := t.Flush(); err != nil {
		return err
	}
	return f.reportSpeed(ctx, w)
}

func (f *farm) reportSpeed(ctx context.Context, w io.Writer) error {
	var jobs int
	var seconds float64
	err := f.store.reader.QueryRowContext(ctx,
		"select (select coalesce(sum(runs + superseded), 0) from jobs), (select coalesce(sum(seconds), 0) from drains)").Scan(&jobs, &seconds)
	if err == nil && seconds > 0 {
		fmt.Fprintf(w, "\n%d jobs in %.1f s: %.0f jobs/s\n", jobs, seconds, float64(jobs)/seconds)
	}
	return err
}

// left returns how many jobs of each type are in the queue, in whatever state.
func (f *farm) left(ctx context.Context) (map[string]int, error) {
	counts, err := f.queue.Counts(ctx)
	if err != nil {
		return nil, err
	}
	left := map[string]int{}
	for _, c := range counts {
		left[c.Type] += c.Total()
	}
	return left, nil
}

// errWrong is the error of a report that found something wrong.
var errWrong = errors.New("something is wrong, see the report")
