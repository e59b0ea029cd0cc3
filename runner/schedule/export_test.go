package schedule

// Known returns how many domains are known, counting those with work in several classes several times.
func (d *Dealer) Known() (n int) {
	for _, c := range d.classes {
		n += len(c.flows)
	}
	return n
}

// KnownTypes returns how many types are known, and how many queues.
func (d *Dealer) KnownTypes() (types, queues int) {
	for _, c := range d.classes {
		for _, f := range c.flows {
			queues += len(f.all)
		}
	}
	return len(d.types), queues
}
