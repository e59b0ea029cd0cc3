package cli

import (
	"log/slog"

	"github.com/wikifarm/jobqueue/runner"
)

// inline returns how jobs run that are not stored: with what the program changes of its runs. What failed
// them is told by whatever pushed them.
func (e *env) inline(log *slog.Logger) *runner.Options {
	o := &runner.Options{OnEnd: func(runner.Ended) {}}
	if e.app.Options != nil {
		e.app.Options(o)
	}
	o.Logger, o.Unlogged = log, true
	return o
}
