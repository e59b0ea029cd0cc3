package simulate

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// The sizes of a plot, in pixels.
const (
	plotWidth  = 720.0
	plotHeight = 400.0
	plotLeft   = 80.0
	plotTop    = 50.0
	plotBars   = 320.0 // of the Jain index
	plotPoints = 300   // of a line, at most
)

var colours = []string{"#888888", "#d08020", "#3070c0", "#20903c"}

// Plot writes reports on one load as an SVG image: how long the jobs of each domain waited, the
// domains with the most jobs first, and Jain's index.
func Plot(w io.Writer, title string, reports []*Report) error {
	p := &plot{least: time.Millisecond, most: 10 * time.Millisecond, domains: 2}
	for _, r := range reports {
		p.domains = max(p.domains, len(r.Domains))
		for _, d := range r.Domains {
			p.most = max(p.most, d.Wait)
		}
	}
	const width, height = plotLeft + plotWidth + plotBars, plotTop + plotHeight + 60
	p.out(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="13">`+"\n", width, height)
	p.out(`<rect width="%.0f" height="%.0f" fill="#ffffff"/>`+"\n", width, height)
	p.text(plotLeft, 24, "start", 16, title)
	p.axes()
	for i, r := range reports {
		p.line(r, colours[i%len(colours)])
		p.bar(r, i, colours[i%len(colours)])
	}
	p.out("</svg>\n")
	_, err := w.Write(p.b.Bytes())
	return err
}

type plot struct {
	b           bytes.Buffer
	least, most time.Duration
	domains     int
}

func (p *plot) out(format string, args ...any) { fmt.Fprintf(&p.b, format, args...) }

func (p *plot) text(x, y float64, anchor string, size int, s string) {
	p.out(`<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d">`, x, y, anchor, size)
	// It cannot fail, as the buffer takes whatever comes.
	_ = xml.EscapeText(&p.b, []byte(s))
	p.out("</text>\n")
}

// x and y place a domain, the first being 1, and a waiting time, both by their logarithms.
func (p *plot) x(domain float64) float64 {
	return plotLeft + plotWidth*math.Log(domain)/math.Log(float64(p.domains))
}

func (p *plot) y(wait time.Duration) float64 {
	part := math.Log(float64(max(wait, p.least))/float64(p.least)) / math.Log(float64(p.most)/float64(p.least))
	return plotTop + plotHeight*(1-part)
}

func (p *plot) axes() {
	const bottom = plotTop + plotHeight
	for wait := p.least; wait <= p.most; wait *= 10 {
		y := p.y(wait)
		p.out(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#dddddd"/>`+"\n", plotLeft, y, plotLeft+plotWidth, y)
		p.text(plotLeft-6, y+4, "end", 12, wait.String())
	}
	for n := 1; n <= p.domains; n *= 10 {
		p.text(p.x(float64(n)), bottom+18, "middle", 12, fmt.Sprint(n))
	}
	p.out(`<path d="M%.1f,%.1f V%.1f H%.1f" fill="none" stroke="#000000"/>`+"\n", plotLeft, plotTop, bottom, plotLeft+plotWidth)
	p.text(plotLeft+plotWidth/2, bottom+40, "middle", 13, "domains, those with the most jobs first")
	p.text(plotLeft, plotTop-8, "start", 13, "mean wait of a domain's jobs")
	p.text(plotLeft+plotWidth+20, plotTop-8, "start", 13, "Jain's index, mean of minutes")
}

// line draws the waiting times of a policy. Where there are many domains a point is the mean of several.
func (p *plot) line(r *Report, colour string) {
	order := slices.Clone(r.Domains)
	slices.SortStableFunc(order, func(a, b Domain) int { return cmp.Compare(b.Jobs, a.Jobs) })
	var points []string
	for from := 0; from < len(order); {
		// On a logarithmic axis the points are ever further apart.
		to := max(from+1, int(math.Ceil(float64(from)*math.Pow(float64(p.domains), 1.0/plotPoints))))
		to = min(to, len(order))
		sum := 0.0
		for _, d := range order[from:to] {
			sum += float64(d.Wait)
		}
		wait := time.Duration(sum / float64(to-from))
		points = append(points, fmt.Sprintf("%.1f,%.1f", p.x((float64(from+1)+float64(to))/2), p.y(wait)))
		from = to
	}
	p.out(`<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>`+"\n", colour, strings.Join(points, " "))
}

func (p *plot) bar(r *Report, i int, colour string) {
	const left, width = plotLeft + plotWidth + 20, plotBars - 120
	y := plotTop + 10 + 50*float64(i)
	p.out(`<rect x="%.1f" y="%.1f" width="%.1f" height="18" fill="%s"/>`+"\n", left, y+18, max(width*r.Jain, 1), colour)
	label := "no domain waited for a minute"
	if r.Windows > 0 {
		label = fmt.Sprintf("%.3f", r.Jain)
	}
	p.text(left, y+13, "start", 13, fmt.Sprintf("%s: %s", r.Policy, label))
}
