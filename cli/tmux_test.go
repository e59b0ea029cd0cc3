//go:build unix

package cli_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// top on a real terminal shows what goes on, heeds keys, survives other sizes, and leaves the terminal as it was.
func TestTopTerminal(t *testing.T) {
	tmux := program(t, "tmux", "tmux")
	t.Chdir(t.TempDir())
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	socket := filepath.Join(t.TempDir(), "s")
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(tmux, append([]string{"-S", socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %s: %v\n%s", args, err, out)
		}
		return string(out)
	}
	sh := func(script string) string {
		t.Helper()
		out, err := exec.Command("sh", "-c", script).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		return string(out)
	}
	sees := func(texts ...string) {
		t.Helper()
		eventually(t, fmt.Sprintf("the screen has %q", texts), func() (string, bool) {
			screen := run("capture-pane", "-p")
			rest, ok := screen, true
			for _, text := range texts {
				var has bool
				_, rest, has = strings.Cut(rest, text)
				ok = ok && has
			}
			return screen, ok
		})
	}
	sh(`jobctl push --type mail --domain enwiki; jobctl push --type mail --domain enwiki; jobctl push --type thumbs --domain dewiki; jobctl push --type thumbs --domain arwiki`)
	sh(`jobctl pause --type thumbs --reason moving`)
	sh(`mkfifo started end && wiki push --type holds --domain enwiki --params '{"Started":"started","End":"end"}'`)
	runner := exec.Command("wiki", "runjobs", "--wait", "--type", "holds")
	if err := runner.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		runner.Process.Kill()
		runner.Wait()
	})
	sh(`cat started`)

	if once := sh(`jobctl top --once`); !strings.Contains(once, "  2  enwiki/mail  no runner\n") || strings.ContainsRune(once, '\x1b') {
		t.Errorf("--once prints %s", once)
	}
	if piped := sh(`jobctl top | cat`); !strings.Contains(piped, "PAUSES\ntype thumbs by ") {
		t.Errorf("to a pipe it prints %s", piped)
	}

	run("new-session", "-d", "-x", "100", "-y", "24", "env PS1=ready: sh")
	t.Cleanup(func() { exec.Command(tmux, "-S", socket, "kill-server").Run() })
	run("send-keys", "echo before; jobctl top --interval 0.2", "Enter")
	sees("runners 1", "stores  jobs.db ok", "busy 1 of ", "enwiki/holds", "attempt 1", "by age, 3", "2  enwiki/mail  no runner", "q quit")
	run("send-keys", "s", "s")
	sees("by name, 3", "arwiki/thumbs  paused", "dewiki/thumbs", "enwiki/mail")
	run("send-keys", "/", "mail", "Enter")
	sees("by name, 1 with mail", "enwiki/mail")
	run("send-keys", "Escape")
	sees("by name, 3)")
	run("send-keys", "p")
	sees("PAUSES", "type thumbs by ", "moving")
	run("resize-window", "-x", "40", "-y", "10")
	sees("PAUSES", "by name, 3)")
	run("resize-window", "-x", "120", "-y", "30")
	run("send-keys", "p", "?")
	sees("q quit", "s sort by age, depth or name")
	run("send-keys", "?")

	// What is done elsewhere is seen.
	sh(`jobctl push --type links --domain frwiki`)
	sees("by name, 4", "frwiki/links  no runner")
	sh(`jobctl resume --type thumbs`)
	sees("pauses 0")

	run("send-keys", "q")
	sees("before\nready:") // The screen that was there is back, and the shell.
	run("send-keys", "echo status=$?", "Enter")
	sees("before", "status=0")
}
