// Package service runs a program's own loops and sockets beside its jobs: connections that are kept, listeners,
// things to be done now and then, in the whole farm or for each of its domains.
package service

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A Service is something that goes on as long as the program does.
type Service struct {
	// Name is for people, and for the log.
	Name string

	// Run goes on until ctx ends, or the service is over: then it returns nil and is not
	// called again. When it returns an error or panics it is called again, at first after a second, and after twice as long each
	// time, up to a minute, until it has gone on for a minute.
	//
	// With Every it is called that often and returns soon. An error, or a panic, is logged, and the next call comes
	// at its time. It must be safe to be called for several domains at once.
	Run func(ctx context.Context, domain string) error

	// EachProcess has it in every process that runs the set. Else it is in one of the farm at a time, see Options.Control.
	EachProcess bool

	// PerDomain has one of it for each domain of the farm, which comes and goes with its domain. Else domain is "".
	PerDomain bool

	// Every is how long there is between two calls of Run, the first being at any time within it. Calls of one
	// service, and domain, never overlap; those that were missed are not made up for. 0 means that Run goes on.
	Every time.Duration
}

// A Set is the services of a process. The zero Set has none.
type Set struct {
	mu       sync.Mutex
	services []*Service
	units    map[key]*unit
	due      queue
	running  int
	held     map[string]bool // by name: whether it is this process that runs the service
	turned   bool            // that has changed
	poke     chan struct{}   // made by Run
	failures map[string]int  // by name
	o        Options
}

type key struct {
	service *Service
	domain  string
}

// Options say how services run.
type Options struct {
	// Domains returns the farm's domains; it is called once a second, and its result is left unchanged by
	// both sides. If it is nil or returns nil, nothing runs that is PerDomain.
	Domains func() []string

	// Control, of a store, is what the processes of the farm agree by on which of them runs a service. When that one ends another
	// has it within five seconds, when it dies within twenty. One that cannot reach the store ends its
	// services after ten, five before another may begin them. Without a Control each process runs every service.
	Control jobqueue.Control

	// Grace is how long services get to end once the context of Run has ended. Default 30 s; negative means none at all.
	Grace time.Duration

	// Logger is told when a service fails for another reason than before. Default [slog.Default].
	Logger *slog.Logger
}

// Add adds a service, before Run. It panics without a name that could be that of a job type or without Run, if the
// name is taken, and if Every is negative.
func (s *Set) Add(v Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case jobqueue.Name{Domain: "d", Type: v.Name}.Check() != nil || v.Run == nil:
		panic(fmt.Sprintf("service: %q: a name of 1 to 255 bytes and Run are required", v.Name))
	case v.Every < 0:
		panic(fmt.Sprintf("service: %s: Every is negative", v.Name))
	case s.poke != nil:
		panic(fmt.Sprintf("service: %s is added while the others run", v.Name))
	}
	for _, o := range s.services {
		if o.Name == v.Name {
			panic(fmt.Sprintf("service: there are two called %s", v.Name))
		}
	}
	s.services = append(s.services, &v)
}

// A Status is what a service does.
type Status string

const (
	Running Status = "running" // Run goes on
	Waiting Status = "waiting" // for its next call
	Ending  Status = "ending"  // Run goes on though it is not to: the domain is gone, or another process has the service, or the program ends
	Over    Status = "over"    // Run returned nil

	Elsewhere Status = "elsewhere" // it is not this process that runs the service
)

// A State is where one service stands, for one domain if it is for each.
type State struct {
	Name     string    `json:"name"`
	Domain   string    `json:"domain,omitempty"`
	Status   Status    `json:"status"`
	Since    time.Time `json:"since,omitzero"`  // when Run was called last, or that it waits
	Calls    int       `json:"calls"`           // of Run
	Failures int       `json:"failures"`        // of these
	Error    string    `json:"error,omitempty"` // of the last one that failed
	FailedAt time.Time `json:"failedAt,omitzero"`
	Next     time.Time `json:"next,omitzero"` // of a service that waits: when it is called
}
