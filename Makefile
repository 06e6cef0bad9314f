# The tasks of the repository. They need Go and make; the race detector needs a C compiler as well, tests with a real Kafka or ElasticMQ need
# Java and Maven, those with Apicurio Java 21 and Maven, those with LocalStack and with Confluent's client Python 3.11, those with Pub/Sub Java and gcloud's emulator, and those with a real RabbitMQ the apt-get
# of Debian or Ubuntu. Tools are built into ./bin.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION := v1.8.0
LINT := $(CURDIR)/bin/golangci-lint-$(GOLANGCI_LINT_VERSION)

# Directories of the modules in go.work, the root first; programs among the examples.
MODULES := $(shell sed -nE 's/^(use)?[[:space:]]*(\.[^[:space:]]*)$$/\2/p' go.work)
PACKAGES := $(MODULES:%=%/...)
EXAMPLES := $(patsubst examples/%/main.go,%,$(wildcard examples/*/main.go))

FUZZTIME ?= 10s
COUNT ?= 1
# The tests on real brokers take minutes on a slow machine; 0 is no limit.
TESTTIMEOUT ?= 30m
MODELRUNS ?= 100000
SOAKRUNS ?= 1000
STRESSCOUNT ?= 10
WATERMILLRUNS ?= 10
MUTANTS ?=
VERSION ?=
DIR ?=
# The race detector needs cgo, which Go turns off where it finds no C compiler.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# All packages share the brokers of one run, whose addresses are in the environment.
BROKERS := bin/brokers

.PHONY: test
test: $(BROKERS) ## Vet, run every benchmark once, then all tests with the race detector, beside real brokers
	@$(BROKERS) run -- $(MAKE) test-only

# One command for all modules, so that Go has a package of each processor at work: most tests wait.
.PHONY: test-only
test-only:
	@status=0; echo "# go vet, benchmarks once"; go vet $(PACKAGES) || status=1; \
	out=$$(go test -run='^$$' -bench=. -benchtime=1x $(PACKAGES) 2>&1) || { echo "$$out" | grep -v -E '^(ok|\?|Benchmark|goos:|goarch:|cpu:)'; status=1; }; \
	echo "# $(if $(RACE),,no C compiler found, without the race detector: )go test $(RACE) -count=$(COUNT), after $$SECONDS s"; \
	go test $(RACE) -count=$(COUNT) -timeout=$(TESTTIMEOUT) $(PACKAGES) || status=1; exit $$status

.PHONY: brokers
brokers: $(BROKERS) ## Fetch Kafka, RabbitMQ, NATS, LocalStack, ElasticMQ, the Pub/Sub emulator and Apicurio for the tests; "make test" does so by itself
	@$(BROKERS) get

# Go knows best whether the program is up to date.
.PHONY: $(BROKERS)
$(BROKERS):
	@go build -o $@ ./internal/brokertest/cmd/brokers

.PHONY: lint
lint: $(LINT) ## Check formatting, go.mod files, and run all linters
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt: run make fmt for:"; echo "$$unformatted"; exit 1; }
	@for dir in $(MODULES); do (cd $$dir && echo "# $$dir: go mod tidy -diff" && go mod tidy -diff); done
	@status=0; for dir in $(MODULES); do (cd $$dir && echo "# $$dir: golangci-lint" && \
		$(LINT) run --config $(CURDIR)/.golangci.yml ./...) || status=1; done; exit $$status

.PHONY: fmt
fmt: $(LINT) ## Format all Go files and sort their imports
	@for dir in $(MODULES); do (cd $$dir && $(LINT) fmt --config $(CURDIR)/.golangci.yml ./...); done

.PHONY: bench
bench: ## Run the benchmarks that need no broker and write benchmarks/README.md
	cd benchmarks && go run . -out README.md

.PHONY: bench-kafka
bench-kafka: ## Run the benchmarks with a real Kafka and write benchmarks/kafka/README.md
	cd benchmarks/kafka && go run . -out README.md

.PHONY: bench-rabbitmq
bench-rabbitmq: ## Run the benchmarks with a real RabbitMQ and write benchmarks/rabbitmq/README.md
	cd benchmarks/rabbitmq && go run . -out README.md

.PHONY: bench-nats
bench-nats: ## Run the benchmarks with a real NATS and write benchmarks/nats/README.md
	cd benchmarks/nats && go run . -out README.md

.PHONY: bench-aws
bench-aws: ## Run the benchmarks of SNS and SQS with an ElasticMQ and write benchmarks/aws/README.md
	cd benchmarks/aws && go run . -out README.md

.PHONY: bench-pubsub
bench-pubsub: ## Run the benchmarks of Pub/Sub with Google's emulator and write benchmarks/pubsub/README.md
	cd benchmarks/pubsub && go run . -out README.md

.PHONY: bench-schema
bench-schema: ## Run the benchmarks of checks by the schema Enforcer and write benchmarks/schema/README.md
	cd benchmarks/schema && go run . -out README.md

.PHONY: bench-telemetry
bench-telemetry: ## Run the benchmarks of metrics and traces, with a real Kafka and RabbitMQ, and write benchmarks/telemetry/README.md
	cd benchmarks/telemetry && go run . -out README.md

.PHONY: peerlab
peerlab: ## Run the known bugs of other libraries on them and on Leat, with a real RabbitMQ, and write benchmarks/peerlab/README.md
	cd benchmarks/peerlab && go run . -out README.md

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (10s), one at a time
	@FUZZTIME=$(FUZZTIME) scripts/fuzz $(MODULES)

.PHONY: mutants
mutants: ## Run the conformance suite on every broken broker, to see that it notices
	LEAT_MUTANTS=all go test -count=1 -timeout 60m -run 'TestEvery' ./eventtest

.PHONY: mutants-brokers
mutants-brokers: ## Run the suite on every broken adapter RUNS (1) times, on real brokers, and write the score to docs; MUTANTS matches some
	go run ./internal/mutants -runs $(or $(RUNS),1) -run '$(MUTANTS)'
	@$(MAKE) conformance-page

.PHONY: conformance
conformance: ## Run the suite on every adapter and write docs/conformance.md
	@mkdir -p docs/conformance
	LEAT_REPORTS=$(CURDIR)/docs/conformance go test -count=1 -run '^TestMemoryConforms$$' ./eventtest
	cd adapters/kafka && LEAT_REPORTS=$(CURDIR)/docs/conformance go test -count=1 -run '^TestKafkaConforms$$' .
	cd adapters/rabbitmq && LEAT_REPORTS=$(CURDIR)/docs/conformance go test -count=1 -run '^TestRabbitMQConforms$$' .
	cd adapters/nats && LEAT_REPORTS=$(CURDIR)/docs/conformance go test -count=1 -run '^TestNATSConforms$$' .
	cd adapters/awssnssqs && LEAT_REPORTS=$(CURDIR)/docs/conformance go test -count=1 -timeout 60m -run '^Test(ElasticMQ|LocalStack|Stub)Conforms$$' .
	cd adapters/gcppubsub && LEAT_REPORTS=$(CURDIR)/docs/conformance go test -count=1 -timeout 30m -run '^Test(Emulator|Fake|FakeUnordered)Conforms$$' .
	cd adapters/watermill && LEAT_REPORTS=$(CURDIR)/docs/conformance go test -count=1 -run '^TestGoChannelConforms$$' .
	@$(MAKE) conformance-page

.PHONY: conformance-page
conformance-page: ## Write docs/conformance.md from the reports in docs/conformance
	go run ./internal/conformance

.PHONY: conformance-runs
conformance-runs: ## Run the full suite RUNS (20) times on every adapter and print the green runs; BUSY=1 keeps two cores busy meanwhile
	@scripts/conformance-runs

.PHONY: stress
stress: $(BROKERS) ## Run Watermill's universal suite on Leat's brokers STRESSCOUNT (10) times at once, and with a broker that is restarted
	@$(BROKERS) run -- $(MAKE) stress-only

.PHONY: stress-only
stress-only:
	cd adapters/watermill/amqp && go test -count=1 -timeout 10m -run '^(TestRestart|TestCloseInAnOutage|TestLost.*)$$' .
	cd adapters/watermill/internal/universal && LEAT_STRESS=1 STRESS_TEST_COUNT=$(STRESSCOUNT) \
		go test -count=1 -timeout 120m -v -run '^(TestStress|TestReconnects)$$' . | grep -E '^(ok|FAIL|panic|--- |    --- )'

.PHONY: models
models: ## Compare the engine and the broker in memory with their models over MODELRUNS (100000) random sequences each
	cd internal/models && LEAT_MODEL_RUNS=$(MODELRUNS) go test -count=1 -timeout 60m ./...

.PHONY: soak
soak: ## Run consumers under faults for SOAKRUNS (1000) seeds
	LEAT_RUNS=$(SOAKRUNS) go test -count=1 -timeout 60m -run TestNothingIsLostAndOrderHoldsUnderFaults ./internal/tests

.PHONY: long-kafka
long-kafka: ## Kafka's full counts: 20 kills of the broker and of consumers, 20 rolling restarts, every error code, long outages
	cd adapters/kafka && LEAT_LONG=1 go test -count=1 -timeout 60m -v . | grep -E '^(ok|FAIL|panic|--- |    --- FAIL)| kills|restarts'

.PHONY: long-rabbitmq
long-rabbitmq: ## RabbitMQ's full counts: 20 kills of the broker, all connections closed 50 times
	cd adapters/rabbitmq && LEAT_LONG=1 go test -count=1 -timeout 60m -v . | grep -E '^(ok|FAIL|panic|--- |    --- FAIL)| confirmed'

.PHONY: long-nats
long-nats: ## NATS's full counts: 20 kills of the server
	cd adapters/nats && LEAT_LONG=1 go test -count=1 -timeout 60m -v . | grep -E '^(ok|FAIL|panic|--- |    --- FAIL)| confirmed'

.PHONY: long-aws
long-aws: ## SNS's and SQS's full counts: 50 cuts, 20 restarts of the services, 5 minutes of throttling, 20 kills of consumers
	cd adapters/awssnssqs && LEAT_LONG=1 go test -count=1 -timeout 90m -v . | grep -E '^(ok|FAIL|panic|--- |    --- FAIL)| confirmed| kills'

.PHONY: long-pubsub
long-pubsub: ## Pub/Sub's full counts: the suite on the emulator and on pstest, 20 cut, reset and frozen connections, 20 kills of consumers, 100 streams
	cd adapters/gcppubsub && LEAT_LONG=1 go test -count=1 -timeout 60m -v . | grep -E '^(ok|FAIL|panic|--- |    --- FAIL)| confirmed| streams opened'

.PHONY: long-schema
long-schema: ## 100,000 random pairs of JSON Schemas, each tried on several hundred values; all pairs of the languages on Apicurio
	@cd schema/jsonschema && LEAT_LONG=1 go test -count=1 -timeout=0 -v -run 'TestRandomPairs' .
	@cd schema/confluent/internal/interop && LEAT_LONG=1 go test -count=1 -v -run 'Pairs' .

.PHONY: long-service
long-service: ## The example service: 2,000 orders, each process killed, then no broker for 40 s, on Kafka and RabbitMQ
	cd examples && LEAT_LONG=1 go test -count=1 -timeout 20m -v -run '^TestTrial' ./service | grep -E '^(ok|FAIL|panic|--- )| orders are'

.PHONY: long-watermill
long-watermill: $(BROKERS) ## Watermill's universal suite on each of Leat's brokers WATERMILLRUNS (10) times in a row, and its TestReconnect
	@$(BROKERS) run -- $(MAKE) long-watermill-only

.PHONY: long-watermill-only
long-watermill-only:
	cd adapters/watermill/internal/universal && go test $(RACE) -count=$(WATERMILLRUNS) -timeout 120m -v -run '^TestUniversal$$' . \
		| grep -E '^(ok|FAIL|panic|--- |    --- )'
	cd adapters/watermill/internal/universal && go test -count=$(WATERMILLRUNS) -timeout 120m -v -run '^TestReconnects$$' . \
		| grep -E '^(ok|FAIL|panic|--- |    --- )'

.PHONY: long
long: ## The full counts: 20 race runs, a minute for each fuzz target, benchmarks; writes docs/long-run.md
	@scripts/long-run docs/long-run.md

.PHONY: examples
examples: ## Run every example once
	@for example in $(EXAMPLES); do echo "# go run ./examples/$$example"; go run ./examples/$$example </dev/null; done

.PHONY: board-picture
board-picture: ## Draw the panels of docs/grafana/leat.json from a real Prometheus
	cd examples && go test -count=1 -run TestDrawTheBoard ./observed -picture ../../docs/grafana/leat.svg

.PHONY: release
release: ## Prepare the release VERSION in a clone, in DIR or a folder for temporary files; see docs/releasing.md
	@go run ./internal/release prepare -version "$(VERSION)" $(if $(DIR),-dir "$(DIR)")

.PHONY: release-check
release-check: $(BROKERS) ## Import a release of HEAD as users do, or the release VERSION in DIR, and run it on real brokers
	@$(BROKERS) run -- go run ./internal/release check $(if $(DIR),-version "$(VERSION)" -dir "$(DIR)")

.PHONY: cover
cover: ## Measure test coverage of the root module and print it by package
	@mkdir -p bin
	@go test -coverpkg=./... -coverprofile=bin/cover.out ./...
	@go tool cover -func=bin/cover.out | tail -n 1
	@echo "by line: go tool cover -html=bin/cover.out"

.PHONY: tidy
tidy: ## Tidy the go.mod of every module
	@for dir in $(MODULES); do (cd $$dir && go mod tidy); done

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what the modules call
	@for dir in $(MODULES); do (cd $$dir && echo "# $$dir" && \
		go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) ./...); done

$(LINT):
	@echo "# building golangci-lint $(GOLANGCI_LINT_VERSION) into bin, once"
	@GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@mv $(CURDIR)/bin/golangci-lint $@
