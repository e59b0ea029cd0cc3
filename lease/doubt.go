package lease

import "time"

// Doubt returns whether somebody is at work or on deck, and how long it is until that one counts as dead if it gives no more
// sign of life: 0 if it does.
func (r Record) Doubt(u Rules) (time.Duration, bool) {
	const late = time.Millisecond
	switch {
	case r.Next.ID != "":
		return max(r.NextExpires+late, 0), true
	case r.Current.ID != "" && !r.Over:
		return max(r.Beat+u.TTL+late, 0), true
	}
	return 0, false
}
