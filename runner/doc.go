// Package runner claims jobs from a [jobqueue.Group] and runs them.
//
// [Run] is one pipeline for the whole process, whatever the number of queues:
//
//	           Ready, Pop                                        Settle
//	store ───────────────▶ fetcher ──▶ buffer ──▶ workers ──▶ settler ───▶ store
//	  ▲                                   │          │
//	  └──────────── beater ◀──────────────┴──────────┘
//	     Extend              all claims in hand
//
// The fetcher asks which queues are ready, shares places out over them by what their domains
// have used of the workers (see package schedule), and claims jobs of many queues in one call. Jobs wait in the
// buffer in the order of the places; a domain that had no work may go before others that wait there. It claims beyond
// the free workers as much as measured run times say is done in 250 ms, at
// most 1,000 jobs or about 4 MiB of parameters. While it finds work it goes on at once; when there
// is none it waits for the store's hint, if the store is a [jobqueue.Waiter], and polls.
//
// The settler settles in batches of up to 1,000, at once when there is nothing
// more to come. While a store does not take results they are kept and offered again, and
// no more jobs are claimed from it. The beater extends all leases, four times a lease;
// one of less than a second counts as a second.
// It has calls and deadlines of its own. Without its confirmation for two thirds of a lease
// no further job of these claims is started.
//
// # Dangerous jobs
//
// A job whose claim has run out may have killed its process. It is not
// claimed before a worker is free. After the second time it runs alone, so that a crash can only be
// its own: unless nothing else is in hand, the runner gives it back, together with what has not started, with a delay
// that keeps it from others, claims nothing, waits for what runs and for what its store has not recorded,
// and only then claims the job by its ID and starts it. It waits for a lease, or up to eight if that was in vain
// before; then the job is anybody's, and for nine times as long as it waited the runner takes no such job
// while any runs. Results that other stores do not take are not waited for.
//
// # Handlers at fault
//
// After a [jobqueue.Fault] nothing of the type starts for a second, and what is in the buffer is
// given back. Then one job is tried. If that meets a fault too, the type rests for twice as
// long, up to a minute; when it does not, all is as before. The same holds after 20 jobs in a row
// were abandoned, until one goes well. Other types go on. A run that does not wait ends with
// [HandlerFault] when there is nothing else to do, after ten seconds if the handler worked before.
//
// # Beside other runners
//
// Runners need not know of each other; what they have in common is kept in the farm's stores. Where
// the default backend is a [jobqueue.Control], each says every five seconds that it is alive, see
// [Runners], and leaves out what is paused. Where that is a [jobqueue.Limiter] too, the rates of the types hold for all
// together, and where it is a Control the caps, see [Caps]. A store that is a Control is maintained by one runner at a time, about twice a minute.
// While it cannot be read what is paused, nothing is claimed, of any backend.
//
// # Jobs that do not end
//
// When a run is out of time its context ends. A job that goes on for ten more seconds
// is settled as failed, may so be tried again elsewhere while it
// still runs here, and keeps its worker until it returns. While all workers are so
// kept nothing is claimed; a run that does not wait ends after ten seconds of that with [Stuck]
// if there is work.
package runner
