# `make help` says what there is. Packages come from Debian, Swift from swift.org.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# One compiler at a time: swift build uses every core by itself.
.NOTPARALLEL:

SWIFT ?= swift
PREFIX ?= /usr/local
# Passed on to `crosscut train` and to the benchmarks: make train ARGS="--workers 4"
ARGS ?=
# How long `make chaos`, `fuzz` and `soak` take; how many clusters `make cold-starts` starts, how many
# seeds `make simulate` runs (each with four kinds of cluster), and the first of them.
SECONDS ?=
COUNT ?=
SEED ?= 0

# Swift's own libraries go into the binary, so that it runs where Swift is not installed.
RELEASE := -c release --static-swift-stdlib -Xlinker -s
BINARY := .build/release/crosscut
SWIFT_SOURCES := Package.swift Sources Tests Benchmarks

# All but those that need a folder of photographs.
BENCHMARKS := convolution-stack cluster-step training-step encryption goodput option-cost

# Suites with threads, sockets or buffers that change hands; ObservabilityTests for the web server,
# which has a thread of its own, crosscutTests for the one that writes to the terminal. Left out are the
# pure targets and configuration, which have neither, and for threads also what runs on its caller's or
# on libgomp's alone: files, kernels, training. Processes of their own (EndToEndTests) are out of reach.
THREAD_SUITES := TensorsTests|WireTests|TransportTests|DatasetsTests|ObservabilityTests|NodesTests|crosscutTests
ADDRESS_SUITES := $(THREAD_SUITES)|DurableFilesTests|KernelsTests|TrainingTests

.PHONY: help
help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: train
train: build ## train the preset fashion on this machine; ARGS="..." goes to crosscut train
	@$(BINARY) train $(ARGS)

.PHONY: build
build: packages ## build .build/release/crosscut
	@$(SWIFT) build $(RELEASE) --product crosscut

.PHONY: test
test: development-packages ## build for debugging, check the sources, run the tests
	@$(SWIFT) build --build-tests
	@scripts/check
	@SWIFT="$(SWIFT)" scripts/run-tests

.PHONY: check
check: swift ## check format, imports, generated code and house rules; no build
	@scripts/check

.PHONY: format
format: swift ## format all Swift files
	@$(SWIFT) format --in-place --recursive --parallel $(SWIFT_SOURCES)

.PHONY: bench
bench: build ## run the benchmarks that need no data, or one with its options: ARGS="cluster-step --rounds 5"
	@$(SWIFT) build $(RELEASE) --product benchmarks
	@$(if $(ARGS),.build/release/benchmarks $(ARGS),for name in $(BENCHMARKS); do \
	  echo "== $$name"; .build/release/benchmarks $$name; done)

.PHONY: chaos
chaos: build ## kill and stop random processes and cut links of training clusters for SECONDS (60)
	@scripts/chaos $(or $(SECONDS),60) $(ARGS)

.PHONY: measure-faults
measure-faults: build ## measure how soon faults are noticed and repaired, as root (40 min); ARGS="--only killed --times 5"
	@scripts/measure-faults $(ARGS)

.PHONY: soak
soak: build ## train for an hour (SECONDS=3600) and fail if a process of the cluster grows
	@scripts/soak $(or $(SECONDS),3600) $(ARGS)

.PHONY: cold-starts
cold-starts: build ## start a small cluster COUNT (100) times in any order: each must train its first step
	@scripts/cold-starts $(or $(COUNT),100) $(ARGS)

.PHONY: reproduce
reproduce: build ## the 2012 paper's experiments on CIFAR-10: DATA=cifar10.tar.gz, QUICK=1 for a first look
	@scripts/reproduce --data "$(or $(DATA),$(error DATA names CIFAR-10, a folder or a .tar.gz))" \
	  $(if $(QUICK),--quick) $(ARGS)

.PHONY: bench-network
bench-network: build ## measure on an emulated Ethernet, as root; ARGS="--with-ddp python3 --hosts 4"
	@scripts/bench-network $(ARGS)

.PHONY: bench-large-head
bench-large-head: build ## measure last layers of up to a million classes; ARGS="--classes 1000000"
	@scripts/bench-large-head $(ARGS)

.PHONY: simulate
simulate: development-packages ## run simulated clusters with faults, COUNT (20000) of each of four kinds, from SEED (0)
	@$(SWIFT) build --build-tests
	@CROSSCUT_SIMULATION_SEEDS=$(or $(COUNT),20000) CROSSCUT_SIMULATION_FIRST=$(SEED) \
	  $(SWIFT) test --skip-build --disable-xctest --filter 'SimulationTests'

.PHONY: model
model: ## search all states of docs/view.pml with spin (Debian's spin)
	@scripts/check-model

# No search for leaks: it takes arrays of enums in static memory for lost, as Swift keeps tags in the
# pointers' spare bits (samples of WireTests). Growth is what make soak looks for.
.PHONY: sanitize
sanitize: packages ## run the tests under ThreadSanitizer and AddressSanitizer (takes a while)
	@TSAN_OPTIONS="suppressions=$(CURDIR)/scripts/tsan-suppressions" \
	  $(SWIFT) test --disable-xctest --sanitize=thread --scratch-path .build-tsan \
	  --filter '$(THREAD_SUITES)'
	@ASAN_OPTIONS=detect_leaks=0 \
	  $(SWIFT) test --disable-xctest --sanitize=address --scratch-path .build-asan \
	  --filter '$(ADDRESS_SUITES)'

.PHONY: fuzz
fuzz: packages ## fuzz the decoders of outside bytes, each for SECONDS (60); ARGS="wire idx" picks some
	@scripts/fuzz $(or $(SECONDS),60) $(ARGS)

.PHONY: test-compose
test-compose: ## run docker-compose.yml for real: build, up, scale, kill, down (needs root or Docker)
	@scripts/test-compose

.PHONY: check-kubernetes
check-kubernetes: ## check deploy/kubernetes against the published schemas (needs kubernetes-validate)
	@scripts/check-kubernetes

.PHONY: test-page
test-page: packages ## look at the page of a run in headless Chromium (needs Debian's chromium)
	@$(SWIFT) build --product crosscut
	@scripts/test-page $(ARGS)

.PHONY: install
install: ## copy the built crosscut to $(DESTDIR)$(PREFIX)/bin; PREFIX is /usr/local by itself
	@test -x $(BINARY) || { echo "make install: nothing is built yet; make build first" >&2; exit 1; }
	@install -D -m 755 $(BINARY) "$(DESTDIR)$(PREFIX)/bin/crosscut"
	@echo "$(DESTDIR)$(PREFIX)/bin/crosscut"

.PHONY: package
package: build ## make a Debian package of the built crosscut, with man page, completion and units
	@scripts/package

.PHONY: clean
clean: ## remove everything built; runs/ stays
	@rm -rf .build .build-tsan .build-asan .build-fuzz

.PHONY: swift
swift:
	@scripts/require-swift

.PHONY: packages
packages: swift
	@scripts/install-packages

.PHONY: development-packages
development-packages: swift
	@scripts/install-packages --development
