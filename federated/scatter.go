package federated

import (
	"errors"
	"fmt"
	"slices"

	"github.com/wikifarm/jobqueue"
)

// A share is what of a call is for one partition.
type share struct {
	*partition
	places []int // in the call
}

// shareOut returns which partition gets which of n things; what of returns nil for goes to none.
func shareOut(n int, of func(i int) *partition) (shares []share) {
	for i := range n {
		p := of(i)
		if p == nil {
			continue
		}
		k := slices.IndexFunc(shares, func(s share) bool { return s.partition == p })
		if k < 0 {
			k = len(shares)
			shares = append(shares, share{partition: p})
		}
		shares[k].places = append(shares[k].places, i)
	}
	return shares
}

// all returns a share for every partition.
func (b *Backend) all() []share {
	shares := make([]share, len(b.parts))
	for i, p := range b.parts {
		shares[i].partition = p
	}
	return shares
}

// scatter calls do for all at once. It returns those that could not be asked and a
// [jobqueue.PartError] that names them, unless one has failed in another way.
func scatter[T interface{ String() string }](all []T, do func(T) error) (missing []T, err error) {
	errs := make([]error, len(all))
	each(all, func(i int, t T) { errs[i] = do(t) })
	var g gap
	for i, t := range all {
		if errs[i] != nil && !partial(errs[i]) {
			return nil, fmt.Errorf("partition %v: %w", t, errs[i])
		}
		if errs[i] != nil {
			missing = append(missing, t)
			g.add(t.String(), errs[i])
		}
	}
	return missing, g.err()
}

// partial reports whether an error of one partition leaves the others alone.
func partial(err error) bool { return unavailable(err) || errors.Is(err, jobqueue.ErrReadOnly) }

// A gap is what is missing of an answer, and why.
type gap struct {
	parts []string
	errs  []error
}

func (g *gap) add(name string, err error) {
	g.parts, g.errs = append(g.parts, name), append(g.errs, err)
}

// err returns the PartError; nil if nothing is missing.
func (g *gap) err() error {
	if len(g.parts) == 0 {
		return nil
	}
	err := g.errs[0]
	for _, e := range g.errs[1:] {
		err = fmt.Errorf("%w; %w", err, e)
	}
	return &jobqueue.PartError{Parts: g.parts, Err: err}
}
