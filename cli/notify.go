package cli

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/wikifarm/jobqueue/supervisor"
)

// A notifier tells systemd, if that has started this process, how the processes are.
type notifier struct {
	log    *slog.Logger
	status string
	ready  bool
	again  bool // it is ready again as soon as a reload has begun
	ending bool
	fed    time.Time
}

// tell is the Watch of a supervisor.
func (n *notifier) tell(st supervisor.State) {
	switch {
	case st.Ending && !n.ending:
		n.ending = true
		if st.Order == supervisor.Restart {
			n.reloading()
		} else {
			n.send(daemon.SdNotifyStopping)
		}
	case st.Reload && n.ready:
		n.reloading()
		n.again = true
	case st.Begun && !n.ready, n.again:
		n.ready, n.again = true, false
		n.send(daemon.SdNotifyReady)
	}
	if s := statusOf(st); s != n.status {
		n.status = s
		n.send("STATUS=" + s)
	}
	every, err := daemon.SdWatchdogEnabled(false)
	if err == nil && every > 0 && st.InOrder() && time.Since(n.fed) >= every/4 {
		n.fed = time.Now()
		n.send(daemon.SdNotifyWatchdog)
	}
}

func (n *notifier) reloading() {
	n.send(daemon.SdNotifyReloading)
}

func (n *notifier) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("the service manager is not told", "state", state, "error", err)
	}
}

// statusOf says how the processes are.
func statusOf(st supervisor.State) string {
	s := fmt.Sprintf("%d of %d processes work", st.Working, st.Children)
	if st.Looping > 0 {
		s += fmt.Sprintf(", %d in a crash loop", st.Looping)
	}
	if st.Ending {
		s += ", ending"
	}
	return s
}
