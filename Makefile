# `make help` lists what there is.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check
RUNS ?= runs
.DEFAULT_GOAL := help
.PHONY: help setup train sweep test test-slow fuzz reliability test-cluster test-next lint reproduce-table1 reproduce-figure3 reproduce-why ancestors families readme studies verdict compare-topologies report archs floors bench lock clean

help:  ## This list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-22s %s\n", $$1, $$2}'

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes --no-deps -r requirements.lock
	$(PIP) --no-build-isolation --editable .
	$(RUN) -m pip check
	@touch $@

# The lock holds all but torch, whose wheel depends on the machine (CPU or CUDA): pyproject pins it.
setup: .venv/ready  ## The virtual environment in .venv, with the locked versions and the kernels of the paper's archs
	@$(RUN) -m src.kernel warm lstm lstm4 elman bptt rtrl

train: .venv/ready  ## Train the paper's LSTM on the Boolean family, and say how well it learns to learn
	$(RUN) -m src.train arch=lstm family=boolean

sweep: .venv/ready  ## A first sweep: three topologies on the Boolean family
	$(RUN) -m src.train -m arch=lstm,elman,rtrl family=boolean

test: .venv/ready  ## The tests
	$(RUN) -m pytest -n 2

test-slow: .venv/ready  ## The tests that take minutes
	$(RUN) -m pytest -m slow

# Debian's packages, to be installed by root: apt-get install slurm-wlm munge slurmdbd mariadb-server
fuzz: .venv/ready  ## Thousands of words, configurations and checkpoints that nobody would write (ten minutes)
	FUZZ=2000 $(RUN) -m pytest -m "slow or not slow" --hypothesis-profile=fuzz tests/fuzz tests/runs/test_checkpoint.py tests/runs/test_damaged.py

RELIABILITY := tests/fuzz/test_configurations.py tests/runs/test_checkpoint.py tests/runs/test_damaged.py tests/commands/test_signals.py tests/jobs/test_soak.py
reliability: .venv/ready  ## Repeat the slow tests of docs/reliability.md, and count: reports/reliability.csv (half an hour)
	rm -f reports/reliability.csv
	RELIABILITY=$(CURDIR)/reports/reliability.csv $(RUN) -m pytest -m slow $(RELIABILITY)
	$(RUN) -m src.reproduce texts

test-cluster: .venv/ready  ## Sweeps on a real SLURM and a real Ray cluster on this machine (10 to 20 minutes; root; Debian's SLURM)
	$(RUN) -m pytest -m cluster tests/cluster

lint: .venv/ready  ## Style, types, formatting, the direction of imports, and the page's JavaScript
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	cat src/learning_to_learn/dashboard/plots.js src/learning_to_learn/dashboard/verdict.js src/learning_to_learn/dashboard/page.js > $(BIN)/../page.js  # as the page has them
	cd $(BIN)/.. && bin/oxlint --deny-warnings -D correctness -D suspicious -D perf --no-ignore page.js

reproduce-table1: .venv/ready  ## Table 1 of the paper, beside the Bayes floor, into reports/ (QUICK=1: a minute)
	$(RUN) -m src.reproduce table1

reproduce-figure3: .venv/ready  ## Figure 3 of the paper, before and after meta-training, into reports/
	$(RUN) -m src.reproduce figure3

reproduce-why: .venv/ready  ## Section 5 of the paper: which features of the memory cell are necessary, into reports/ (QUICK=1: small)
	$(RUN) -m src.reproduce why

ancestors: .venv/ready  ## Section 2 of the paper: fixed-weight networks and evolution, into reports/ancestors.md (QUICK=1: small)
	$(RUN) -m src.reproduce ancestors

families: .venv/ready  ## Two archs on every family, beside its reference learners, into reports/families.md (QUICK=1: small)
	$(RUN) -m src.reproduce families

BUDGET ?= 3h
verdict: .venv/ready  ## Judge the archs, each tuned with the same budget: reports/verdict.md (BUDGET=20min: the plan that fits; QUICK=1: tiny)
	$(RUN) -m src.verdict budget=$(BUDGET)

studies: .venv/ready  ## Run the studies of sweeps/, or what is left of them, and answer their questions in reports/ (QUICK=1: small)
	$(RUN) -m src.studies

readme: .venv/ready  ## Train what README says, and write its figures and pictures: reports/readme.csv
	$(RUN) -m src.reproduce readme

compare-topologies: .venv/ready  ## Which topologies learn to learn: the study of five, on three families, into reports/ (QUICK=1: small)
	$(RUN) -m src.compare

report: .venv/ready  ## The report of all runs, as one HTML file and as Markdown, into runs/report/ (RUNS=<folder>: of those)
	$(RUN) -m src.sweep report $(RUNS)

archs: .venv/ready  ## Write the table of archs, docs/archs.md and reports/archs.csv
	$(PIP) "torchrecurrent~=0.2.5" --no-deps
	$(RUN) -m benchmarks.archs

floors: .venv/ready  ## Estimate the Bayes floors anew (two minutes)
	$(RUN) -m src.floors

bench: .venv/ready  ## Time the engine beside torch and JAX (ten minutes), for docs/benchmarks.md and reports/bench.csv
	$(PIP) --require-hashes --no-deps -r requirements-bench.lock
	$(RUN) -m benchmarks

LOCK := .venv-lock/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --extra dev --extra bench
lock:  ## Write requirements.lock and requirements-bench.lock from pyproject.toml (UPGRADE=--upgrade: with newer versions)
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet --disable-pip-version-check uv
	cat requirements.lock requirements-bench.lock > .venv-lock/requirements.txt
	$(LOCK) $(UPGRADE) --generate-hashes --output-file .venv-lock/requirements.txt
	rm -f .venv-lock/pylock.toml
	$(LOCK) --constraint .venv-lock/requirements.txt --format pylock.toml --output-file .venv-lock/pylock.toml
	$(PYTHON) .ci/lock.py .venv-lock/pylock.toml > requirements.lock
	$(PYTHON) .ci/lock.py .venv-lock/pylock.toml bench > requirements-bench.lock

# What Hydra 1.5 will refuse, and what the plugin for Ray still calls, are no errors yet.
DEPRECATIONS := -W "ignore::hydra.errors.Hydra15MigrationWarning" -W "ignore:register_new_resolver"
test-next: .venv-next/ready  ## The tests that need Hydra most, with its next pre-release
	.venv-next/bin/python -m pip list 2> /dev/null | grep -i hydra-core
	PYTHONWARNINGS=ignore:register_new_resolver .venv-next/bin/python -m pytest -n 2 $(DEPRECATIONS) tests/test_config.py tests/test_hydra_loader.py tests/commands

.venv-next/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv-next
	.venv-next/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	.venv-next/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable .
	.venv-next/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --pre "hydra-core>=1.4.0rc1"  # and the OmegaConf it needs, against the pins of pyproject
	@touch $@

clean:  ## Remove the virtual environment and caches, not the runs
	rm -rf .venv .venv-lock .venv-next .pytest_cache .ruff_cache .mypy_cache .hypothesis
