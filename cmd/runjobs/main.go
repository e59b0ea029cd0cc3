// Runjobs runs the jobs that are ready. See package cli.
package main

import (
	"os"

	"github.com/wikifarm/jobqueue/cli"
)

func main() { os.Exit(cli.Execute(cli.RunJobs(cli.App{}))) }
