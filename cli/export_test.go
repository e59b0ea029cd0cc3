package cli

// ShowYoungSnapshots has show name who holds the oldest snapshot, however young.
func ShowYoungSnapshots() { snapshotAge = 0 }
