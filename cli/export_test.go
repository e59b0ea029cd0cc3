package cli

import "github.com/wikifarm/jobqueue/supervisor"

// ShowYoungSnapshots has show name who holds the oldest snapshot, however young.
func ShowYoungSnapshots() { snapshotAge = 0 }

// Plan returns the processes that a farm file wants, which get some flags.
func Plan(config string, flags ...string) ([]supervisor.Child, error) {
	return (&supervision{e: &env{config: config}, passed: flags}).plan()
}
