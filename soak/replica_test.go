package soak_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/ondemand"
	jobs "github.com/wikifarm/jobqueue/runner"
)

// replicaVar names the farm file with which a process is one of several web servers of a farm.
const replicaVar = "SOAK_REPLICA"

// replica serves a farm: each visit pushes a job, and the domains are run on demand. It says where it is on standard output, and notes
// in its ledger when runs begin and end and which jobs run.
func replica(path string) error {
	ctx := context.Background()
	ledger, err := os.OpenFile(os.Getenv(startsVar), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	note := func(what, domain string) (int, error) {
		_, err := fmt.Fprintln(ledger, what, domain, time.Now().UnixNano(), os.Getpid())
		return 0, err
	}
	farm, err := config.Load(path)
	if err != nil {
		return err
	}
	reg := &jobqueue.Registry{}
	reg.Add(func() jobqueue.Job { return &visit{note: note} }, jobqueue.Policy{})
	queues, err := farm.Open(ctx, reg)
	if err != nil {
		return err
	}
	leases, err := farm.Leases(queues)
	if err != nil {
		return err
	}
	o := jobs.Options{Workers: 2, Unlogged: true, Logger: slog.New(slog.DiscardHandler)}
	farm.Share(&o)
	r := ondemand.New(ondemand.Options{
		Leases: leases,
		Work: []ondemand.Work{
			{Name: "begins", Do: func(_ context.Context, domain string) (int, error) { return note("begin", domain) }},
			ondemand.Jobs(queues.Group, reg, o),
			{Name: "ends", Do: func(_ context.Context, domain string) (int, error) { return note("end", domain) }},
		},
	})
	if err := r.Recover(ctx); err != nil {
		return err
	}
	shop := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		pushed, err := queues.On(req.FormValue("domain")).Push(req.Context(), jobqueue.Spec{Job: &visit{N: req.FormValue("n")}})
		if err != nil || pushed.Stored() != 1 {
			http.Error(w, fmt.Sprint(err), http.StatusServiceUnavailable)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, r.Middleware(shop, func(req *http.Request) string { return req.FormValue("domain") }, nil))
}

// visit is what is to be done after a request, which has a number.
type visit struct {
	N    string
	note func(what, domain string) (int, error)
}

func (*visit) Type() string { return "visit" }
func (j *visit) Run(context.Context) error {
	_, err := j.note("job", j.N)
	return err
}
