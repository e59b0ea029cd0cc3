package schedule

import "time"

// forget drops the domains that have no work and owe nothing, and the queues and types that had none for long,
// once there may be many of them.
func (d *Dealer) forget(now time.Time) {
	if d.idle <= d.known/2 || d.idle < 100 {
		return
	}
	d.idle = 0
	for _, c := range d.classes {
		for domain, f := range c.flows {
			if len(f.ready) == 0 && (f.tag <= c.now || now.Sub(f.served) > forgiven) {
				delete(c.flows, domain)
				f.gone = true
			}
			for _, q := range f.all {
				if f.gone || q.pos == notReady && now.Sub(q.since) > forgiven {
					d.drop(q)
				}
			}
		}
	}
}

// drop forgets a queue, and its type if that was the last one.
func (d *Dealer) drop(q *queue) {
	delete(q.flow.all, q.name.Type)
	d.known--
	if q.typ.known--; q.typ.known == 0 {
		delete(d.types, q.name.Type)
	}
}
