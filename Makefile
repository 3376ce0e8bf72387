# One command each; every target first builds what it needs. `make` alone lists them.

PYTHON ?= python3
PY := .venv/bin/python
# How long `make chaos` goes on, and what its faults are drawn from; without a seed one is drawn, and said.
MINUTES ?= 10
SEED ?=
# What `make test` hands to pytest besides, for example: make test T=tests/unit/test_clock.py
T ?=
FAST_TESTS := $(wildcard tests/unit tests/rules tests/parity)

export PYTHON
# Where Python is told to keep nothing that it compiled, each of some thousand processes would compile all of it again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo check check-fast soak chaos bench bench-all venv format lint types imports wheel test test-fast simulate fix lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: venv ## the whole mesh on several dozen synthetic cases
	@.venv/bin/vigimesh demo

check: venv ## format, lint, types, import rules, wheel, every test (what CI runs)
	@bash .ci/steps check format lint types imports wheel test

check-fast: venv ## the same without a broker, in a few minutes
	@bash .ci/steps check-fast format lint types imports test-fast

venv: ## .venv as requirements.lock says (only when it does not yet)
	@bash .ci/venv

format: venv ## is every file formatted?
	@$(PY) -m ruff format --check --quiet --output-format concise .

lint: venv ## ruff's rules
	@$(PY) -m ruff check --quiet --output-format concise .

types: venv ## strict types, code and tests
	@$(PY) -m mypy --no-error-summary

imports: venv ## the import rules of pyproject.toml
	@.venv/bin/lint-imports --no-logo

wheel: venv ## dist/*.whl
	@rm -rf dist
	@$(PY) -m hatchling build --target wheel --directory dist > /dev/null
	@ls dist/*.whl > /dev/null

test: venv ## every test, chaos last; T="tests/unit -x" is one run of a path, T="-x" adds to all runs
	@bash .ci/tests $(T)

test-fast: venv ## the tests that need no broker
	@$(PY) -m pytest -n $$(($$(nproc) + 1)) --dist loadfile -m "not real" $(FAST_TESTS) $(T)

simulate: venv ## 10,000 seeds of each simulation, on every core (SEEDS=n for another number)
	@SEEDS=$${SEEDS:-10000} $(PY) -m pytest -s tests/simulation -k whatever_fails

soak: venv ## calls of 15 minutes and 500 rebalances; MINUTES=15
	@SOAK_MINUTES=$(or $(MINUTES),15) SOAK_REBALANCES=500 $(PY) -m pytest tests/parity/test_long_calls.py $(T)

fix: venv ## let ruff mend what it can
	@$(PY) -m ruff format --quiet .
	@$(PY) -m ruff check --fix .

chaos: venv ## faults for MINUTES=10, drawn from SEED; the last line is one JSON object
	@PYTHONPATH=tests $(PY) -m chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

bench: venv ## build the environments of the benchmarks' peers (.bench/); runs nothing
	@bash benchmarks/peers/build

bench-all: bench ## every benchmark in turn, three quarters of an hour or more on an idle machine; results to benchmarks/results/
	@bash benchmarks/all.sh

lock: ## write requirements.lock anew from pyproject.toml (needs uv)
	@bash .ci/lock

clean: ## remove what was built, .venv too
	@rm -rf .venv .bench dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
