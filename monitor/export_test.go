package monitor

import (
	"context"

	"github.com/wikifarm/jobqueue"
)

// MaxQueued is how many messages wait to be sent.
const MaxQueued = maxQueued

// SinkOf returns a StatusNet sink of what sends a message.
func SinkOf(send func(context.Context, []byte) error) Sink {
	return &statusNet{sender: newSender(send, nil), thread: "generic", slots: map[*jobqueue.Claim]int{}}
}
