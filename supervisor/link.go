//go:build unix

package supervisor

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// linkVar tells a child the numbers of two pipes: the lifeline, which ends with the supervisor, and
// the one on which it tells how it is.
const linkVar = "JOBQUEUE_SUPERVISOR"

// The words of a child.
const (
	wordAlive   = "alive"
	wordRecycle = "recycle"
	wordRefuse  = "refuse"
)

// beatTime is between two times that a child says that it is alive.
const beatTime = 5 * time.Second

// listen hears what the process says.
func (p *process) listen() {
	defer close(p.silent)
	defer p.link.Close()
	for lines := bufio.NewScanner(p.link); lines.Scan(); {
		switch word, rest, _ := strings.Cut(lines.Text(), " "); word {
		case wordAlive:
			p.heard.Store(time.Now().UnixNano())
		case wordRecycle:
			p.recycled.Store(&rest)
		case wordRefuse:
			if text, err := strconv.Unquote(rest); err == nil {
				p.refused.Store(&text)
			}
		}
	}
}

// A Link connects a child with its supervisor. That of a process which has none is nil; its methods
// may be called all the same.
type Link struct {
	gone chan struct{}
	mu   sync.Mutex
	w    *os.File
	beat sync.Once
}

// Parent returns the link of this process with the supervisor that has started it; nil if none has.
// A program calls it early: what it starts before inherits the link, and nothing after.
func Parent() *Link { return parent() }

var parent = sync.OnceValue(func() *Link {
	var life, words int
	if _, err := fmt.Sscanf(os.Getenv(linkVar), "%d,%d", &life, &words); err != nil || !isPipe(life) || !isPipe(words) {
		return nil
	}
	os.Unsetenv(linkVar)
	syscall.CloseOnExec(life)
	syscall.CloseOnExec(words)
	l := &Link{gone: make(chan struct{}), w: os.NewFile(uintptr(words), "supervisor")}
	lifeline := os.NewFile(uintptr(life), "lifeline")
	go func() {
		defer close(l.gone)
		// Nobody ever writes to it.
		lifeline.Read(make([]byte, 1))
	}()
	return l
})

func isPipe(fd int) bool {
	var st syscall.Stat_t
	return fd > 2 && syscall.Fstat(fd, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFIFO
}

// Gone returns a channel that is closed when the supervisor has ended, in whatever way.
func (l *Link) Gone() <-chan struct{} {
	if l == nil {
		return nil
	}
	return l.gone
}

// Alive says from now on every few seconds that the process is alive, and that it has begun its work.
func (l *Link) Alive() {
	if l == nil {
		return
	}
	l.beat.Do(func() {
		l.say(wordAlive)
		go func() {
			for range time.Tick(beatTime) {
				l.say(wordAlive)
			}
		}()
	})
}

// Recycle says that the process is about to end because it has reached a limit, and did some
// work before: it is started again at once.
func (l *Link) Recycle(reason string) {
	if l != nil {
		l.say(wordRecycle + " " + strings.ReplaceAll(reason, "\n", " "))
	}
}

// maxRefusal is how many bytes of a refusal are told.
const maxRefusal = 8 << 10

// Refuse says that the process is about to end because what it was given to do is a mistake, which text tells, with a
// line for each: starting it again would not help.
func (l *Link) Refuse(text string) {
	if l != nil {
		l.say(wordRefuse + " " + strconv.Quote(text[:min(len(text), maxRefusal)]))
	}
}

func (l *Link) say(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A supervisor that is gone needs no answer.
	_, _ = fmt.Fprintln(l.w, line)
}
