.PHONY: demo server test check chaos bench benchmarks fuzz soak build

# The main job on real input: a farm made of the Go source tree, in ./demo.
demo:
	go run ./examples/gofarm demo

# The tests start servers of their own: PostgreSQL and Redis, unless JOBQUEUE_TEST_POSTGRES and JOBQUEUE_TEST_REDIS
# name some, and PgBouncer; they check rules with Prometheus' promtool, and units with systemd,
# ask Net-SNMP's snmpd, look at a terminal in tmux, and compare leases with Fossil's. Where these are not installed Debian's packages bring them.
server:
	@{ test -n "$$JOBQUEUE_TEST_POSTGRES" || command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1 && \
		{ command -v pgbouncer || test -x /usr/sbin/pgbouncer; } >/dev/null 2>&1 && \
		{ command -v redis-server || command -v valkey-server; } >/dev/null 2>&1 && command -v promtool >/dev/null 2>&1 && \
		command -v systemd-analyze >/dev/null 2>&1 && { command -v snmpd || test -x /usr/sbin/snmpd; } >/dev/null 2>&1 && \
		command -v snmpget >/dev/null 2>&1 && command -v tmux >/dev/null 2>&1 && command -v fossil >/dev/null 2>&1 || \
		{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql pgbouncer redis-server prometheus systemd snmpd snmp tmux fossil; }

# SQLite, translated from C, and its C library. What they allocate is not Go's memory, so that the race detector can see no
# race there, and makes them many times slower. It watches what calls them, and all else.
UNWATCHED = -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false

# Everything, with the race detector, in random order. Needs Go, a C compiler, PostgreSQL and Redis. The time limit, one
# for each package, is for a test that hangs, not for a slow machine.
test: server
	go test -race $(UNWATCHED) -shuffle=on -timeout 30m ./...

check: test chaos
	test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	go vet ./...
	go tool -modfile=tools/go.mod staticcheck ./...
	go mod tidy -diff
	for m in chaos bench bench/sample bench/riversqlite; do \
		(cd $$m && go vet ./... && go tool -modfile=$(CURDIR)/tools/go.mod staticcheck ./... && go mod tidy -diff) || exit 1; done

# For so long servers, runners and what is between them fail at random while jobs are pushed and run, on every backend
# at once or on BACKEND alone. SEED is of what goes wrong; a failure prints it.
TIME = 60s
BACKEND =
SEED = 0

chaos: server
	cd chaos && go test -count=1 -parallel 8 -timeout 2h . -backend '$(BACKEND)' -time $(TIME) -seed $(SEED)

# This framework beside River, asynq and backlite, on the same servers, in ten minutes; ARGS=--quick in one.
ARGS =

bench: server
	cd bench && go build -o ../bin/bench . && cd riversqlite && go build -o ../../bin/bench-riversqlite .
	bin/bench $(ARGS)

# The benchmarks of the packages.
benchmarks: server
	go test -run '^$$' -bench . -timeout 1h ./...

# Real processes against one store, for a minute, with limits on how long anyone may wait.
soak:
	SOAK=60s go test -count=1 -timeout 1h -v ./soak
	SOAK=60s go test -count=1 -v -run 'TestShare|TestPowerLoss|TestAbandoned' ./queuedb/sqlite

# How long each fuzz target runs.
FUZZTIME = 30s

fuzz: server
	go test -run '^$$' -fuzz FuzzParamsDigest -fuzzminimizetime 5x -fuzztime $(FUZZTIME) .
	go test -run '^$$' -fuzz FuzzConfig -fuzzminimizetime 5x -fuzztime $(FUZZTIME) ./config
	go test -run '^$$' -fuzz FuzzJSONLines -fuzzminimizetime 5x -fuzztime $(FUZZTIME) ./cli
	go test -run '^$$' -fuzz FuzzBackend -fuzzminimizetime 5x -fuzztime $(FUZZTIME) ./queuedb/sqlite
	go test -run '^$$' -fuzz FuzzBackend -fuzzminimizetime 5x -fuzztime $(FUZZTIME) ./queuedb/postgres

# The commands, in ./bin.
build:
	go build -o bin/ ./cmd/...
