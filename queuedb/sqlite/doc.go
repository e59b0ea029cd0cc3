// Package sqlite keeps queues in one SQLite file: no server, any number of
// processes on one machine. It is package queuedb with the SQL in sql/.
//
// A process has one connection that writes. All calls that wait go into one
// transaction and are answered after its commit, heartbeats first, so that a
// commit that waits for the disk, as it does by default, is shared by many. Processes take
// turns: a file beside the database, its name ending in -turn, is locked by the one
// that writes next. It holds nothing and may be deleted while nobody has the database open.
//
// The file must be on a local disk, as SQLite's write-ahead log asks for shared memory.
package sqlite
