package ondemand_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

type Greet struct {
	Name string
	done chan string
}

func (*Greet) Type() string                { return "greet" }
func (j *Greet) Run(context.Context) error { j.done <- "hello, " + j.Name; return nil }

func Example() {
	store := queuememory.New()
	group := jobqueue.NewGroup("enwiki", jobqueue.Routes{Default: store})
	said := make(chan string, 1)
	reg := &jobqueue.Registry{}
	reg.Add(func() jobqueue.Job { return &Greet{done: said} }, jobqueue.Policy{})

	// What is between these lines is in docs/ondemand.md.
	runs := ondemand.New(ondemand.Options{
		Leases: &lease.Store{Control: store}, // the same store for all replicas
		Work:   []ondemand.Work{ondemand.Jobs(group, reg, runner.Options{Workers: 2})},
	})
	sign := func(w http.ResponseWriter, r *http.Request) {
		if _, err := group.On("enwiki").Push(r.Context(), jobqueue.Spec{Job: &Greet{Name: r.FormValue("name")}}); err != nil {
			http.Error(w, "That did not work.", http.StatusInternalServerError)
		}
	}
	domainOf := func(r *http.Request) string {
		if r.Host == "en.example.org" {
			return "enwiki"
		}
		return "" // none of ours
	}
	handler := runs.Middleware(http.HandlerFunc(sign), domainOf, nil)
	// Until here.

	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://en.example.org/?name=world", nil))
	fmt.Println(<-said)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(runs.Close(ctx))
	// Output:
	// hello, world
	// <nil>
}

// The program in the documentation is the Example, which runs.
func TestDocumented(t *testing.T) {
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../docs/ondemand.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(example), "is in docs/ondemand.md.\n")
	part, _, _ = strings.Cut(part, "\t// Until here.")
	_, program, _ := strings.Cut(string(docs), "```go\n")
	program, _, _ = strings.Cut(program, "```")
	if want := strings.ReplaceAll("\n"+part, "\n\t", "\n"); "\n"+program != want || part == "" {
		t.Errorf("the program in docs/ondemand.md is\n%s\nand the Example\n%s", program, want)
	}
}
