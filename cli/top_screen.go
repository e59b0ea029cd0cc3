package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// orders are by what queues can be sorted.
var orders = []string{"age", "depth", "name"}

// A screen is a picture and how it is to be shown.
type screen struct {
	pic    *picture
	now    time.Time
	width  int // 0: any
	height int

	order  int // of orders
	filter string
	typing bool // the filter is being typed
	pauses bool // instead of the runners
	help   bool
	below  bool   // the lower half is the one that scrolls
	offset [2]int // of the first line shown, above and below
	color  bool

	queues []picturedQueue // of the picture, filtered and sorted
	upper  []string
}

const (
	frameLines = 5 // two at the top, a title over each half, and one at the bottom
	mostOnce   = 100
	keys       = "q quit  s sort  / filter  tab half  p pauses  ? help"
)

var helpLines = []string{
	"q quit", "s sort by age, depth or name", "/ show only queues and jobs with this text; enter keeps it, esc ends it", "tab scroll the other half",
	"up down pgup pgdown home end scroll", "p pauses instead of runners", "? this, again to go back", "",
	"READY: ready jobs, counted every 5 s or less often, of the 200 queues of each", "store that wait longest; - is not counted. jobctl show --group counts all.",
	"Jobs run since the time of the runner's clock; runners say every 5 s what runs.",
}

// arrange sorts and filters what is to be shown, and keeps what scrolls within it.
func (s *screen) arrange() {
	s.queues = s.queues[:0]
	for _, q := range s.pic.queues {
		if s.matches(q.Name.String()) {
			s.queues = append(s.queues, q)
		}
	}
	slices.SortFunc(s.queues, func(a, b picturedQueue) int {
		byName := cmp.Or(strings.Compare(a.Domain, b.Domain), strings.Compare(a.Type, b.Type), strings.Compare(a.store, b.store))
		switch orders[s.order] {
		case "age":
			return cmp.Or(cmp.Compare(b.age, a.age), byName)
		case "depth":
			return cmp.Or(cmp.Compare(b.depth, a.depth), byName)
		}
		return byName
	})
	s.upper = s.upperLines()
	above, below := s.halves()
	s.offset[0] = max(0, min(s.offset[0], len(s.upper)-above))
	s.offset[1] = max(0, min(s.offset[1], len(s.queues)-below))
}

func (s *screen) matches(name string) bool {
	return s.filter == "" || strings.Contains(strings.ToLower(name), strings.ToLower(s.filter))
}

// halves returns how many lines there are for each half.
func (s *screen) halves() (above, below int) {
	rest := max(0, s.height-frameLines)
	above = min(len(s.upper), max(rest/2, rest-len(s.queues)))
	return above, rest - above
}

// upperLines are the runners with the jobs that run there, those first that have for longest, or the pauses.
func (s *screen) upperLines() (all []string) {
	c := s.pic.crew
	switch {
	case c.Value.none:
		return []string{"the default backend does not keep who is alive"}
	case !c.OK():
		return []string{"not known: " + s.crewText()}
	case s.pauses:
		for _, p := range c.Value.pauses {
			all = append(all, pauseLine(p))
		}
		return all
	}
	for _, p := range c.Value.runners {
		all = append(all, fmt.Sprintf("%s %s pid %d  busy %d of %d  ended %d  seen %v ago",
			jobqueue.EscapeName(p.Owner), jobqueue.EscapeName(p.Host), p.PID, p.Busy, p.Workers, p.Ended, p.Beat.Round(time.Second)))
		jobs := slices.Clone(p.Running)
		slices.SortFunc(jobs, func(a, b runner.RunningJob) int { return a.Since.Compare(b.Since) })
		for _, j := range jobs {
			if name := (jobqueue.Name{Domain: j.Domain, Type: j.Type}).String(); s.matches(name) {
				all = append(all, fmt.Sprintf("%9s  %s  %s  attempt %d", age(s.now.Sub(j.Since)), name, jobqueue.EscapeName(j.ID), j.Attempt))
			}
		}
		if more := p.Busy - len(p.Running); more > 0 {
			all = append(all, fmt.Sprintf("%9s  and %d more", "", more))
		}
	}
	return all
}

func (s *screen) crewText() string {
	if err := s.pic.crew.Err; err != nil {
		return escape(inline(err))
	}
	return "no answer yet"
}

// age is a length of time that is read at a glance.
func age(d time.Duration) string {
	d = max(0, d)
	switch {
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// summary is the first line, stores the second.
func (s *screen) summary() string {
	text := "jobctl top  " + s.now.Format(time.TimeOnly)
	if c := s.pic.crew; c.OK() && !c.Value.none {
		all, busy := c.Value.workers()
		text += fmt.Sprintf("  runners %d  busy %d of %d  pauses %d", len(c.Value.runners), busy, all, len(c.Value.pauses))
	}
	var oldest time.Duration
	for _, q := range s.pic.queues {
		oldest = max(oldest, q.age)
	}
	return text + fmt.Sprintf("  ready queues %d  oldest %s", len(s.pic.queues), age(oldest))
}

func (s *screen) stores() (line string, bad bool) {
	var wrong, well []string
	for _, st := range s.pic.stores {
		if st.text != "" {
			wrong = append(wrong, st.name+" "+st.text)
		} else {
			well = append(well, st.name+" ok")
		}
	}
	return "stores  " + strings.Join(append(wrong, well...), ";  "), len(wrong) > 0
}

func (s *screen) titles() (above, below string) {
	above, below = "RUNNERS", fmt.Sprintf("      AGE     READY  QUEUE (by %s, %d", orders[s.order], len(s.queues))
	if s.pauses {
		above = "PAUSES"
	}
	if s.filter != "" {
		below += " with " + escape(s.filter)
	}
	return above, below + ")"
}

func (s *screen) queueLine(q picturedQueue) string {
	depth := "-"
	if q.depth >= 0 {
		depth = fmt.Sprint(q.depth)
	}
	return strings.TrimRight(fmt.Sprintf("%9s %9s  %s  %s", age(q.age), depth, q.Name, s.pic.note(q)), " ")
}

// all is the picture as plain text, with the first hundred queues.
func (s *screen) all() string {
	s.arrange()
	stores, _ := s.stores()
	above, below := s.titles()
	lines := append([]string{s.summary(), stores, "", above}, s.upper...)
	if c := s.pic.crew; c.OK() && len(c.Value.pauses) > 0 {
		lines = append(lines, "", "PAUSES")
		for _, p := range c.Value.pauses {
			lines = append(lines, pauseLine(p))
		}
	}
	lines = append(lines, "", below)
	for i, q := range s.queues {
		if i == mostOnce {
			lines = append(lines, fmt.Sprintf("and %d more", len(s.queues)-i))
			break
		}
		lines = append(lines, s.queueLine(q))
	}
	return strings.Join(lines, "\n") + "\n"
}

var (
	bold = lipgloss.NewStyle().Bold(true)
	here = lipgloss.NewStyle().Reverse(true)
	red  = lipgloss.NewStyle().Foreground(lipgloss.Color("1"))
)

// view is the picture as it fits the terminal.
func (s *screen) view() string {
	var lines []string
	add := func(style lipgloss.Style, line string) {
		if len(lines) < s.height {
			line = fit(line, s.width)
			if s.color {
				line = style.Render(line)
			}
			lines = append(lines, line)
		}
	}
	title := func(line string, chosen bool) {
		if chosen {
			line += strings.Repeat(" ", max(0, s.width-lipgloss.Width(line)))
			add(here, line)
		} else {
			add(bold, line)
		}
	}
	none := lipgloss.NewStyle()
	add(bold, s.summary())
	if stores, bad := s.stores(); bad {
		add(red, stores)
	} else {
		add(none, stores)
	}
	if s.help {
		for _, line := range helpLines {
			add(none, line)
		}
		return strings.Join(lines, "\n")
	}
	above, below := s.titles()
	title(above, !s.below)
	m, n := s.halves()
	for _, line := range s.upper[s.offset[0]:min(s.offset[0]+m, len(s.upper))] {
		add(none, line)
	}
	title(below, s.below)
	for _, q := range s.queues[s.offset[1]:min(s.offset[1]+n, len(s.queues))] {
		add(none, s.queueLine(q))
	}
	for len(lines) < s.height-1 {
		lines = append(lines, "")
	}
	if s.typing {
		add(none, "/"+escape(s.filter)+"_")
	} else {
		add(none, keys)
	}
	return strings.Join(lines, "\n")
}

// fit cuts a line to a width.
func fit(line string, width int) string {
	if len(line) <= width {
		return line
	}
	room := width
	for i, r := range line {
		if room -= lipgloss.Width(string(r)); room < 0 {
			return line[:i]
		}
	}
	return line
}
