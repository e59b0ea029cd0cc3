// Package cli is the commands runjobs and jobctl as functions, so that a
// program can have them with its own jobs built in:
//
//	func main() {
//		cli.Main(cli.App{Register: func(reg *jobqueue.Registry, g *jobqueue.Group) error {
//			reg.Add(func() jobqueue.Job { return &RefreshLinks{group: g} }, jobqueue.Policy{Dedupe: true})
//			return nil
//		}})
//	}
//
// Every command takes --config, the farm file (see package config). Without it the
// jobs are in the SQLite file jobs.db of the current directory.
//
// # Exit status
//
//	0  done; for runjobs also a run with --wait that a signal, its time or its memory limit ended
//	1  a job failed, or something else went wrong
//	2  a mistake in the flags, the input or the farm file
//	3  a store cannot be reached, or is read-only
//
// Results go to standard output; everything else, such as the one line that
// says what went wrong, to standard error.
package cli
