// Jobctl pushes, shows and looks after jobs. See package cli.
package main

import (
	"os"

	"github.com/wikifarm/jobqueue/cli"
)

func main() { os.Exit(cli.Execute(cli.JobCtl(cli.App{}))) }
