package cli_test

import (
	"context"
	"fmt"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/cli"
)

type welcome struct{ User string }

func (*welcome) Type() string { return "welcome" }

func (j *welcome) Run(context.Context) error {
	fmt.Println("welcome,", j.User)
	return nil
}

// A program with a job type of its own. Built as mywiki it has the commands
//
//	mywiki push --type welcome --params '{"User": "Ann"}'
//	mywiki runjobs
//	mywiki show
//
// and all others of jobctl.
func ExampleMain() {
	cli.Main(cli.App{Register: func(reg *jobqueue.Registry, g *jobqueue.Group) error {
		reg.Add(func() jobqueue.Job { return &welcome{} }, jobqueue.Policy{MaxTries: 5})
		return nil
	}})
}
