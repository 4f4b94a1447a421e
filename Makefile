# Two commands do all: `make run` serves, `make test` passes the tests. Both install what they need
# into .venv, once, and need nothing but python3 (3.11 or later) and make.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help run test test-all check deep arrows fuzz conformance draw generate bench clean

help: ## this text
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

run: $(VENV)/.run ## serve html/ on http://127.0.0.1:7878 (ARGS="--threads 8" passes options on)
	@exec $(BIN)/python -m server $(ARGS)

test: $(VENV)/.test check ## everything that a commit must pass
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.test ## the checks that run nothing: lint, types, spec, generated code, drawings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m statemachine check
	$(BIN)/python -m statemachine generate --check
	$(BIN)/python -m statemachine draw --check

test-all: ## make test on every Python from 3.11 that is installed
	@for version in 3.11 3.12 3.13; do \
	  python=$$(.ci/find-python $$version) || { echo "Python $$version: not installed, left out"; continue; }; \
	  $(MAKE) test PYTHON=$$python VENV=.venv-$$version || exit 1; \
	done

deep: $(VENV)/.test ## the long runs: more examples of every stateful test
	HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest tests/machines tests/engine --timeout=1800
	$(BIN)/python -m tests.engine.differential --machines 10000 --seed 1

arrows: $(VENV)/.test ## delete each arrow of the spec in turn: does some check or test notice?
	$(BIN)/python -m tests.house.arrows

fuzz: $(VENV)/.test ## fuzz the request reader for SECONDS (60): no crash, no split, no smuggling
	$(BIN)/python -m tests.http1.fuzz --seconds $(SECONDS) $(ARGS)

conformance: $(VENV)/.test ## rewrite docs/conformance.md from the requirements and the tests' marks
	$(BIN)/python -m tests.http1.conformance

bench: $(VENV)/.bench ## measure: engine, thread pool, requests per second against waitress
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/thread_pool.py
	$(BIN)/python benchmarks/hello.py

generate: $(VENV)/.run ## rewrite the typed classes from spec/
	$(BIN)/python -m statemachine generate

draw: $(VENV)/.run ## redraw the diagrams from spec/ (SVG needs graphviz)
	$(BIN)/python -m statemachine draw

clean: ## remove what the other commands made
	rm -rf .venv .venv-3.* .hypothesis .mypy_cache .pytest_cache .ruff_cache dist

# One stamp for each set of packages: made again when pyproject.toml or the constraints change.
$(VENV)/bin/python:
	@PYTHON=$(PYTHON) .ci/make-venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python pyproject.toml .ci/constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt transitions
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt --editable '.[test]'
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt --editable '.[bench]'
	@touch $@
