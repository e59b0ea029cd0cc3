package jobqueue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
)

// A Registry holds a constructor and a policy for each job type a program can
// run. The zero Registry is empty and ready for use, by any number of goroutines.
type Registry struct {
	mu       sync.RWMutex
	types    map[string]entry
	events   map[string][]func(Event) ([]Spec, error)
	fallback struct {
		new    func(typ string) Job
		policy Policy
	}
}

type entry struct {
	new    func() Job
	policy Policy
}

// Add registers the type of the jobs that new returns. A job's dependencies
// are set by new, in fields that encoding/json does not see:
//
//	reg.Add(func() jobqueue.Job { return &RefreshLinks{db: db} }, jobqueue.Policy{Dedupe: true})
//
// It panics if the type is not a valid part of a [Name] or is taken, if new does not return
// a fresh pointer each time, if the policy makes no sense, or if the parameters do not survive JSON.
func (r *Registry) Add(new func() Job, p Policy) {
	job := new()
	typ := job.Type()
	if err := checkPart("type", typ); err != nil {
		panic(fmt.Sprintf("jobqueue: add %T: %v", job, err))
	}
	if err := p.Check(); err != nil {
		panic(fmt.Sprintf("jobqueue: add %s: %v", typ, err))
	}
	if err := checkRoundTrip(job, new()); err != nil {
		panic(fmt.Sprintf("jobqueue: add %s: %v", typ, err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.types[typ]; taken {
		panic(fmt.Sprintf("jobqueue: add %s: the type is taken", typ))
	}
	if r.types == nil {
		r.types = map[string]entry{}
	}
	r.types[typ] = entry{new, p}
}

func checkRoundTrip(job, fresh Job) error {
	// Pointers to a type without fields may be equal, and may as well be.
	if v := reflect.ValueOf(job); v.Kind() != reflect.Pointer || job == fresh && v.Type().Elem().Size() > 0 {
		return errors.New("new must return a fresh pointer each time")
	}
	first, err := encode(job)
	if err != nil {
		return err
	}
	if err := decode(first, fresh); err != nil {
		return fmt.Errorf("parameters do not survive JSON: %w", err)
	}
	again, err := encode(fresh)
	if err != nil {
		return err
	}
	if !bytes.Equal(first, again) {
		return fmt.Errorf("parameters do not survive JSON: %s became %s", first, again)
	}
	return nil
}

// encode returns the parameters of a job.
func encode(job Job) (json.RawMessage, error) {
	params, err := json.Marshal(job)
	if err != nil {
		return nil, fmt.Errorf("%w: parameters: %w", ErrInvalid, err)
	}
	// encoding/json writes U+FFFD itself as it is, and this escape only for
	// bytes that are not UTF-8; storing that would change the job.
	if hasEscape(params, `\ufffd`) {
		return nil, fmt.Errorf("%w: parameters: a string is not UTF-8", ErrInvalid)
	}
	return params, nil
}

// hasEscape reports whether an escape stands in JSON, and not behind a
// backslash that makes it text.
func hasEscape(params []byte, escape string) bool {
	for at := 0; ; at++ {
		i := bytes.Index(params[at:], []byte(escape))
		if i < 0 {
			return false
		}
		at += i
		before := params[:at]
		if (len(before)-len(bytes.TrimRight(before, `\`)))%2 == 0 {
			return true
		}
	}
}

// Fallback registers a constructor for every type that is not added by itself.
// Its jobs are not decoded: they find their parameters in [FromContext].
func (r *Registry) Fallback(new func(typ string) Job, p Policy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fallback.new, r.fallback.policy = new, p
}

// Job returns a fresh job for c, its parameters filled in. The error is an
// [ErrUnknownType] without a constructor, else says why the parameters do not fit.
func (r *Registry) Job(c *Claim) (Job, error) {
	r.mu.RLock()
	e, ok := r.types[c.Type]
	fallback := r.fallback.new
	r.mu.RUnlock()
	if !ok {
		if fallback == nil {
			return nil, fmt.Errorf("%w %q", ErrUnknownType, c.Type)
		}
		return fallback(c.Type), nil
	}
	job := e.new()
	if err := decode(c.Params, job); err != nil {
		return nil, fmt.Errorf("parameters do not fit %T: %w", job, err)
	}
	return job, nil
}

// Policy returns the policy of a type, zero fields and all. It fits [Routes.Policy].
func (r *Registry) Policy(typ string) Policy {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if e, ok := r.types[typ]; ok {
		return e.policy
	}
	return r.fallback.policy
}

// Has reports whether the type can be run, by its own constructor or the fallback.
func (r *Registry) Has(typ string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.types[typ]
	return ok || r.fallback.new != nil
}

// Types returns the added types, sorted; the fallback's are not known.
func (r *Registry) Types() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	types := make([]string, 0, len(r.types))
	for t := range r.types {
		types = append(types, t)
	}
	slices.Sort(types)
	return types
}
