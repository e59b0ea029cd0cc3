package control

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	listenTime = time.Second     // between two looks, at most
	callTime   = 5 * time.Second // for a call of the store
)

// A Listener obeys the commands that are given to a process.
type Listener struct {
	Control jobqueue.Control
	Process string // its id, as its [github.com/wikifarm/jobqueue/runner.Presence] has it
	Owner   string // its label, for people

	// Obey does what a command says and returns what to answer. It is called once for each
	// command, in the order in which they were given.
	Obey func(ctx context.Context, cmd Command) (text string, err error)

	// Logger is told when commands cannot be read. Default [slog.Default].
	Logger *slog.Logger

	heard   map[string]bool // commands that are kept still; nil: none were read yet
	answers []jobqueue.Value
	failing bool
}

// Run looks for commands about once a second until ctx ends; then it obeys
// what was given until then, and gives the answers that it still has. It calls listening, if that is not nil, when it has reached the store for the first time: commands
// that were given before are not obeyed. While the store is away nothing is heard; what was
// given meanwhile is obeyed after, within [Lifetime].
func (l *Listener) Run(ctx context.Context, listening func()) {
	if l.Logger == nil {
		l.Logger = slog.Default()
	}
	for ctx.Err() == nil {
		first := l.heard == nil
		l.look(ctx)
		if first && l.heard != nil && listening != nil {
			listening()
		}
		l.answer(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(listenTime - rand.N(listenTime/5)):
		}
	}
	last := context.WithoutCancel(ctx)
	if l.heard != nil && !l.failing {
		// Who gave a command just before the end waits for an answer, too.
		l.look(last)
	}
	l.answer(last)
}

// look obeys what is new.
func (l *Listener) look(ctx context.Context) {
	call, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	list, err := commands(call, l.Control)
	if ctx.Err() != nil {
		return // Run looks once more.
	}
	if err != nil {
		if !l.failing {
			l.Logger.Warn("commands cannot be read", "error", err)
		}
		l.failing = true
		return
	}
	l.failing = false
	heard := make(map[string]bool, len(list))
	for _, cmd := range list {
		heard[cmd.ID] = true
		if l.heard == nil || l.heard[cmd.ID] || !cmd.For(l.Process) {
			continue
		}
		text, err := l.Obey(ctx, cmd)
		a := Answer{Process: l.Process, Owner: l.Owner, Text: cut(text)}
		if err != nil {
			a.Err, a.NotMine = cut(err.Error()), errors.Is(err, ErrNotMine)
		}
		// It has nothing that cannot be encoded.
		data, _ := json.Marshal(a)
		l.answers = append(l.answers, jobqueue.Value{
			Key: answerPrefix + cmd.ID + "/" + l.Process, Data: data, TTL: Lifetime, Version: jobqueue.AnyVersion,
		})
	}
	l.heard = heard
}

// answer gives the answers that the store has not taken yet.
func (l *Listener) answer(ctx context.Context) {
	for len(l.answers) > 0 {
		call, cancel := context.WithTimeout(ctx, callTime)
		_, _, err := l.Control.SetValue(call, l.answers[0])
		cancel()
		if err != nil {
			return
		}
		l.answers = l.answers[1:]
	}
}

func cut(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxText)], "") }
