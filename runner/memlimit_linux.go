package runner

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	rlimitData = 2
	rlimitAS   = 9

	// threads is what some threads of C take for their stacks: a program that cannot start one ends.
	threads = 32 << 20

	// goArena is about what Go takes of the address space at once, twice: the last such step needs all of it.
	goArena = 96 << 20
)

// memoryLimits returns the limits that the system has set.
func memoryLimits() (limits []limit) {
	for _, l := range cgroupLimits("/proc/self", "/") {
		l.used = sizes.inMemory
		limits = append(limits, l)
	}
	for _, r := range []struct {
		name     string
		resource int
		spare    uint64
		used     func(sizes) uint64
	}{
		{"RLIMIT_DATA", rlimitData, threads, sizes.mappedData},
		{"RLIMIT_AS", rlimitAS, goArena + threads, sizes.mappedSpace},
	} {
		var rl syscall.Rlimit
		if err := syscall.Getrlimit(r.resource, &rl); err == nil && rl.Cur < math.MaxInt64 {
			limits = append(limits, limit{name: r.name, bytes: rl.Cur, spare: r.spare, used: r.used})
		}
	}
	return limits
}

// cgroupLimits returns the least limit of each hierarchy of cgroups, from that of the process upwards; proc is its
// directory in /proc, and root goes before the paths of mounts.
func cgroupLimits(proc, root string) (limits []limit) {
	groups, err := os.ReadFile(filepath.Join(proc, "cgroup"))
	if err != nil {
		return nil
	}
	mounts, err := os.ReadFile(filepath.Join(proc, "mountinfo"))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(groups)) {
		// hierarchy:controllers:path
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		files := []string{"memory.limit_in_bytes"}
		kind := "cgroup"
		switch {
		case parts[0] == "0" && parts[1] == "":
			files, kind = []string{"memory.max", "memory.high"}, "cgroup2"
		case !slices.Contains(strings.Split(parts[1], ","), "memory"):
			continue
		}
		at, within := mountOf(string(mounts), kind, parts[2])
		if at == "" {
			continue
		}
		least, where := uint64(math.MaxUint64), ""
		for dir := within; ; dir = filepath.Dir(dir) {
			for _, file := range files {
				path := filepath.Join(root, at, dir, file)
				if n, ok := readLimit(path); ok && n < least {
					least, where = n, filepath.Join(at, dir, file)
				}
			}
			if dir == "/" || dir == "." {
				break
			}
		}
		if where != "" {
			limits = append(limits, limit{name: where, bytes: least, shared: true})
		}
	}
	return limits
}

// mountOf returns where the hierarchy is mounted that has the memory of a cgroup, and the cgroup's path there.
func mountOf(mounts, kind, path string) (at, within string) {
	for line := range strings.Lines(mounts) {
		// id parent device root mountpoint options … - type source superoptions
		before, after, ok := strings.Cut(line, " - ")
		fields, super := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(super) < 3 || super[0] != kind {
			continue
		}
		if kind == "cgroup" && !slices.Contains(strings.Split(super[2], ","), "memory") {
			continue
		}
		base, point := unescape(fields[3]), unescape(fields[4])
		rel, ok := strings.CutPrefix(path, strings.TrimSuffix(base, "/"))
		if !ok || rel != "" && rel[0] != '/' {
			rel = "/" // the mount is that of a container, and the path one outside of it
		}
		return point, filepath.Join("/", rel)
	}
	return "", ""
}

// unescape undoes how mountinfo writes blanks.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// readLimit reads a limit; ok is false if there is none.
func readLimit(path string) (n uint64, ok bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err = strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	// Without a limit it is "max" or, in the first version, about as much as there can be.
	return n, err == nil && n < 1<<62
}

var pageSize = uint64(os.Getpagesize())

// ownMemory returns how many bytes of the process are in memory, are writable and its own, and its address space.
func ownMemory() (resident, data, space uint64) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0, 0
	}
	var text, lib uint64
	var shared uint64
	if _, err := fmt.Sscan(string(statm), &space, &resident, &shared, &text, &lib, &data); err != nil {
		return 0, 0, 0
	}
	return resident * pageSize, data * pageSize, space * pageSize
}
