package supervisor

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// reapOrphans reaps processes that have ended and whose parents have, too. Those of children are left to who waits for them.
func (s *supervisor) reapOrphans() {
	mine := map[int]bool{}
	s.each(func(p *process) { mine[p.cmd.Process.Pid] = true })
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && !mine[pid] && isZombieOf(pid, s.pid) {
			var ws syscall.WaitStatus
			_, _ = syscall.Wait4(pid, &ws, syscall.WNOHANG, nil)
		}
	}
}

func isZombieOf(pid, parent int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	// The name of the program stands in parentheses and may hold any.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	return len(fields) > 1 && fields[0] == "Z" && fields[1] == strconv.Itoa(parent)
}
