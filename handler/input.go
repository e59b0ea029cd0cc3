package handler

import (
	"encoding/json"
	"time"

	"github.com/wikifarm/jobqueue"
)

// encode returns the JSON object for c and a newline. The parameters are put in by hand, since
// encoding/json would rewrite them.
func encode(c *jobqueue.Claim) ([]byte, error) {
	type root struct {
		Key  string    `json:"key"`
		Time time.Time `json:"time"`
	}
	head := struct {
		ID      string            `json:"id"`
		Domain  string            `json:"domain"`
		Type    string            `json:"type"`
		Attempt int               `json:"attempt"`
		Queued  time.Time         `json:"queued,omitzero"`
		Root    *root             `json:"root,omitempty"`
		Headers map[string]string `json:"headers,omitempty"`
	}{c.ID, c.Domain, c.Type, c.Attempt, c.QueuedAt, nil, c.Headers}
	if c.Root.Key != "" {
		head.Root = &root{c.Root.Key, c.Root.Time}
	}
	b, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	b = append(b[:len(b)-1], `,"params":`...)
	b = append(b, c.Params...)
	return append(b, "}\n"...), nil
}
