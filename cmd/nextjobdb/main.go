// Nextjobdb prints a domain that has ready jobs. See package cli.
package main

import (
	"os"

	"github.com/wikifarm/jobqueue/cli"
)

func main() { os.Exit(cli.Execute(cli.NextJobDB(cli.App{}))) }
