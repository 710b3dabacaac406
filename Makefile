# `make help` lists what there is.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python
RUNS ?= runs
# torch alone is not in requirements.lock: whether its CPU or its GPU build is right depends on the machine and its index.
TORCH ?= torch==2.13.0
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check
# `make lock` has its compiler in a temporary environment. It writes the hashes of all files of a version, for every platform.
UV := uv~=0.13.9
LOCK := .venv-lock
COMPILE = $(LOCK)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
# torch, and what only its GPU build needs; and the entries for versions of Python that the project does not support.
TO_LOCK = awk '/^[a-z]/ {keep = !/^(torch|triton|nvidia-[a-z0-9-]*|cuda-[a-z]*)==/ && !/python_full_version >=/} keep'
.DEFAULT_GOAL := help
.PHONY: help setup train sweep test test-slow test-next lint reproduce-table1 reproduce-figure3 compare-topologies report floors bench lock clean

help:  ## This list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-22s %s\n", $$1, $$2}'

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) --no-deps --require-hashes -r requirements.lock
	$(PIP) '$(TORCH)'
	$(PIP) --no-deps --no-build-isolation --editable .
	$(RUN) -m pip check
	@echo "Compiling the kernels of the archs that ship, so that the first runs need not."
	-$(RUN) -m src.kernel warm
	@touch $@

setup: .venv/ready  ## The virtual environment in .venv, with the locked versions

train: .venv/ready  ## Train the paper's LSTM on the Boolean family, and say how well it learns to learn
	$(RUN) -m src.train arch=lstm family=boolean

sweep: .venv/ready  ## A first sweep: three topologies on the Boolean family
	$(RUN) -m src.train -m arch=lstm,elman,rtrl family=boolean

test: .venv/ready  ## The tests
	$(RUN) -m pytest -n 2

test-next: requirements.lock pyproject.toml  ## The tests on the next Hydra, a pre-release, in an environment of its own
	$(PYTHON) -m venv .venv-next
	.venv-next/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	.venv-next/bin/python -m pip install --quiet '$(TORCH)'
	.venv-next/bin/python -m pip install --quiet --pre --upgrade 'hydra-core>=1.4.0rc1,<1.5'
	.venv-next/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	.venv-next/bin/python -m pytest -n 2

test-slow: .venv/ready  ## The tests that take minutes
	$(RUN) -m pytest -m slow

lint: .venv/ready  ## Style, types, formatting, the direction of imports, the page's JavaScript
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/oxlint --deny-warnings

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
	$(PIP) --no-deps --require-hashes -r requirements-bench.lock
	$(RUN) -m benchmarks

lock:  ## Write requirements.lock and requirements-bench.lock anew, from the ranges in pyproject.toml
	$(PYTHON) -m venv $(LOCK)
	$(LOCK)/bin/python -m pip install --quiet --disable-pip-version-check '$(UV)'
	$(COMPILE) --upgrade --extra dev pyproject.toml -o $(LOCK)/all
	{ head -1 requirements.lock; $(TO_LOCK) $(LOCK)/all; } > $(LOCK)/requirements.lock
	$(COMPILE) --upgrade --extra dev --extra bench --constraint $(LOCK)/all pyproject.toml -o $(LOCK)/more
	$(TO_LOCK) $(LOCK)/more > $(LOCK)/bench
	{ head -1 requirements-bench.lock; \
	  awk 'NR == FNR {seen[$$1] = 1; next} /^[a-z]/ {keep = !($$1 in seen)} keep' $(LOCK)/requirements.lock $(LOCK)/bench; } > $(LOCK)/requirements-bench.lock
	mv $(LOCK)/requirements.lock $(LOCK)/requirements-bench.lock .
	rm -rf $(LOCK)

clean:  ## Remove the virtual environment and caches, not the runs
	rm -rf .venv .venv-next .venv-lock .pytest_cache .ruff_cache .mypy_cache .hypothesis
