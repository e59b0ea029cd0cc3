package federated

import (
	"slices"
	"strings"

	"github.com/wikifarm/jobqueue"
)

// A wishlist is what a Pop wants, and what it has got.
type wishlist struct {
	f     *Backend
	wants []jobqueue.Want
	left  []int // of each want, how many are missing
	open  int   // of how many wants some are
	named bool  // a want has an ID
	got   []granted
}

// A granted is the claims of one partition, and the want of each.
type granted struct {
	claims []*jobqueue.Claim
	wants  []int
}

func newWishlist(b *Backend, wants []jobqueue.Want) *wishlist {
	l := &wishlist{f: b, wants: wants, left: make([]int, len(wants))}
	for i, w := range wants {
		if w.ID != "" {
			l.named = true
			l.left[i] = 1
		} else {
			l.left[i] = max(w.Max, 0)
		}
		if l.left[i] > 0 {
			l.open++
		}
	}
	return l
}

// met reports whether nothing is missing.
func (l *wishlist) met() bool { return l.open == 0 }

// of returns what a partition is to be asked for: what is missing, or all.
func (l *wishlist) of(p *partition, all bool) []jobqueue.Want {
	if !l.named && (all || len(l.got) == 0) {
		return l.wants
	}
	wants := make([]jobqueue.Want, 0, len(l.wants))
	for i, w := range l.wants {
		if w.ID != "" {
			home, id, ok := l.f.local(w.ID)
			if !ok || home != p {
				continue
			}
			w.ID = id
		} else if !all {
			w.Max = l.left[i]
		}
		if w.ID != "" || w.Max > 0 {
			wants = append(wants, w)
		}
	}
	return wants
}

// add notes the claims of a partition, which are in the order of the wants, and reports whether
// it had less than there is room for.
func (l *wishlist) add(p *partition, claims []*jobqueue.Claim) (short bool) {
	if len(claims) > 0 {
		g := granted{claims: claims}
		if len(l.wants) == 1 {
			l.take(0, len(claims))
		} else {
			g.wants = l.match(claims)
		}
		l.got = append(l.got, g)
	}
	for i, w := range l.wants {
		if l.left[i] > 0 && (w.ID == "" || strings.HasPrefix(w.ID, p.prefix)) {
			return true
		}
	}
	return false
}

func (l *wishlist) take(want, n int) {
	if l.left[want] > 0 && l.left[want] <= n {
		l.open--
	}
	l.left[want] = max(l.left[want]-n, 0)
}

// match returns the want that each claim is for.
func (l *wishlist) match(claims []*jobqueue.Claim) []int {
	places := make([]int, len(claims))
	at := 0
	for k, c := range claims {
		fits := func(i int) bool {
			w := &l.wants[i]
			return l.left[i] > 0 && w.Name == c.Name && (w.ID == "" || w.ID == c.ID)
		}
		for range l.wants {
			if fits(at) {
				break
			}
			at = (at + 1) % len(l.wants)
		}
		places[k] = at
		l.take(at, 1)
	}
	return places
}

// claims returns all, as they were wanted.
func (l *wishlist) claims() []*jobqueue.Claim {
	switch {
	case len(l.got) == 0:
		return nil
	case len(l.got) == 1:
		return l.got[0].claims
	}
	byWant := make([][]*jobqueue.Claim, len(l.wants))
	for _, g := range l.got {
		if g.wants == nil {
			byWant[0] = append(byWant[0], g.claims...)
		}
		for k, i := range g.wants {
			byWant[i] = append(byWant[i], g.claims[k])
		}
	}
	return slices.Concat(byWant...)
}
