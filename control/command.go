// Package control gives commands to the processes of a farm, and hears what they answer. Commands
// are values in the farm's [jobqueue.Control], where its pauses and runners are, so they need no
// connection from who gives them to who obeys.
package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

const (
	commandPrefix = "command/" // of the keys in a Control
	answerPrefix  = "answer/"

	// Lifetime is how long a command and its answers are kept: a process that cannot reach
	// the store for longer never learns of it.
	Lifetime = 10 * time.Minute
)

// A Command tells processes to do something. What verbs there are is up to them.
type Command struct {
	ID   string   `json:"id"` // made by Send
	Verb string   `json:"verb"`
	Args []string `json:"args,omitempty"`
	To   []string `json:"to,omitempty"` // ids of processes; none means all
	By   string   `json:"by,omitempty"` // who gives it, for people to read

	Age time.Duration `json:"-"` // since it was given, by the store's clock
}

// An Answer is what a process says of a command that it has obeyed, or not.
type Answer struct {
	Process string `json:"process"` // its id
	Owner   string `json:"owner"`   // a label of it
	Text    string `json:"text,omitempty"`
	Err     string `json:"error,omitempty"`   // why it did not obey
	NotMine bool   `json:"notMine,omitempty"` // it did not as the command was for others: [ErrNotMine]
}

// ErrNotMine is what Obey returns of a command that is right, and of which this process has nothing to do.
var ErrNotMine = errors.New("not for this process")

// maxText is the most bytes of a text in an answer, and of the words of a command.
const maxText = 4 << 10

// Send gives a command to processes that there are now; those that start later
// do not get it. It returns the command's id, under which they answer.
func Send(ctx context.Context, c jobqueue.Control, cmd Command) (id string, err error) {
	v7, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("give a command: %w", err)
	}
	cmd.ID = v7.String()
	data, err := json.Marshal(cmd)
	if err != nil {
		return "", fmt.Errorf("give a command: %w", err)
	}
	v := jobqueue.Value{Key: commandPrefix + cmd.ID, Data: data, TTL: Lifetime, Version: jobqueue.AnyVersion}
	if _, _, err := c.SetValue(ctx, v); err != nil {
		return "", fmt.Errorf("give a command: %w", err)
	}
	return cmd.ID, nil
}

// Answers returns the answers to a command so far, sorted by process.
func Answers(ctx context.Context, c jobqueue.Control, id string) ([]Answer, error) {
	values, err := c.Values(ctx, answerPrefix+id+"/")
	if err != nil {
		return nil, fmt.Errorf("read the answers to a command: %w", err)
	}
	answers := make([]Answer, len(values))
	for i, v := range values {
		if err := json.Unmarshal(v.Data, &answers[i]); err != nil {
			return nil, fmt.Errorf("%w: the answer %q to a command: %w", jobqueue.ErrInvalid, v.Key, err)
		}
	}
	return answers, nil
}

// commands returns the commands that are kept, the oldest first. What cannot be read is none.
func commands(ctx context.Context, c jobqueue.Control) ([]Command, error) {
	values, err := c.Values(ctx, commandPrefix)
	if err != nil {
		return nil, err
	}
	var list []Command
	for _, v := range values {
		cmd := Command{Age: v.Age}
		if json.Unmarshal(v.Data, &cmd) == nil && commandPrefix+cmd.ID == v.Key {
			list = append(list, cmd)
		}
	}
	slices.SortFunc(list, func(a, b Command) int {
		return cmp.Or(cmp.Compare(b.Age, a.Age), strings.Compare(a.ID, b.ID))
	})
	return list, nil
}

// For reports whether a command is for a process.
func (cmd *Command) For(process string) bool {
	return len(cmd.To) == 0 || slices.Contains(cmd.To, process)
}
