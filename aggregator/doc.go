// Package aggregator has forms of [jobqueue.Aggregator] that need no driver, and what
// keeps any form true to the backends.
//
//   - [Memory] is for one process, and for tests.
//   - [Polling] asks the backends each time.
//   - [Failover] makes one of several, tried in order.
//   - [Sweep] repairs one from what the backends say. Runners do so every few seconds, one of them in turn.
//
// The form on Redis is in the package below, and that in a PostgreSQL database in package postgres of the backends.
package aggregator
