// Package queuedb is a [jobqueue.Backend] over a database. It holds no SQL and
// knows no dialect: a [Store] runs statements that it calls by name, and a
// package below has their texts and the connections. A program opens one of
// those.
//
// What a job carries is written once, in job; where it stands is a narrow row
// in one of the tables beside it, or, while it is claimed, a number in the row of its Pop.
//
//	meta       the format; in SQLite also the last number given to a job or a place in line, and the last sweep
//	queue      the name of each queue, and the number that stands for it elsewhere
//	job        what was pushed, and how earlier attempts ended, of jobs that are not abandoned
//	ready      queue and position to job: the line of each queue
//	later      job to release time: the delayed ones
//	abandoned  abandoned jobs, with all that job had of them, and when they are deleted
//	dedupe     queue and digest to job, for the jobs that wait
//	claim      token to lease, jobs held and jobs settled: one row a Pop, the fence
//	root       queue and root key to the newest root time
//	hold       jobs that are being moved to or from elsewhere, and which of these have ended
//	push       push id to its answer
//	reached    in PostgreSQL, how far each queue has been claimed, about
//	late       in PostgreSQL, positions at which jobs may have become ready behind that
//	jobs       a view of it all, for people
//
// A job that is in job, and in neither ready nor later, is held by a claim. What is abandoned is out of job, so
// that claims read the same of a store however much of it there is.
package queuedb
