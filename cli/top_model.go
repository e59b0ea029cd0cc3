package cli

import (
	"context"
	"time"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"
)

// A top is the program on the terminal.
type top struct {
	ctx   context.Context
	feed  *feed
	every time.Duration
	screen
}

// A tick says that it is time to look.
type tick time.Time

func (m *top) Init() tea.Cmd {
	m.look(time.Now())
	// What the stores say first is to be seen soon.
	return m.tick(m.every / 10)
}

func (m *top) tick(d time.Duration) tea.Cmd {
	return tea.Tick(d, func(t time.Time) tea.Msg { return tick(t) })
}

func (m *top) look(now time.Time) {
	m.feed.look(m.ctx)
	m.pic, m.now = m.feed.picture(), now
	m.arrange()
}

// Update does what a key or the time says.
func (m *top) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tick:
		m.look(time.Time(msg))
		return m, m.tick(m.every)
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyMsg:
		for _, k := range oneByOne(msg) {
			if m.typing && k.Type != tea.KeyCtrlC {
				m.typed(k)
			} else if m.key(k.String()) {
				return m, tea.Quit
			}
			m.arrange()
		}
	}
	m.arrange()
	return m, nil
}

// oneByOne returns keys one by one: those that are pressed fast arrive as one.
func oneByOne(k tea.KeyMsg) (all []tea.KeyMsg) {
	if k.Type != tea.KeyRunes {
		return []tea.KeyMsg{k}
	}
	for _, r := range k.Runes {
		all = append(all, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}})
	}
	return all
}

// mostFilter is how long a filter may be.
const mostFilter = 200

// typed changes the filter.
func (m *top) typed(k tea.KeyMsg) {
	switch k.Type {
	case tea.KeyEnter:
		m.typing = false
	case tea.KeyEsc:
		m.typing, m.filter = false, ""
	case tea.KeyBackspace:
		_, size := utf8.DecodeLastRuneInString(m.filter)
		m.filter = m.filter[:len(m.filter)-size]
	case tea.KeyRunes, tea.KeySpace:
		if text := m.filter + string(k.Runes); len(text) <= mostFilter {
			m.filter = text
		}
	}
}

// key does what a key says, and reports whether that is to quit.
func (m *top) key(name string) (quit bool) {
	above, below := m.halves()
	half, page, lines := 0, above, len(m.upper)
	if m.below {
		half, page, lines = 1, below, len(m.queues)
	}
	switch name {
	case "q", "ctrl+c":
		return true
	case "s":
		m.order = (m.order + 1) % len(orders)
	case "/":
		m.typing = true
	case "esc":
		m.filter, m.help = "", false
	case "p":
		m.pauses = !m.pauses
	case "?":
		m.help = !m.help
	case "tab":
		m.below = !m.below
	case "up", "k":
		m.offset[half]--
	case "down", "j":
		m.offset[half]++
	case "pgup":
		m.offset[half] -= page
	case "pgdown":
		m.offset[half] += page
	case "home":
		m.offset[half] = 0
	case "end":
		m.offset[half] = lines
	}
	return false
}

// View is the screen as it is now.
func (m *top) View() string {
	if m.height == 0 || m.pic == nil {
		return ""
	}
	return m.view()
}
