# `make` alone lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CARGO := cargo --locked
# Empty, or a folder with a slash behind it: where `make generate` writes to.
GENERATED ?=
# Read by the build of the control plane too.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/cloudop
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(CACHE)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
MDBOOK_VERSION := 0.5.4
MDBOOK := $(CACHE)/mdbook-$(MDBOOK_VERSION)/bin/mdbook
LYCHEE_VERSION := 0.24.2
LYCHEE := $(CACHE)/lychee-$(LYCHEE_VERSION)/bin/lychee

.PHONY: help
help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: toolchain ## five operations followed to their ends, on a real API server (1 min; 10 to 25 at first); CLUSTER=current: on yours
	@tests/build $(if $(filter current,$(CLUSTER)),demo-current,demo)
	@$(CARGO) run --quiet --package cloudop-testbed --bin demo -- $(CLUSTER)

.PHONY: picture
picture: toolchain ## records the demo's kubectl cloudop watch: docs/images/watch.svg (2 min)
	@tests/build demo
	@$(CARGO) build --quiet --package cloudop-testbed --bin recording
	@RECORDING=docs/images/watch.svg $(CARGO) run --quiet --package cloudop-testbed --bin demo

.PHONY: test
test: toolchain ## everything there is to test, on a real API server (10 min; 20 to 40 at first)
	@tests/run

.PHONY: test-oldest
test-oldest: toolchain ## what meets a cluster, on the oldest Kubernetes that is supported (7 min; 20 to 40 at first)
	@tests/run oldest

.PHONY: test-unit
test-unit: toolchain ## what needs no cluster (seconds)
	$(CARGO) test --package cloudop --lib --bins --test replies --test architecture

.PHONY: sim
sim: toolchain ## searches for broken promises in a simulated world until stopped (10 min to build at first; FOR=seconds, SEED=one)
	@SIM_SEED=$(SEED) SIM_SECONDS=$(or $(FOR),1000000000) SIM_FIRST=$(or $(FIRST),1000000) \
	  $(CARGO) test --quiet --profile search --test sim no_story -- --nocapture

.PHONY: sim-core
sim-core: toolchain ## walks through all that can happen to the core in so many steps (STEPS=5)
	@CORE_STEPS=$(or $(STEPS),5) $(CARGO) test --quiet --profile search --test sim no_path -- --nocapture

.PHONY: sim-planted
sim-planted: toolchain ## plants faults in copies of the code and has the search find each (30 min)
	@tests/sim/planted/run

.PHONY: fuzz
fuzz: toolchain ## searches with coverage for inputs that break a promise (TARGET=one, FOR=60 seconds each; 10 min to build at first)
	@tests/fuzz/run '$(TARGET)' $(or $(FOR),60)

.PHONY: bench
bench: toolchain ## measures it beside other operators, into docs/benchmarks.md (40 min; BENCH=--help for less)
	@benches/build
	@$${CARGO_TARGET_DIR:-target}/release/cloudop-bench $(BENCH)

.PHONY: bench-schedule
bench-schedule: toolchain ## compares when operations are polled, into docs/schedules.md (1 min; 10 at first)
	@$(CARGO) run --quiet --profile search --package cloudop-bench --bin bench-schedule >docs/.new
	@mv docs/.new docs/schedules.md

# What cargo fmt does not find: modules whose names stand in a macro's call.
NAMED_BY_MACROS = src/provider/*.rs tests/simulator/src/clouds/*.rs

.PHONY: fmt
fmt: toolchain ## formats the code
	cargo fmt --all
	rustfmt --edition 2024 $(NAMED_BY_MACROS)

.PHONY: lint
lint: toolchain ## formatting, and clippy with warnings denied
	cargo fmt --all --check
	rustfmt --edition 2024 --check $(NAMED_BY_MACROS)
	$(CARGO) clippy --workspace --all-targets -- --deny warnings

.PHONY: generate
generate: toolchain ## writes what is made from the code: crds/, docs/api.md and docs/metrics.md
	@mkdir -p $(GENERATED)crds $(GENERATED)docs
	@$(CARGO) build --quiet --bin apigen --bin crdgen --bin metricsgen
	@$(CARGO) run --quiet --bin crdgen $(GENERATED)crds
	@$(CARGO) run --quiet --bin apigen >$(GENERATED)docs/.new
	@mv $(GENERATED)docs/.new $(GENERATED)docs/api.md
	@$(CARGO) run --quiet --bin metricsgen >$(GENERATED)docs/.new
	@mv $(GENERATED)docs/.new $(GENERATED)docs/metrics.md

.PHONY: docs
docs: toolchain $(MDBOOK) $(LYCHEE) ## builds the documentation as a site, and checks its links: target/docs (15 s; 5 to 15 min at first)
	@docs/build $(MDBOOK) $(LYCHEE)

.PHONY: control-plane
control-plane: ## builds etcd, kube-apiserver, kubectl and helm once, and prints the folder that holds them
	@tests/control-plane/build

.PHONY: image
image: toolchain ## builds the image without a container engine, looks at it, and writes its SBOM: target/image (10 min at first)
	@deploy/image/build

.PHONY: cli
cli: toolchain ## builds kubectl-cloudop, static, for Linux on amd64 and arm64, and tries both: target/cli (30 min at first)
	@deploy/cli/build

.PHONY: release
release: toolchain ## builds all that a release has, for amd64 and arm64, and tries it: dist (1 h at first)
	@deploy/release/build

.PHONY: deny
deny: toolchain $(CARGO_DENY) ## licences, bans and sources of what we depend on
	$(CARGO_DENY) --locked check licenses bans sources

.PHONY: clean
clean: toolchain ## removes what was built here; $(CACHE) stays
	cargo clean

# Not optimised: it works for two seconds, and would be compiled for four minutes.
$(CARGO_DENY):
	@$(MAKE) toolchain
	@echo 'Building cargo-deny $(CARGO_DENY_VERSION) into $(CACHE), once; it takes a minute or two.' >&2
	@CARGO_PROFILE_DEV_DEBUG=false cargo install cargo-deny --debug --quiet --locked --version $(CARGO_DENY_VERSION) --root $(CACHE)/cargo-deny-$(CARGO_DENY_VERSION)

$(MDBOOK):
	@$(MAKE) toolchain
	@echo 'Building mdbook $(MDBOOK_VERSION) into $(CACHE), once; it takes two minutes or more.' >&2
	@CARGO_PROFILE_DEV_DEBUG=false cargo install mdbook --debug --quiet --locked --no-default-features --features search --version $(MDBOOK_VERSION) --root $(CACHE)/mdbook-$(MDBOOK_VERSION)

$(LYCHEE):
	@$(MAKE) toolchain
	@echo 'Building lychee $(LYCHEE_VERSION), which checks links, into $(CACHE), once; it takes three minutes or more.' >&2
	@CARGO_PROFILE_DEV_DEBUG=false cargo install lychee --debug --quiet --locked --no-default-features --version $(LYCHEE_VERSION) --root $(CACHE)/lychee-$(LYCHEE_VERSION)

.PHONY: toolchain
toolchain:
	@command -v cargo >/dev/null || { echo 'Rust is missing: install it with rustup (https://rustup.rs), which takes the version from rust-toolchain.toml.' >&2; exit 1; }
	@command -v cc >/dev/null || { echo 'A C compiler is missing, for linking and for the cryptography: install gcc or clang (Debian: apt-get install build-essential).' >&2; exit 1; }
