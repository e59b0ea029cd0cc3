// Package jobqueue runs deferred work for many tenants.
//
// A [Job] is a Go value with a Run method; its exported fields are its
// parameters. Jobs of one type on one domain (a tenant, say one wiki of a farm)
// form a queue, named by a [Name]. Queues live in a [Backend]: memory, SQLite
// and others, in packages of their own. A [Group] routes each job type to its
// backend and is what programs push to; package runner claims jobs from a
// Group and runs them with the constructors found in a [Registry].
//
// # Life of a job
//
// A pushed job is ready, or delayed until its release time. Pop claims it: it
// is handed over for the length of a lease, under a token that fences every
// later word about it. Settling the claim ends it: the job is done and gone,
// goes back to wait, or is abandoned. A claim whose lease ends goes back to
// ready by itself.
//
// Delivery is at least once. A process that dies between running a job and
// settling it leaves a job that runs again, so jobs must be idempotent;
// [Policy.AtMostOnce] turns that round for a type.
//
// # Jobs that are not stored
//
// A group may run jobs at once where they are pushed instead: those of queues that are not to be stored, and
// those that a store does not take. [Group.Push] has the rules.
//
// # Duplicates and roots
//
// A job pushed with [Spec.Dedupe] is dropped while an equal job waits. Jobs
// that come from one edit or action share a [Root]; a newer root of the same
// key supersedes the jobs of an older one, which are then settled unrun.
// A dropped duplicate leaves its root and release time to the job that
// stays, so that between the two no work is lost.
package jobqueue
