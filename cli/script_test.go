//go:build unix

package cli_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/cli"
	"github.com/wikifarm/jobqueue/queuedb/postgres/pgtest"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
	"github.com/wikifarm/jobqueue/runner"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"runjobs":   func() { os.Exit(cli.Execute(cli.RunJobs(cli.App{}))) },
		"jobctl":    func() { os.Exit(cli.Execute(cli.JobCtl(cli.App{}))) },
		"nextjobdb": func() { os.Exit(cli.Execute(cli.NextJobDB(cli.App{}))) },
		"young": func() {
			cli.ShowYoungSnapshots()
			os.Exit(cli.Execute(cli.JobCtl(cli.App{})))
		},
		"leave":  leave,
		"single": func() { cli.Main(cli.App{Register: register, Options: func(o *runner.Options) { o.MaxJobs = 1 }}) },
		"wiki":   func() { cli.Main(cli.App{Register: register, Options: noted}) },
		"keeper": func() { cli.Main(cli.App{Register: registerVideo, Services: services}) },
		"slow":   func() { cli.Main(cli.App{Register: registerSlowly}) },
		"broken": func() {
			cli.Main(cli.App{Register: func(*jobqueue.Registry, *jobqueue.Group) error { return errors.New("no licence") }})
		},
	})
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			// Under the race detector every process waits for a second at its end otherwise.
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits,
			"ids":   ids,
			"fetch": fetch,
		},
	})
}

// The commands with a schema of their own.
func TestPostgres(t *testing.T) { onPostgres(t, "testdata/postgres") }

// The commands with a database of their own: nobody else's transactions hold snapshots in it.
func TestSnapshots(t *testing.T) { onPostgres(t, "testdata/snapshot") }

func onPostgres(t *testing.T, dir string) {
	server, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			schema, drop := server.Schema()
			e.Defer(func() { drop() })
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			e.Setenv("PG_URL", server.URL)
			e.Setenv("SECRET", rand.Text())
			e.Setenv("SCHEMA", schema)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "hold": hold},
	})
}

// The commands with a Redis server of their own.
func TestRedis(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/redis",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			server, err := redistest.Private()
			if err != nil {
				return err
			}
			e.Defer(func() { server.Stop() })
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			e.Setenv("REDIS_URL", server.URL)
			e.Setenv("SECRET", "hunter2")
			e.Values[redisServer{}] = server
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "server": serve},
	})
}

type redisServer struct{}

// serve kills the script's server, or starts it again with what it has on disk.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	server := ts.Value(redisServer{}).(*redistest.Server)
	switch {
	case neg || len(args) != 1:
		ts.Fatalf("usage: server kill|restart")
	case args[0] == "kill":
		ts.Check(server.Kill())
	default:
		ts.Check(server.Restart())
	}
}

// exits runs a program that must end with a certain exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits status program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// hold opens a transaction with a snapshot, in the name of an application, and leaves it alone.
func hold(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hold application")
	}
	conf, err := pgx.ParseConfig(ts.Getenv("PG_URL"))
	ts.Check(err)
	conf.RuntimeParams["application_name"] = args[0]
	c, err := pgx.ConnectConfig(context.Background(), conf)
	ts.Check(err)
	ts.Defer(func() { c.Close(context.Background()) })
	tx, err := c.BeginTx(context.Background(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	ts.Check(err)
	_, err = tx.Exec(context.Background(), "select 1")
	ts.Check(err)
	ts.Setenv("PID", strconv.Itoa(int(c.PgConn().PID())))
}

// ids sets the variables ID1, ID2, … to the ids of all jobs in the farm.
func ids(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(ts.Exec("jobctl", append([]string{"list", "--json"}, args...)...))
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	for n := 1; dec.More(); n++ {
		var job struct{ ID string }
		ts.Check(dec.Decode(&job))
		ts.Setenv(fmt.Sprintf("ID%d", n), job.ID)
	}
}

// register adds the job types of the program wiki.
func register(reg *jobqueue.Registry, g *jobqueue.Group) error {
	reg.Add(func() jobqueue.Job { return &greet{} }, jobqueue.Policy{})
	reg.Add(func() jobqueue.Job { return &page{group: g} }, jobqueue.Policy{})
	reg.Add(func() jobqueue.Job { return &panics{} }, jobqueue.Policy{})
	reg.Add(func() jobqueue.Job { return &quits{} }, jobqueue.Policy{})
	reg.Add(func() jobqueue.Job { return &dies{} }, jobqueue.Policy{})
	reg.Add(func() jobqueue.Job { return &holds{} }, jobqueue.Policy{})
	reg.Add(func() jobqueue.Job { return &once{} }, jobqueue.Policy{AtMostOnce: true})
	return nil
}

// noted notes in a file what runs.
func noted(o *runner.Options) {
	o.Middleware = func(ctx context.Context, job jobqueue.Job, next func(context.Context) error) error {
		return errors.Join(write("noted", job.Type()+"\n"), next(ctx))
	}
}

// greet appends a line to a file.
type greet struct{ Name string }

func (*greet) Type() string { return "greet" }
func (j *greet) Run(ctx context.Context) error {
	c := jobqueue.FromContext(ctx)
	return write("greeted", fmt.Sprintf("hello, %s of %s, attempt %d\n", j.Name, c.Domain, c.Attempt))
}

func write(path, line string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(line)
	return err
}

// page pushes a greet.
type page struct{ group *jobqueue.Group }

func (*page) Type() string { return "page" }
func (j *page) Run(ctx context.Context) error {
	_, err := j.group.Push(ctx, jobqueue.Spec{Job: &greet{Name: "child"}})
	return err
}

type panics struct{}

func (*panics) Type() string              { return "panics" }
func (*panics) Run(context.Context) error { panic("oh\x1b[31m no") }

// quits ends its goroutine.
type quits struct{}

func (*quits) Type() string { return "quits" }
func (*quits) Run(context.Context) error {
	runtime.Goexit()
	return nil
}

// dies does its work and then, the first time, kills the process before the job is settled.
type dies struct{}

func (*dies) Type() string { return "dies" }
func (*dies) Run(ctx context.Context) error {
	_, err := os.Stat("worked")
	if werr := write("worked", "worked\n"); werr != nil {
		return werr
	}
	if errors.Is(err, os.ErrNotExist) {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		<-ctx.Done()
	}
	return nil
}

// holds says that it runs, by opening one named pipe, and goes on until another
// is opened or, without one, until its context ends.
type holds struct{ Started, End string }

func (*holds) Type() string { return "holds" }
func (j *holds) Run(ctx context.Context) error {
	if err := write(j.Started, "started\n"); err != nil {
		return err
	}
	if j.End != "" {
		_, err := os.ReadFile(j.End)
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// once kills its process whenever it runs, so it must run at most once.
type once struct{}

func (*once) Type() string { return "once" }
func (*once) Run(ctx context.Context) error {
	if err := write("worked", "worked\n"); err != nil {
		return err
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	<-ctx.Done()
	return nil
}
