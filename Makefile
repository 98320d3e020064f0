GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
SEEDS ?= 10

RUNS ?= 3
VIRTUAL_SEEDS ?= 1000
DOCS ?= 1
FUZZTIME ?= 60s
SCHEDULES ?= 10000

# Tests leave go vet to make lint.
GOTEST = $(GO) test -vet=off -timeout 20m

# Packages whose tests wait for real time and real servers. The first need no race detector: the command that they test
# is built without it, or nothing in them is concurrent. The second drill, or measure what happens within milliseconds:
# each has the machine for itself.
REAL_PLAIN = ./cmd/... ./tests
REAL_ALONE = ./drill ./drilltest ./faults/... ./load/... ./targets/redis
REAL_RACE = ./drill/preflight ./drill/environment ./drill/environment/sourceload ./targets/service ./targets/origin ./targets/http \
	./tests/reality ./reference/source/postgres ./internal/reexec ./internal/supervise ./internal/pgtest ./internal/querycount \
	./internal/redismonitor

# Packages whose tests compute; the first have no goroutines of their own, or more histories and seeds than the race
# detector has time for.
COMPUTE_PLAIN = . ./oracle/... ./report/... ./scenarios/... ./drill/environment/virtual ./tests/habits ./targets ./targets/zoo \
	./reference/key ./reference/policy ./internal/cost ./internal/strictyaml
COMPUTE_RACE = $(shell $(GO) list ./... | grep -vxFf <($(GO) list $(REAL_PLAIN) $(REAL_ALONE) $(REAL_RACE) $(COMPUTE_PLAIN)))
COMPUTE_QUICK = . ./oracle/... ./report/... ./scenarios/... ./load/... ./targets ./targets/zoo ./reference/key ./reference/policy \
	./reference/contract ./reference/metrics ./reference/store ./internal/cost ./internal/strictyaml
SHELL = /bin/bash

.PHONY: test quick command compute lint soak conformance schedules fuzz build bench bench-cache bench-peers underdrill setup

# Everything: sets up what the tests need, then runs them all. What computes, compilers too, runs beside the command's
# tests, which wait, with the lowest priority; then come the packages that want the machine for themselves.
test: setup
	@$(MAKE) --no-print-directory -j 2 command compute
	$(GOTEST) -p 1 -race $(REAL_ALONE)
	$(GOTEST) -p 2 -race $(REAL_RACE)

# What computes, without the race detector and without any server.
quick:
	$(GOTEST) -short $(COMPUTE_QUICK)

command:
	$(GOTEST) -toolexec 'nice -n 19' -p 2 -parallel 4 $(REAL_PLAIN)

compute:
	CACHEDRILL_VIRTUAL_SEEDS=2 nice -n 19 $(GOTEST) $(COMPUTE_PLAIN) # make soak and make conformance have more
	nice -n 19 $(GOTEST) -race $(COMPUTE_RACE)
	nice -n 19 $(GOTEST) -race -run '^$$' $(REAL_ALONE) $(REAL_RACE) >/dev/null # compiles them

# A real Redis and a real PostgreSQL for the tests that want them. Without them they say what they skip (with CI=true they fail).
setup:
	@scripts/setup

build:
	$(GO) build -o bin/cachedrill ./cmd/cachedrill

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt would change these files"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

# The long proofs: the verdict on every policy, over many seeds, on both kinds of Redis, and the metastable pair;
# that the cache keeps its promises under combined faults on real servers, for a minute a seed and ten at most;
# that acknowledged writes survive kill -9 of their writer, and of PostgreSQL; and that the examples pass and fail as they should.
soak: setup
	CACHEDRILL_SOAK=$(SEEDS) $(GO) test -v -count=1 -run TestSoak -timeout 6h ./tests/...
	CACHEDRILL_HISTORIES=200000 $(GO) test -count=1 -run 'TestCorrectCaches' -timeout 1h ./oracle
	$(GO) test -race -count=1 -timeout 1h ./drill/environment/virtual # make test has no time for the race detector there
	CACHEDRILL_SOAK=$(SEEDS) $(GO) test -v -count=1 -run 'TestStrangers' -timeout 1h ./tests
	CACHEDRILL_SOAK=$(SEEDS) $(GO) test -v -count=1 -run TestRandomHabits -timeout 6h ./tests/habits
	CACHEDRILL_SOAK=$(SEEDS) $(GO) test -v -count=1 -run SurviveKills -timeout 1h ./reference/source/postgres
	CACHEDRILL_SOAK=$(SEEDS) $(GO) test -v -count=1 -run TestServedWritesSurviveKill -timeout 1h ./tests
	CACHEDRILL_SOAK=1 $(GO) test -v -count=1 -run TestREADME -timeout 1h ./cmd/cachedrill # with the drills that it shows

# The zoo: every broken cache must be caught by its drill, no correct one accused; writes docs/conformance.md.
conformance: setup
	GOGC=400 UPDATE_DOCS=$(DOCS) CACHEDRILL_CONFORMANCE=$(RUNS) CACHEDRILL_VIRTUAL_SEEDS=$(VIRTUAL_SEEDS) \
		$(GO) test -count=1 -run TestConformance -timeout 6h ./tests

# The reference cache under random faults in virtual time: every promise, over many schedules.
schedules:
	GOGC=400 CACHEDRILL_SCHEDULES=$(SCHEDULES) $(GO) test -count=1 -v -run TestChaos -timeout 6h ./reference

# Random input for the parsers and for the judge, for a while each.
fuzz:
	$(GO) test -run '^$$' -fuzz FuzzJudge -fuzzminimizetime 1x -fuzztime $(FUZZTIME) ./oracle
	$(GO) test -run '^$$' -fuzz FuzzParseObjective -fuzztime $(FUZZTIME) ./report/slo
	$(GO) test -run '^$$' -fuzz FuzzParse -fuzztime $(FUZZTIME) ./scenarios
	$(GO) test -run '^$$' -fuzz FuzzParse -fuzztime $(FUZZTIME) ./internal/strictyaml
	$(GO) test -run '^$$' -fuzz FuzzParse -fuzztime $(FUZZTIME) ./reference/contract
	$(GO) test -run '^$$' -fuzz FuzzRedaction -fuzztime $(FUZZTIME) ./reference/contract
	$(GO) test -run '^$$' -fuzz FuzzInjective -fuzztime $(FUZZTIME) ./reference/key
	$(GO) test -run '^$$' -fuzz FuzzAnswer -fuzzminimizetime 1x -fuzztime $(FUZZTIME) ./targets/http
	$(GO) test -run '^$$' -fuzz FuzzPostgres -fuzztime $(FUZZTIME) ./internal/querycount
	$(GO) test -run '^$$' -fuzz FuzzReadSegment -fuzztime $(FUZZTIME) ./reference/journal

bench:
	$(GO) test -run '^$$' -bench . -benchtime 2s ./load ./oracle ./report/measure

# The reference cache's hits and decisions, each beside what it is held against; docs/performance.md says what they mean.
bench-cache: setup
	$(GO) test -run '^$$' -bench . -benchtime 2s -count 5 ./reference ./reference/policy

# The reference cache beside other libraries: a module of its own, so that they are no dependencies of ours.
bench-peers: setup
	cd bench && $(GO) run .

# Real caches under drill, each in a small service of its own; writes docs/underdrill.md. A module of its own, as bench-peers.
underdrill: setup build
	bench/underdrill/setup
	cd bench/underdrill && $(GO) run . -cachedrill ../../bin/cachedrill
