package cli_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/cli"
	"github.com/wikifarm/jobqueue/config"
)

// A shown is top without a terminal.
type shown struct {
	*testing.T
	m tea.Model
}

func showTop(t *testing.T, width, height int, stores ...config.Store) *shown {
	s := &shown{t, cli.NewTop(t.Context(), stores...)}
	s.m.Init()
	s.send(tea.WindowSizeMsg{Width: width, Height: height})
	return s.tick()
}

func (s *shown) send(msg tea.Msg) { s.m, _ = s.m.Update(msg) }

// tick lets time pass until there is something new.
func (s *shown) tick() *shown {
	for range 7 { // Queues are counted every five seconds.
		time.Sleep(time.Second)
		s.send(cli.Tick(time.Now()))
		synctest.Wait()
	}
	return s
}

func (s *shown) press(keys ...string) {
	named := map[string]tea.KeyType{"enter": tea.KeyEnter, "esc": tea.KeyEsc, "tab": tea.KeyTab, "down": tea.KeyDown, "up": tea.KeyUp,
		"pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "home": tea.KeyHome, "end": tea.KeyEnd, "backspace": tea.KeyBackspace}
	for _, k := range keys {
		if typ, ok := named[k]; ok {
			s.send(tea.KeyMsg{Type: typ})
		} else {
			s.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(k)})
		}
	}
}

// has fails the test unless the screen has these texts, in this order.
func (s *shown) has(texts ...string) {
	s.Helper()
	rest := s.m.View()
	for _, text := range texts {
		_, after, ok := strings.Cut(rest, text)
		if !ok {
			s.Fatalf("the screen has no %q after those before it in %q:\n%s", text, texts, s.m.View())
		}
		rest = after
	}
}

func (s *shown) lacks(text string) {
	s.Helper()
	if strings.Contains(s.m.View(), text) {
		s.Errorf("the screen has %q:\n%s", text, s.m.View())
	}
}

func TestTop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlow()
		put(t, b, "enwiki", "mail", 2)
		time.Sleep(time.Minute)
		put(t, b, "dewiki", "thumbs", 7)
		time.Sleep(time.Minute)
		put(t, b, "arwiki", "links", 5)
		s := showTop(t, 80, 20, config.Store{Name: "main", Backend: b})
		s.has("runners 0", "ready queues 3", "stores  main ok", "RUNNERS", "by age, 3", "2m", " 2  enwiki/mail  no runner", "1m", " 7  dewiki/thumbs", " 5  arwiki/links")
		s.press("s")
		s.has("by depth, 3", "dewiki/thumbs", "arwiki/links", "enwiki/mail")
		s.press("s")
		s.has("by name, 3", "arwiki/links", "dewiki/thumbs", "enwiki/mail")
		s.press("ss")
		s.has("by depth, 3")
		s.press("ss/q", "W", "I", "backspace", "backspace", "backspace", "T", "H")
		s.has("by age, 1 with TH", "dewiki/thumbs", "/TH_")
		s.lacks("enwiki")
		s.press("enter")
		s.has("with TH")
		s.lacks("TH_")
		s.press("esc")
		s.has("by age, 3)")
		s.press("?")
		s.has("q quit", "READY: ready jobs")
		s.lacks("enwiki/mail")
		s.press("?")
		g := jobqueue.NewGroup("enwiki", jobqueue.Routes{Default: b})
		if err := g.Pause(t.Context(), jobqueue.Pause{Type: "mail", Reason: "re\x1bason", By: "me"}); err != nil {
			t.Fatal(err)
		}
		s.tick().has("pauses 1", "enwiki/mail  paused")
		s.press("p")
		s.has("PAUSES", `type mail by me since `, `re\x1bason`)
		s.press("p")
		s.lacks("PAUSES")
		if _, cmd := s.m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q")}); cmd == nil || cmd() != tea.Quit() {
			t.Error("q does not quit")
		}
	})
}

// The screen is never larger than the terminal, whatever its size and whatever there is to show.
func TestTopFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlow()
		for i := range 300 {
			put(t, b, "wiki", fmt.Sprintf("名前%03d", i), 1)
			time.Sleep(time.Second)
		}
		s := showTop(t, 80, 24, config.Store{Name: "main", Backend: b})
		s.has("by age, 300", "名前000", "名前016")
		s.press("down")
		s.has("名前001", "名前017")
		s.lacks("名前000")
		s.press("up", "up", "up")
		s.has("名前000")
		s.press("pgdown")
		s.has("名前019")
		s.press("end", "down", "down")
		s.has("名前299", "q quit")
		s.press("pgup", "home")
		s.has("名前000")
		s.press("end", "/", "2", "9", "9", "enter")
		s.has("by age, 1 with 299", "名前299")
		s.press("esc")
		for _, size := range [][2]int{{1, 1}, {3, 2}, {10, 4}, {17, 5}, {20, 6}, {40, 7}, {200, 100}, {80, 500}} {
			s.send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
			for _, keys := range []string{"tab", "p", "?", "?", "end"} {
				s.press(keys)
				lines := strings.Split(s.m.View(), "\n")
				if len(lines) > size[1] {
					t.Errorf("at %v there are %d lines", size, len(lines))
				}
				for _, line := range lines {
					if w := columns(line); w > size[0] {
						t.Errorf("at %v a line is %d columns: %q", size, w, line)
					}
				}
			}
		}
	})
}

// columns counts those of 名 and 前 twice.
func columns(line string) (n int) {
	for _, r := range line {
		if n++; r == '名' || r == '前' {
			n++
		}
	}
	return n
}

// A store that hangs is shown as away, and holds up neither the other nor the screen.
func TestTopAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newSlow(), newSlow()
		put(t, one, "enwiki", "mail", 2)
		two.hangs.Store(true)
		begun := time.Now()
		s := showTop(t, 100, 20, config.Store{Name: "one", Backend: one}, config.Store{Name: "two", Backend: two})
		s.has("two no answer yet", "one ok", "2  enwiki/mail  one no runner")
		s.tick()
		s.has("two away: ", `\x1bhung`, "one ok", "2  enwiki/mail")
		if took := time.Since(begun); took != 14*time.Second {
			t.Errorf("14 looks took %v, want 14 s", took)
		}
		put(t, two, "dewiki", "thumbs", 4)
		two.hangs.Store(false)
		s.tick().tick()
		s.has("one ok;  two ok", "4  dewiki/thumbs  two")
	})
}
