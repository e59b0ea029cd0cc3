// Package simulate runs jobs in virtual time, to compare in which order queues are served: a
// minute of a farm takes milliseconds, and the same load and seed give the same result.
//
// It knows workers, jobs that arrive and how long each runs; claiming and settling take no time.
package simulate
