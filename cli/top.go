package cli

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue/internal/latest"
)

func (e *env) top() *cobra.Command {
	every, once := time.Second, false
	c := &cobra.Command{
		Use:   "top",
		Short: "Show what runs and what waits, live",
		Long: `Show on a terminal what every runner does now, and the queues that have ready jobs, those that wait
longest first. With --once, or if the output is no terminal, one picture is printed.

  q quit   s sort by age, depth or name   / filter   tab the other half
  up, down, page up, page down, home, end scroll   p pauses   ? help

READY is the number of ready jobs when they were last counted, every five seconds or less often; of each store the 200
queues are counted whose jobs have waited longest, - is not counted. jobctl show --group counts them all.`,
		Args: noArgs,
	}
	c.Flags().Var(seconds(&every), "interval", "how often to look, in seconds; without it every second")
	c.Flags().BoolVar(&once, "once", false, "print one picture")
	c.RunE = func(c *cobra.Command, args []string) error {
		if every < 100*time.Millisecond {
			return usagef("--interval must be at least 0.1 seconds")
		}
		return e.run(false, func(ctx context.Context, s *session) error {
			if once || !isTerminal(c.InOrStdin()) || !isTerminal(c.OutOrStdout()) {
				return printTop(ctx, c.OutOrStdout(), newFeed(s, every))
			}
			s.level.Set(slog.LevelError + 1) // The screen shows which stores are away.
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			m := &top{ctx: ctx, feed: newFeed(s, every), every: every, screen: screen{below: true, color: os.Getenv("NO_COLOR") == ""}}
			_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(c.InOrStdin()), tea.WithOutput(c.OutOrStdout()), tea.WithAltScreen()).Run()
			return err
		})(c, args)
	}
	return c
}

// printTop prints one picture, with what the stores say within some seconds.
func printTop(ctx context.Context, w io.Writer, f *feed) error {
	for range 2 { // The queues are counted when they are known.
		latest.Wait(ctx, topPatience+time.Second, f.look(ctx)...)
	}
	s := screen{pic: f.picture(), now: time.Now()}
	_, err := io.WriteString(w, s.all())
	return err
}
