// Package ondemand runs the jobs of a domain inside a web server, after a reply
// to a visitor, for sites that have no daemon and no cron.
//
// A request that went well pokes its domain. The Runner asks for the domain's
// lease (package lease) and does the domain's work if the last run began an
// interval ago or more; else it goes on deck and runs when that is over. So there
// are never two runs of a domain at once, in however many processes, no
// two begin within an interval, and each poke is followed by a run that begins
// within the interval, or as soon as the one at work ends. A process that dies with
// what it was poked for forgets it; one that waits behind a process on deck that
// dies takes its turn a second later.
//
// What waits is an entry of a heap with one timer. A domain that nobody pokes
// has nothing in memory, and a Runner with nothing to do has no goroutine.
package ondemand
