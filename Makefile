# Two commands do all: `make run` serves, `make test` passes the tests. Both install what they need
# into .venv, once, and need nothing but python3 (3.11 or later) and make.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PEERS  ?= .venv-gauntlet
ARGS   ?=
SECONDS ?= 60
ALL    ?=
SEED   ?= 1

.DEFAULT_GOAL := help
.PHONY: help run test test-all check browser deep schedules arrows mutants fuzz conformance draw generate docs docs-links bench bench-parts soak costs gauntlet compiled test-compiled clean

help: ## this text
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

run: $(VENV)/.run ## serve html/ on http://127.0.0.1:7878 (ARGS="--threads 8" passes options on)
	@exec $(BIN)/python -m server $(ARGS)

test: $(VENV)/.test check ## everything that a commit must pass
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

check: $(VENV)/.test ## the checks that run nothing: lint, types, spec, generated code, drawings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m statemachine check
	$(BIN)/python -m statemachine prove
	$(BIN)/python -m statemachine generate --check
	$(BIN)/python -m statemachine draw --check

test-all: ## make test on every Python from 3.11 that is installed
	@for version in 3.11 3.12 3.13; do \
	  python=$$(.ci/find-python $$version) || { echo "Python $$version: not installed, left out"; continue; }; \
	  $(MAKE) test PYTHON=$$python VENV=.venv-$$version || exit 1; \
	done

browser: $(VENV)/.test ## the tests of the dashboard in Chromium, which is installed first where that can be done
	@.ci/get-chromium
	$(BIN)/python -m pytest tests/browser $(ARGS)

deep: $(VENV)/.test ## the long runs, a quarter of an hour: spec, SPIN, more examples, lives, engines, schedules
	@$(BIN)/python -m tests.deep $(ARGS)

schedules: $(VENV)/.test ## the scheduler's long run: scenes exhausted, others walked, every seeded bug found
	$(BIN)/python -m tests.interleavings explore 'pool: 2z1 o o d' --preemptions 2 --no-release-points
	$(BIN)/python -m tests.interleavings explore 'pool: 2 o o d' --preemptions 2 --no-release-points --classes
	$(BIN)/python -m tests.interleavings random --seconds 20 --seed $$(date +%Y%m%d)
	$(BIN)/python -m tests.interleavings random --points --seconds 30 --seed $$(date +%Y%m%d)
	$(BIN)/python -m tests.interleavings pct --points --seconds 20 --seed $$(date +%Y%m%d)
	$(BIN)/python -m tests.interleavings catalogue

arrows: $(VENV)/.test ## delete each arrow of the spec in turn: does some check or test notice?
	$(BIN)/python -m tests.mutants spec --kind deleted

mutants: $(VENV)/.test ## change one thing of spec, engine or code at a time: does something notice? (ALL=1: everything)
	$(BIN)/python -m tests.mutants spec --kind deleted
	$(BIN)/python -m tests.mutants engine
	$(BIN)/python -m tests.mutants spec $(if $(ALL),,--minutes 2 --seed $(SEED))
	$(BIN)/python -m tests.mutants code $(if $(ALL),,--minutes 4 --seed $(SEED))

fuzz: $(VENV)/.test ## fuzz the request reader for SECONDS (60): no crash, no split, no smuggling
	$(BIN)/python -m tests.http1.fuzz --seconds $(SECONDS) $(ARGS)

conformance: $(VENV)/.test ## rewrite docs/conformance.md from the requirements and the tests' marks
	$(BIN)/python -m tests.http1.conformance

docs: $(VENV)/.docs ## build the documentation site, docs/_build/html, and check its own links
	$(BIN)/python -m docs._ext docs/_build
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --conf-dir docs docs/_build/pages docs/_build/html
	$(BIN)/python -m docs._ext.built docs/_build/html

docs-links: docs ## ask whether the addresses that the site links to still answer (needs the network)
	$(BIN)/python -m sphinx --builder linkcheck --conf-dir docs docs/_build/pages docs/_build/links

bench: $(PEERS)/.gauntlet compiled ## speed by scenario beside waitress, cheroot, gunicorn, granian, nginx; needs wrk (ARGS="--quick")
	$(PEERS)/bin/python -m benchmarks.speed $(ARGS)

bench-parts: $(VENV)/.bench ## what an event, a trace and a switch of Interlock cost
	$(BIN)/python -m benchmarks.engine
	$(BIN)/python -m benchmarks.traces
	$(BIN)/python benchmarks/hello.py

compiled: $(VENV)/.compiled ## compile the way of a request, for `make run` from then on (needs a C compiler and Python's headers)
	$(BIN)/python -m server compile

test-compiled: compiled ## the tests of the wire, the machines, HTTP/1.1 and what is observed, on the compiled core
	$(BIN)/python -m pytest -p tests.compiled.plugin --numprocesses auto --dist worksteal tests/wire tests/machines tests/http1 tests/gauntlet tests/frameworks tests/ops tests/net/test_meter.py tests/test_flight.py $(ARGS)

soak: $(VENV)/.test ## a million requests of one server: memory, objects, threads, descriptors stay flat
	nice -n 5 $(BIN)/python -m benchmarks.soak --requests 1000000 $(ARGS)

costs: $(VENV)/.test ## rewrite tests/cost/pins.toml: what a request costs in calls, system calls, objects
	$(BIN)/python -m tests.cost

gauntlet: $(PEERS)/.gauntlet ## overload, slow peers, stuck code, signals: Interlock beside waitress, cheroot, gunicorn, granian
	$(PEERS)/bin/python -m benchmarks.gauntlet $(ARGS)

generate: $(VENV)/.run ## rewrite the typed classes from spec/
	$(BIN)/python -m statemachine generate

draw: $(VENV)/.run ## redraw the diagrams from spec/ (SVG needs graphviz)
	$(BIN)/python -m statemachine draw

clean: ## remove what the other commands made
	rm -rf build docs/_build .venv .venv-3.* .venv-gauntlet .hypothesis .mypy_cache .pytest_cache .ruff_cache dist

# One stamp for each set of packages: made again when pyproject.toml or the constraints change.
$(VENV)/bin/python:
	@PYTHON=$(PYTHON) .ci/make-venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python pyproject.toml .ci/constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt transitions
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt --editable '.[test]'
	@touch $@

$(VENV)/.docs: $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt --editable '.[docs]'
	@touch $@

$(VENV)/.compiled: $(VENV)/.test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt --editable '.[compiled]'
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt --editable '.[bench]'
	@touch $@

# The peers have an environment of their own, at versions of their own: no test needs them.
$(PEERS)/bin/python:
	@PYTHON=$(PYTHON) .ci/make-venv $(PEERS)

$(PEERS)/.gauntlet: $(PEERS)/bin/python .ci/constraints-gauntlet.txt
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints-gauntlet.txt transitions mypy_extensions waitress cheroot gunicorn granian
	@touch $@
