package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/wikifarm/jobqueue/runner"
	"github.com/wikifarm/jobqueue/supervisor"
)

// plan returns the processes that the farm file wants as it is now.
func (v *supervision) plan() ([]supervisor.Child, error) {
	farm, err := v.e.farm(true)
	if err != nil {
		return nil, err
	}
	if err := (&runFlags{domain: v.domain, process: process{group: v.group}}).fits(farm); err != nil {
		return nil, err
	}
	v.good = farm
	var all []portion
	shared := 0 // most workers of what shares the processes
	for _, g := range farm.Groups() {
		switch n := farm.Processes(g.Name); {
		case v.group != "" && g.Name != v.group:
		case v.group != "":
			if v.processes > 0 || n == 0 {
				n = v.common()
			}
			all = append(all, portions(g.Name, min(n, g.Workers))...)
		case n > 0:
			all = append(all, portions(g.Name, min(n, g.Workers))...)
		default:
			shared = max(shared, g.Workers)
		}
	}
	if len(farm.Groups()) == 0 {
		if shared = v.workers; shared == 0 {
			shared = 4 * runtime.GOMAXPROCS(0)
		}
	}
	if shared > 0 {
		all = append(all, portions("", min(v.common(), shared))...)
	}
	var children []supervisor.Child
	for _, p := range all {
		children = append(children, v.child(p, len(all)))
	}
	return children, nil
}

// common returns how many processes there are that have no group of their own.
func (v *supervision) common() int {
	if v.processes == 0 {
		return commonProcesses
	}
	return v.processes
}

// A portion is what one process does.
type portion struct {
	group string
	i, n  int
}

// portions returns those of n processes that do the same.
func portions(group string, n int) (list []portion) {
	for i := range n {
		list = append(list, portion{group, i + 1, n})
	}
	return list
}

func (v *supervision) child(p portion, siblings int) supervisor.Child {
	args := append([]string{os.Args[0]}, v.words...)
	args = append(args, "--wait", fmt.Sprintf("--part=%d/%d", p.i, p.n), fmt.Sprintf("--siblings=%d", siblings))
	if v.e.config != "" {
		args = append(args, "--config="+v.e.config)
	}
	if p.group != "" {
		args = append(args, "--group="+p.group)
	}
	args = append(args, v.passed...)
	name := strings.TrimSpace(fmt.Sprintf("%s %d/%d", p.group, p.i, p.n))
	if v.sharesMemory() {
		// With another number of processes each has another part of the memory.
		name += fmt.Sprintf(" of %d", siblings)
	}
	return supervisor.Child{
		Name: name, Beats: true,
		Command: func() *exec.Cmd {
			c := &exec.Cmd{Path: v.sameProgram(), Args: args, Stdout: os.Stdout, Stderr: os.Stderr}
			if v.e.config == "" {
				return c
			}
			if f, err := handOver(v.good.Save()); err != nil {
				v.log.Warn("a process begins without the last good farm file", "error", err)
			} else {
				c.Args, c.ExtraFiles = slices.Concat(args, []string{"--handed=3"}), []*os.File{f}
			}
			return c
		},
	}
}

// sharesMemory reports whether each process may use a part of the limit of memory, which they divide.
func (v *supervision) sharesMemory() bool {
	return slices.ContainsFunc(v.passed, func(arg string) bool { return strings.HasPrefix(arg, "--soft-memory=") && strings.HasSuffix(arg, "%") })
}

// sameProgram returns the file of this process, even if a newer one is in its place by now: that is for a restart.
func (v *supervision) sameProgram() string {
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); runtime.GOOS == "linux" && err == nil {
		return self
	}
	return v.self
}

// selfPath returns the path by which this program was called, whatever a link in it leads to now. It is asked at
// the start.
func selfPath() string {
	real, err := os.Executable()
	if err != nil {
		real = os.Args[0]
	}
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return real
	}
	if path, err = filepath.Abs(path); err != nil {
		return real
	}
	a, err := os.Stat(real)
	b, other := os.Stat(path)
	if err != nil || other != nil || !os.SameFile(a, b) {
		return real
	}
	return path
}

// checkSoftMemory finds out whether there is a limit to take a part of.
func checkSoftMemory(text string) error {
	var bytes int64
	var share float64
	if err := softMemory(&bytes, &share).Set(text); err != nil {
		return usagef("--soft-memory: %w", err)
	}
	if _, err := runner.SoftMemoryOf(bytes, share, 1); err != nil {
		return usagef("--soft-memory: %w", err)
	}
	return nil
}
