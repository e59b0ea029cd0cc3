package cli

import (
	"runtime"
	"runtime/debug"
)

// version says how the program was built: the version of its module, which is made of the
// commit where it has none of its own, that of Go, and the platform.
func version() string {
	module := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		module = info.Main.Version
	}
	return module + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}
