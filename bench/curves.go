package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"github.com/wikifarm/jobqueue/bench/sample"
)

// A curve is how the cost of a job, from its claim to its end, depends on one thing.
type curve struct {
	file, title, axis string
	at                []int
	set               func(t *sample.Task, x int)
}

// draw measures how cost grows, and draws it.
func (b *bench) draw(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	jobs := b.sizeOf(100_000, 10_000)
	backlogs := []int{10_000, 30_000, 100_000, 300_000, 1_000_000}
	if b.quick {
		backlogs = []int{3000, 10_000, 30_000}
	}
	for _, c := range []curve{
		{"queues.svg", "Jobs spread over many queues", "queues", []int{1, 10, 100, 1000, 5000}, func(t *sample.Task, x int) { t.Jobs, t.Queues = jobs, x }},
		{"backlog.svg", "A backlog", "jobs that wait", backlogs, func(t *sample.Task, x int) { t.Jobs = x }},
		{"parameters.svg", "Large parameters", "bytes of parameters", []int{100, 300, 1000, 3000, 10_000, 30_000}, func(t *sample.Task, x int) {
			t.Jobs, t.Size = max(1000, min(jobs, 200_000_000/x/10)), x
		}},
		{"workers.svg", "Workers", "workers", []int{1, 4, 16, 64, 256}, func(t *sample.Task, x int) { t.Jobs, t.Workers = jobs, x }},
	} {
		fmt.Fprintln(os.Stderr, "drawing", c.file)
		if err := b.drawOne(ctx, filepath.Join(dir, c.file), c); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) drawOne(ctx context.Context, path string, c curve) error {
	plot.DefaultFont.Variant = "Sans"
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.axis, "µs a job"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	var lines []any
	names := map[string]string{"postgres": "PostgreSQL", "redis": "Redis", "sqlite": "SQLite", "memory": "memory"}
	for _, store := range []string{"postgres", "redis", "sqlite", "memory"} {
		var points plotter.XYs
		for _, x := range c.at {
			t := sample.Task{System: own, Size: 100}
			c.set(&t, x)
			m := newCycle()
			if err := b.cycle(ctx, m, store, t.Jobs, t.Size, nil, entrant{label: own, task: t}); err != nil {
				return err
			}
			points = append(points, plotter.XY{X: float64(x), Y: 1e6 / m.drain[own][0]})
		}
		lines = append(lines, names[store], points)
	}
	if err := plotutil.AddLinePoints(p, lines...); err != nil {
		return err
	}
	// All have one scale, and the legend has room at its top.
	p.Y.Min, p.Y.Max = 0.1, max(p.Y.Max, 1000)
	return p.Save(16*vg.Centimeter, 10*vg.Centimeter, path)
}
