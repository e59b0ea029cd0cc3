// Package supervisor keeps processes running: one that ends is started again, the later the sooner
// it ends each time, and none outlives the process that runs [Run]. It knows nothing of jobs.
//
// How a child ends says what is to become of it:
//
//	0    recycle: it has reached a limit and is started again at once
//	1    error, like any other status and every signal: it is started again after a pause
//	100  stop: it is not started again; when all have said so Run ends
//	101  restart: the program may be a newer one, so all children finish and Run ends
//
// A child that calls [Parent] learns of the end of its supervisor, and can tell it that it is alive.
package supervisor
