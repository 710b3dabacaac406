# `make help` lists what there is.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python
RUNS ?= runs
.DEFAULT_GOAL := help
.PHONY: help setup train sweep test test-slow lint reproduce-table1 reproduce-figure3 compare-topologies report floors bench lock clean

help:  ## This list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-22s %s\n", $$1, $$2}'

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

setup: .venv/ready  ## The virtual environment in .venv, with the locked versions

train: .venv/ready  ## Train the paper's LSTM on the Boolean family, and say how well it learns to learn
	$(RUN) -m src.train arch=lstm family=boolean

sweep: .venv/ready  ## A first sweep: three topologies on the Boolean family
	$(RUN) -m src.train -m arch=lstm,elman,rtrl family=boolean

test: .venv/ready  ## The tests
	$(RUN) -m pytest -n 2

test-slow: .venv/ready  ## The tests that take minutes
	$(RUN) -m pytest -m slow

lint: .venv/ready  ## Style, types and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

reproduce-table1: .venv/ready  ## Table 1 of the paper, beside the Bayes floor, into reports/ (QUICK=1: a minute)
	$(RUN) -m src.reproduce table1

reproduce-figure3: .venv/ready  ## Figure 3 of the paper, before and after meta-training, into reports/
	$(RUN) -m src.reproduce figure3

compare-topologies: .venv/ready  ## Which topologies learn to learn: the study of five, on three families, into reports/ (QUICK=1: small)
	$(RUN) -m src.compare

report: .venv/ready  ## The dashboard of all runs as one HTML file (RUNS=<folder>: of those)
	$(RUN) -m src.dashboard report $(RUNS)

floors: .venv/ready  ## Estimate the Bayes floors anew (two minutes)
	$(RUN) -m src.floors

bench: .venv/ready  ## Time the engine beside torch and JAX (ten minutes), for docs/benchmarks.md and reports/bench.csv
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-bench.lock
	$(RUN) -m benchmarks

lock: .venv/ready  ## Write requirements.lock from what is installed
	{ head -1 requirements.lock; $(RUN) -m pip freeze --exclude-editable | grep -v -i -E '^(jax|jaxlib|ml_dtypes|opt_einsum)==' | sed 's/+cpu//'; } > requirements.new
	mv requirements.new requirements.lock

clean:  ## Remove the virtual environment and caches, not the runs
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis
