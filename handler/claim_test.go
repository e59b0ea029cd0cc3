package handler_test

import (
	"encoding/json"

	"github.com/wikifarm/jobqueue"
)

// claim is what a runner hands to the jobs of these tests.
func claim(params string) *jobqueue.Claim {
	return &jobqueue.Claim{
		Record: jobqueue.Record{
			Name:   jobqueue.Name{Domain: "enwiki", Type: "mail"},
			Params: json.RawMessage(params), MaxTries: 3,
		},
		ID: "17", Attempt: 2,
	}
}
