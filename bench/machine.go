package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// machine describes where this runs.
func machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				model = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d CPUs for Go, %s, %s", model, runtime.GOMAXPROCS(0), runtime.GOOS, runtime.Version())
}

// versions names what is compared.
func versions() string {
	wanted := []string{
		"github.com/riverqueue/river", "github.com/hibiken/asynq", "github.com/mikestefanello/backlite", "github.com/jackc/pgx/v5",
		"github.com/redis/go-redis/v9", "modernc.org/sqlite",
	}
	line := "River on SQLite v0.31.0"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if slices.Contains(wanted, m.Path) {
				line += ", " + strings.TrimPrefix(m.Path, "github.com/") + " " + m.Version
			}
		}
	}
	return line
}
