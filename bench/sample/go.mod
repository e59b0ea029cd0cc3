module github.com/wikifarm/jobqueue/bench/sample

go 1.26.0
