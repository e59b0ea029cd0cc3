package schedule

// Known returns how many domains are known, counting those with work in several classes several times.
func (s *Sharer) Known() (n int) {
	for _, c := range s.classes {
		n += len(c.flows)
	}
	return n
}
