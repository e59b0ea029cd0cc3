package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule/simulate"
)

// printSimulation prints a line for each policy, and how long jobs waited in domains of several sizes.
func printSimulation(w io.Writer, title string, reports []*simulate.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", title)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tstarted\twaiting\tbusy\tmean wait\tp50\tp99\tlongest\tJain\tworst\tshares\t")
	for _, r := range reports {
		jain, worst, shares := "-", "-", "-"
		if r.Windows > 0 {
			jain, worst = fmt.Sprintf("%.3f", r.Jain), fmt.Sprintf("%.3f", r.JainWorst)
			shares = fmt.Sprintf("%.2f to %.2f", r.Least, r.Most)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%.1f%%\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Policy, r.Wait.Started, r.Wait.Jobs-r.Wait.Started, 100*r.Busy,
			brief(r.Wait.Mean), brief(r.Wait.P50), brief(r.Wait.P99), brief(r.Wait.Longest), jain, worst, shares)
		for i, c := range r.Classes {
			fmt.Fprintf(t, "%s\t%d\t%d\t\t%s\t%s\t%s\t%s\t\t\t\t\n", []string{"urgent", "low"}[i], c.Started, c.Jobs-c.Started,
				brief(c.Mean), brief(c.P50), brief(c.P99), brief(c.Longest))
		}
	}
	t.Flush()
	b.WriteString("\nmean wait of a domain's jobs, by how many jobs it has\n\n")
	fmt.Fprint(t, "domains\t")
	for _, r := range reports {
		fmt.Fprintf(t, "%s\t", r.Policy)
	}
	fmt.Fprintln(t)
	ranks := make([][]simulate.Domain, len(reports))
	for i, r := range reports {
		ranks[i] = slices.Clone(r.Domains)
		slices.SortStableFunc(ranks[i], func(a, b simulate.Domain) int { return cmp.Compare(b.Jobs, a.Jobs) })
	}
	for from, to := 0, 1; from < len(ranks[0]); from, to = to, 10*to {
		to = min(to, len(ranks[0]))
		if to == from+1 {
			fmt.Fprintf(t, "%s\t", jobqueue.EscapeName(ranks[0][from].Name))
		} else {
			fmt.Fprintf(t, "%d to %d\t", from+1, to)
		}
		for _, list := range ranks {
			fmt.Fprintf(t, "%s\t", brief(meanWait(list[from:to])))
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	b.WriteString(`
Jain's index tells how evenly the workers' time is shared by domains that have jobs waiting for a whole minute:
1 is evenly, 1/n is all for one of n. Shares are the least and the most that such a domain got in any minute,
in fair shares.
`)
	_, err := io.WriteString(w, b.String())
	return err
}

func meanWait(list []simulate.Domain) time.Duration {
	sum := 0.0
	for _, d := range list {
		sum += float64(d.Wait)
	}
	return time.Duration(sum / float64(len(list)))
}

// brief returns a duration with three digits or so.
func brief(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// simulationJSON prints the reports. All times are in seconds.
func simulationJSON(w io.Writer, reports []*simulate.Report) error {
	type waits struct {
		Jobs    int     `json:"jobs"`
		Started int     `json:"started"`
		Mean    float64 `json:"mean"`
		P50     float64 `json:"p50"`
		P99     float64 `json:"p99"`
		Longest float64 `json:"longest"`
	}
	type domain struct {
		Name    string  `json:"domain"`
		Jobs    int     `json:"jobs"`
		Started int     `json:"started"`
		Used    float64 `json:"used"`
		Wait    float64 `json:"wait"`
		Longest float64 `json:"longest"`
	}
	type fairness struct {
		Windows int     `json:"windows"`
		Jain    float64 `json:"jain"`
		Worst   float64 `json:"worst"`
		Least   float64 `json:"least"`
		Most    float64 `json:"most"`
	}
	type report struct {
		Policy   simulate.Policy `json:"policy"`
		Elapsed  float64         `json:"elapsed"`
		Busy     float64         `json:"busy"`
		Wait     waits           `json:"wait"`
		Classes  []waits         `json:"classes,omitempty"`
		Fairness *fairness       `json:"fairness"` // null if no two domains had jobs waiting for a minute
		Domains  []domain        `json:"domains"`
	}
	of := func(v simulate.Waits) waits {
		return waits{v.Jobs, v.Started, v.Mean.Seconds(), v.P50.Seconds(), v.P99.Seconds(), v.Longest.Seconds()}
	}
	var list []report
	for _, r := range reports {
		n := report{
			Policy: r.Policy, Elapsed: r.Elapsed.Seconds(), Busy: r.Busy, Wait: of(r.Wait),
		}
		for _, c := range r.Classes {
			n.Classes = append(n.Classes, of(c))
		}
		if r.Windows > 0 {
			n.Fairness = &fairness{r.Windows, r.Jain, r.JainWorst, r.Least, r.Most}
		}
		for _, d := range r.Domains {
			n.Domains = append(n.Domains, domain{d.Name, d.Jobs, d.Started, d.Used.Seconds(), d.Wait.Seconds(), d.Longest.Seconds()})
		}
		list = append(list, n)
	}
	return printJSON(w, struct {
		Policies []report `json:"policies"`
	}{list}, "  ")
}
