# Everything a person runs. The two commands to know: `make demo` and `make test`.
# Each target sets up what it needs: packages from the lock files, and Node 24 where the machine's
# own Node is older. Variables given to make (FIRMWARE=…, ONLY=…) reach the programs by environment.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

# `new` runs TypeScript as it is; `old` can only install the packages; empty: no usable Node.
machine-node := $(shell node -p "const [major, minor] = process.versions.node.split('.').map(Number); \
  major > 24 || (major === 24 && minor >= 6) ? 'new' : major >= 20 ? 'old' : ''" 2>/dev/null)
machine := $(shell uname -sm)
architecture := $(if $(filter Linux,$(machine)),$(if $(filter x86_64,$(machine)),x64,$(if \
  $(filter aarch64 arm64,$(machine)),arm64)))
ifeq ($(machine-node),new)
NODE := node
else
NODE := .node/node_modules/node-linux-$(architecture)/bin/node
endif

# Programs start with half the CPU time when Node keeps what it compiled; keyed by content.
export NODE_COMPILE_CACHE := $(CURDIR)/out/compile-cache

.PHONY: demo flash agent boards test help setup packages backend can-bus secondaries runtime \
  provider-hosts typecheck lint format arrows licences conformance mutants ci fuzz attacks bench bench-peers \
  powercut wear clean kill-test kill-backend container token-helper dos bench-backend size size-diff fuzz-native

demo: setup ## Main job: one update from the backend to every ECU (FIRMWARE=file ECU=name ATTACK=name OFFLINE=1 KILLS=n SEED=n BOARD=name|path)
	@programs=$$($(NODE) boards/make-arguments.ts) || exit 2; \
	  test -z "$$programs" || $(MAKE) runtime $$programs
	@$(NODE) backend/fleet/demo.ts

flash: setup ## One ECU onto a board over ssh (BOARD=raspberrypi HOST=user@address ECU=name DRY_RUN=1: boards/raspberrypi)
	@$(NODE) backend/fleet/flash/main.ts

agent: setup ## The agent program of a release (BOARD= PROGRAM=primary RELEASE=2 OUT=file)
	@$(NODE) boards/agent.ts

boards: setup ## Table of the boards; BOARD=path/to/board.json checks another one, too
	@$(NODE) boards/table.ts

test: setup ## All tests, or those whose path begins with ONLY (make test ONLY=unit/can)
	@$(NODE) test/run.ts

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

# An installation is complete when its copy of the lock file is there and equal: the copy goes with
# the folder, and is written last.
setup: ## Installs the locked packages, and Node 24 where the machine's Node is older
ifeq ($(machine-node),)
	@echo 'make: Node.js 20 or newer is needed to begin with (found: '"$$(node --version \
	  2>/dev/null || echo none)"'). Debian and Ubuntu: install the packages nodejs and npm.' >&2; exit 1
else
	@command -v npm >/dev/null || { echo 'make: npm is needed beside Node.js (Debian and Ubuntu:' \
	  'package npm).' >&2; exit 1; }
	@cmp -s package-lock.json node_modules/.installed-lock || { rm -rf node_modules && \
	  npm install --no-save && cp package-lock.json node_modules/.installed-lock; }
endif
ifeq ($(machine-node),old)
ifeq ($(architecture),)
	@echo 'make: the machine has $(machine); install Node.js 24.6 or newer (npm brings it on Linux' \
	  'x86_64 and aarch64 only).' >&2; exit 1
else
	@cmp -s .node/package-lock.json .node/node_modules/.installed-lock && test -x $(NODE) || { \
	  npm ci --prefix .node && cp .node/package-lock.json .node/node_modules/.installed-lock; }
endif
endif

packages: ## Installs the Debian packages of .ci/packages (as root; make ci does it)
	@.ci/install-packages

# Debian's buildah needs neither an engine nor a registry of images; as root.
container: setup ## The backend's container image by buildah, and its smoke test (Dockerfile, compose.yaml)
	@.ci/install-packages buildah debootstrap
	@backend/container/builder.sh localhost/ev-ota-builder $(NODE)
	@buildah bud --isolation chroot --format docker --volume /etc/ssl/certs:/etc/ssl/certs:ro --quiet \
	  --build-arg BUILDER=localhost/ev-ota-builder \
	  --build-arg NPM_CONFIG_REGISTRY="$$(npm config get registry)" \
	  --build-arg NPM_CONFIG_CAFILE=/etc/ssl/certs/ca-certificates.crt --tag localhost/ev-ota .
	@backend/container/smoke.sh localhost/ev-ota $(NODE)

# The program that loads a vendor's PKCS#11 module, and with sanitizers for the tests.
token-helper: ## out/pkcs11/token-helper: online keys in a PKCS#11 token (docs/operations.md)
	@.ci/install-packages gcc libc6-dev libp11-kit-dev
	@mkdir -p out/pkcs11
	@for kind in '' -checked; do \
	  made=out/pkcs11/token-helper$$kind; source=backend/signer/pkcs11/token-helper.c; \
	  test $$made -nt $$source || { gcc -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -Wpedantic -Wshadow \
	    -Wstrict-prototypes -isystem /usr/include/p11-kit-1 -fstack-protector-strong \
	    $$(test -z "$$kind" && echo '-O2 -D_FORTIFY_SOURCE=2' || echo '-O1 -g -fsanitize=address,undefined \
	    -fno-sanitize-recover=all') -o $$made.new $$source -ldl && mv $$made.new $$made; } || exit 1; \
	done

backend: setup ## Director, Image repository and operator plane on this machine
	@$(NODE) backend/main.ts

# Run in a terminal of its own; docs/can-bus.md says how tools join.
can-bus: setup ## An emulated CAN bus until Ctrl-C (CAN_SOCKETCAND=port CAN_LOG=file: docs/can-bus.md)
	@mkdir -p out
	@exec $(NODE) hal/emulated/can-hub.ts --listen "$${CAN_BUS:-unix:out/can0.sock}" \
	  --socketcand "tcp:$${CAN_SOCKETCAND:-0}" --slcan "tcp:$${CAN_SLCAN:-0}" \
	  --slcan unix:out/can0-slcan.sock $${CAN_LOG:+--log "$$CAN_LOG"} \
	  $${CAN_FAULTS:+--faults "$$CAN_FAULTS"}

secondaries: setup ## The Secondaries that make demo left, on their bus, for testers
	@exec $(NODE) backend/fleet/secondaries.ts

# The cross compilers come from the machine's own suite; what is built comes by sources.sh, and again
# when another folder of QuickJS-ng is named than the last time.
runtime-packages := make gcc libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
  gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
ARCHITECTURES ?= x86_64 aarch64 armhf

runtime: setup ## ECU programs for QuickJS-ng: out/bin/ARCH/ecu-primary, ecu-secondary (ARCHITECTURES=… RUNTIME_RELEASE=n QUICKJS_SRC=folder)
	@.ci/install-packages $(runtime-packages)
	@test "$$(cat out/runtime/sources/.complete 2>/dev/null || echo none)" = "$(QUICKJS_SRC)" || { \
	  env -u ARCHITECTURES hal/quickjs/build/sources.sh out/runtime/sources && \
	  touch -c -d @0 out/runtime/quickjs/.prepared out/runtime/quickjs-tools/.prepared; }
	@for architecture in $(ARCHITECTURES); do \
	  $(MAKE) -j2 -f hal/quickjs/build/runtime.mk ARCH=$$architecture programs || exit 1; \
	done
	@ls -l out/bin/*/ecu-* | awk '{ print $$9 ": " $$5 " bytes" }'

provider-hosts: runtime ## Programs for tests: the native crypto (one with sanitizers), QuickJS for the agent's tests
	@.ci/install-packages libbearssl-dev libssl-dev
	@$(MAKE) -j2 -f hal/quickjs/build/runtime.mk provider-hosts script-hosts engine-host
	@test "$$(uname -m)" != x86_64 || { \
	  $(MAKE) -j2 -f hal/quickjs/build/runtime.mk ARCH=x86_64 CRYPTO=openssl programs && \
	  $(MAKE) -f hal/quickjs/build/runtime.mk ARCH=x86_64 function-records; }

typecheck: setup ## TypeScript, strict, without output
	@node_modules/.bin/tsc --noEmit

lint: setup ## Lint rules and format, nothing written
	@node_modules/.bin/biome check --error-on-warnings .

format: setup ## Formats every file and applies the safe fixes
	@node_modules/.bin/biome check --write .

arrows: setup ## Import arrows between the folders, and what tier 2 may use
	@$(NODE) test/checks/import-arrows.ts

licences: setup ## Licences, pins and reasons of every package
	@$(NODE) test/checks/licences.ts

conformance: setup ## Writes docs/conformance.md: every requirement with its code and its tests
	@$(NODE) --disable-warning=ExperimentalWarning test/conformance/run.ts

conformance-check: setup
	@$(NODE) --disable-warning=ExperimentalWarning test/conformance/run.ts --check

mutants: setup ## Removes every check that names a requirement; a test of that name has to fail (ONLY=)
	@$(NODE) --disable-warning=ExperimentalWarning test/conformance/mutants.ts

# One check after the other, so that one run shows everything; the tests come last and count the
# checks that failed.
ci: setup packages ## All that continuous integration runs: checks, then tests
	@failed=''; \
	for check in provider-hosts token-helper typecheck lint arrows licences conformance-check; do \
	  echo "== $$check"; $(MAKE) $$check || failed="$$failed $$check"; \
	done; \
	echo '== test'; FAILED_CHECKS="$$failed" ONLY= $(NODE) test/run.ts

fuzz: setup ## A million mutated inputs to every decoder and the verifier (SEED= CASES=)
	@$(NODE) test/fuzz/run.ts

fuzz-native: provider-hosts ## Hostile calls, frames and records to the C code of the QuickJS host, with sanitizers (SEED= CASES=)
	@$(NODE) test/native/fuzz-run.ts

attacks: setup ## The fourteen attacks from every attacker's position (ATTACKS=part of an id or name, SHORT=1)
	@$(NODE) --disable-warning=ExperimentalWarning backend/fleet/arena/main.ts

dos: setup ## Attacks on availability that succeed elsewhere, replayed against the backend (docs/dos.md)
	@$(NODE) --disable-warning=ExperimentalWarning test/dos/run.ts

bench: setup ## Speed and memory, printed and written to out/bench.json
	@$(NODE) test/bench/run.ts

bench-peers: runtime ## Our installer beside Debian's SWUpdate and its own floor, in out/bench-peers.json (minutes)
	@.ci/install-packages swupdate openssl libssl-dev || echo 'without SWUpdate' >&2
	@$(MAKE) -f hal/quickjs/build/runtime.mk bench-programs
	@$(MAKE) -f hal/quickjs/build/runtime.mk CRYPTO=openssl bench-programs
	@$(NODE) test/bench/peers/run.ts

bench-backend: setup ## What one backend process bears, printed and written to out/bench-backend.json
	@$(NODE) --disable-warning=ExperimentalWarning test/bench/backend/run.ts

size: runtime ## Bytes of the QuickJS programs and agents, with budgets, in out/size.json (WRITE=1)
	@$(NODE) test/size/run.ts

size-diff: runtime ## What of it has changed since the last commit
	@DIFF=1 $(NODE) test/size/run.ts

powercut: setup ## Power cuts at every point of an update, and again in each recovery (EVERY=n SCENARIOS=n SEED=n)
	@$(NODE) test/powercut/run.ts

kill-test: setup ## Demonstrations until kill -9 has hit ECU processes 100 times at random instants (SEED=n)
	@$(NODE) backend/fleet/kill-test.ts

kill-backend: setup ## The backend killed 50 times by kill -9 under load: nothing acknowledged is lost (KILLS=n SEED=n)
	@$(NODE) --disable-warning=ExperimentalWarning test/kill/run.ts

wear: setup ## What one update erases and writes in each partition of the flash
	@$(NODE) test/powercut/wear.ts

clean: ## Removes out/: what builds, demos and tests have written
	rm -rf out
