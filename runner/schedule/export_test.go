package schedule

// Known returns how many domains are known, counting those with work in several classes several times.
func (d *Dealer) Known() (n int) {
	for _, c := range d.classes {
		n += len(c.flows)
	}
	return n
}
