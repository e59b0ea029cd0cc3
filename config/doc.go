// Package config reads the farm file: which domains there are, which
// backends hold their jobs, and how each type of job is treated.
//
//	domains: [enwiki, dewiki]        # or domainsFile: wikis.txt, one a line
//	backends:
//	  main: {kind: sqlite, path: jobs.db}
//	default: {backend: main, maxTries: 5}
//	types:
//	  sendMail:
//	    timeout: 90s
//	    handler: {exec: [/usr/bin/send-mail, --queue]}
//
// The file is YAML and is read strictly: a key that is not known is an
// error. Paths are relative to the farm file. ${NAME} in a value, never in a key,
// stands for an environment variable, which must be set; $${ is a literal ${.
//
// # Keys
//
//	domains      list of the domains; without one any domain is allowed
//	domainsFile  file with a domain a line, # begins a comment; see Farm.Domains
//	readOnly     a reason, which refuses push, pop, delete and requeue
//	backends     name: kind (sqlite with path; postgres with url, schema, passwordFile; memory)
//	default      what holds for every type
//	types        type: what holds for this one, over default
//
// default and types take the same keys:
//
//	backend      name of a backend; default's may be left out if there is only one
//	atMostOnce   whether a job is settled before it runs, so that it never runs twice
//	dedupe       whether every job is deduplicated
//	maxTries     how often a job is tried
//	lease        how long a runner's claim lasts past its last heartbeat
//	claimTTL     how long a claim of Queue.Pop lasts
//	timeout      how long a run may take; or none
//	keep         how long an abandoned job is kept; or forever
//	backoff      first and most: the wait after the first failure, and the longest
//	throttle     work items a second, of all runners together; 0 is no limit
//	handler      what runs the jobs: exec or http, see below
//	exclude      types only: whether runners leave the type out unless it is asked for
//
// handler takes either exec or http:
//
//	exec         list of a program and its arguments
//	env          NAME: value, added to the environment of the program
//	memory       address space that each of its processes may have, such as 512M
//	jsonl        whether the program stays, and reads a line for each job
//	restart      with jsonl, when to start a new one: after so many jobs, or with more memory
//	http         url, headers, tokenFile, hmacFile; connect and timeout, how long these may take
//
// What they do is said of [handler.Program] and [handler.Endpoint].
//
// Each field of a type's policy comes from the first that says something
// of it: types, default, the program's [jobqueue.Registry], the
// defaults of [jobqueue.Policy]. A job's own Spec goes before all of them.
package config
