package metrics_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/metrics"
	"github.com/wikifarm/jobqueue/queuememory"
)

const (
	rulesFile     = "../deploy/prometheus/rules.yml"
	dashboardFile = "../deploy/grafana/jobqueue.json"
)

// promtool runs Prometheus' own checks.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing; Debian has it in the package prometheus")
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Prometheus takes what is served.
func TestPromtoolTakesWhatIsServed(t *testing.T) {
	m := metrics.New(metrics.Options{Types: []string{"a\nb", `quo"te`, "\xff", "ключ"}, CountEvery: time.Second})
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: queuememory.New(), Trace: m.Trace()})
	m.Watch(g)
	if _, err := g.Push(t.Context(), jobqueue.Spec{Type: "mail"}); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	var text strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if strings.Contains(line, "jobqueue_") { // not what the Go runtime's collector calls its own
			text.WriteString(line)
		}
	}
	promtool(t, text.String(), "check", "metrics")
}

// The rules are sound, and say what they should when something is wrong.
func TestRules(t *testing.T) {
	promtool(t, "", "check", "rules", rulesFile)
	promtool(t, "", "test", "rules", "testdata/rules.yml")
}

// A dashboard, as far as it matters here.
type dashboard struct {
	Panels     []panel
	Templating struct {
		List []struct{ Definition string }
	}
}

type panel struct {
	ID      int
	Title   string
	Type    string
	GridPos struct{ X, Y, W, H int }
	Targets []struct{ Expr string }
}

// The dashboard's panels have their places, and its queries are PromQL.
func TestDashboard(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	variables := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$type", ".*")
	ids, places, n := map[int]bool{}, map[[2]int]string{}, 0
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q is there twice, or has no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := places[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q is over %q, or beyond the edge", p.Title, other)
				}
				places[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%q shows nothing", p.Title)
		}
		for _, q := range p.Targets {
			n++
			expr, err := json.Marshal(variables.Replace(q.Expr))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&rules, "  - {record: 'query:n%d', expr: %s}\n", n, expr)
		}
	}
	path := filepath.Join(t.TempDir(), "queries.yml")
	if err := os.WriteFile(path, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", path)
	if n < 20 {
		t.Errorf("%d queries", n)
	}
}

// Every metric that the rules and the dashboard name is one that is exported, or recorded by the rules.
func TestMetricsThatAreUsedExist(t *testing.T) {
	descs := make(chan *prometheus.Desc, 1000)
	metrics.New(metrics.Options{}).Describe(descs)
	close(descs)
	exported := map[string]bool{}
	for d := range descs {
		name := regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]
		exported[name] = true
		if strings.HasSuffix(name, "_seconds") {
			exported[name+"_bucket"], exported[name+"_count"], exported[name+"_sum"] = true, true, true
		}
	}
	rules := read(t, rulesFile)
	for _, m := range regexp.MustCompile(`record: (\S+)`).FindAllStringSubmatch(rules, -1) {
		exported[m[1]] = true
	}
	used := map[string]bool{}
	for _, text := range []string{rules, read(t, dashboardFile)} {
		for _, name := range regexp.MustCompile(`(\w+:)?\bjobqueue_\w+(:\w+)?`).FindAllString(text, -1) {
			used[name] = true
			if !exported[name] {
				t.Errorf("%s is used, and not exported", name)
			}
		}
	}
	for name := range exported {
		base := strings.HasPrefix(name, "jobqueue_") && !regexp.MustCompile(`_(bucket|count|sum)$`).MatchString(name)
		// These are for whoever looks closer.
		rare := name == "jobqueue_jobs_popped_total" || name == "jobqueue_jobs_failed_total" || name == "jobqueue_jobs_exhausted_total" ||
			name == "jobqueue_jobs_push_failed_total" || name == "jobqueue_maintained_jobs_total" || name == "jobqueue_store_seen_seconds" ||
			name == "jobqueue_control_up" || name == "jobqueue_domain_ready_queues"
		if base && !rare && !used[name] && !used[name+"_bucket"] {
			t.Errorf("%s is neither on the dashboard nor in the rules", name)
		}
	}
}
