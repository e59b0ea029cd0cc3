// Package postgres keeps queues in a PostgreSQL database, version 15 or newer: any number of
// processes on any number of machines. It is package queuedb with the SQL in sql/.
//
// The tables are in a schema of their own, which [Migrate] makes and brings up to date;
// [Open] never does. A backend uses at most [Connections] connections, one of which is for
// Extend alone, so that no lease ends because a process is busy.
//
// # Locks
//
// Transactions are read committed and may overlap, so each locks what it decides on:
//
//   - Whoever changes what a claim holds, or its lease, locks the row of the claim first, in
//     the order of the tokens. A Settle that comes behind a sweep finds the claim ended.
//   - Pop deletes the rows of ready that it takes and skips those that others have locked,
//     as it does with delayed jobs that are due. It never waits for a job.
//   - Two Pops with one token, or two Pushes with one id, meet in a primary key.
//     The later one runs again and finds what the other did.
//   - Push takes digests by inserting them, in their order. One that finds its digest taken by
//     a transaction that committed meanwhile runs again. A job that waits and takes
//     something over from its duplicate is locked in its place first, so that no Pop gets it
//     before. If it is ready its row in ready is written anew, because a Pop that has
//     begun may otherwise claim the job with its old root.
//   - A Push that needs a time for a root, a charge of a rate and a change of a value take an
//     advisory lock on the key.
//   - Delete and Requeue lock the places of jobs first and then the claims.
//   - Whoever sweeps holds the row of sweep; others go on without a sweep meanwhile.
//   - Numbers come from a sequence, for which nobody waits.
//
// Deadlocks that remain are undone by the server and repeated by this package.
//
// # Round trips
//
// In the usual case Push takes three, Settle two (three when jobs are put back), Extend three,
// and Pop one; a Pop that sweeps, releases or comes up short takes about ten.
//
// # Poolers
//
// A pooler such as PgBouncer may stand before the server, in session or in transaction pooling. It is noticed by the
// number of the server's process, which is another than the connection was told at its beginning. Each transaction then makes
// its settings by itself and no statement is prepared, which costs the server a plan for each statement, but no round trip.
package postgres
