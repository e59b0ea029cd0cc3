package cli_test

import "testing"

// Mistakes in what processes are to be kept start none.
func TestBadSupervision(t *testing.T) {
	s := newStock(t)
	for _, test := range []struct{ command, want string }{
		{"runjobs supervise --processes 0", `invalid argument "0" for "--processes" flag: it must be a whole number from 1 to 1000, or auto`},
		{"runjobs supervise --processes 2 --processes 3", "--processes is given twice, it may be given once"},
		{"runjobs supervise --wait", "unknown flag: --wait, the flags are …"},
		{"runjobs supervise --result json", "unknown flag: --result, the flags are …"},
		{"runjobs supervise --maxjobs 0", `invalid argument "0" for "--maxjobs" flag: it must be a whole number, at least 1`},
		{"runjobs supervise --soft-memory 101%", `invalid argument "101%" for "--soft-memory" flag: it must be a number of bytes such as 512M, or a part of the limit such as 90%`},
		{"runjobs supervise --group x", "--group x: the farm file has no groups"},
		{"runjobs supervise --config nowhere.yaml", "open nowhere.yaml: no such file or directory"},
		{"runjobs supervise --http :9199", "--http :9199: there are 2 processes, give ports for all of them, such as :9199-9299"},
		{"runjobs supervise once", `unexpected argument "once", only flags are allowed here`},
		{"runjobs --group x", "--group x: the farm file has no groups"},
		{"runjobs --part 3/2", `invalid argument "3/2" for "--part" flag: it must be two numbers such as 1/2`},
		{"runjobs --release-file farm.yaml/nowhere", "--release-file farm.yaml/nowhere: not a directory"},
		{"runjobs --release-file .", "--release-file .: it is no file"},
	} {
		s.refuses(test.command, 2, test.want)
	}
	s.refuses("runjobs --pid-file no/pid", 1, "pid file no/pid: there is no directory no")
	s.refuses("runjobs --soft-memory 1K", 100, "--soft-memory: the process uses …")
}
