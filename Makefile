# Every target does its own set-up: all that is needed beforehand is Python >= 3.11 and make.
# Choose another interpreter with `make PYTHON=python3.12 ...`, pass options to pytest with
# `make test PYTEST_ARGS="-k tsit5"`. pip's environment variables (PIP_INDEX_URL, ...) are honoured.

PYTHON ?= python3
PYTEST_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt

# A process a core, each with one thread.
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses auto

# One stamp per set of packages; it is redone when what it installs from changes.
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.ready-bench
DOCS_READY := $(VENV)/.ready-docs

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-all check format bench docs browser clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Create .venv and install kutta with its test and demo tools

demo: $(READY) ## Run the demo: parameter fitting and neural ODEs on real data, with a report
	@$(BIN)/kutta demo

test: $(READY) ## Run the fast test suite
	@$(TESTS) -m "not slow" $(PYTEST_ARGS)

test-all: $(READY) browser ## Run every test, slow ones and the browser check included
	@$(TESTS) $(PYTEST_ARGS)

check: $(READY) ## Lint, check formatting and types
	@echo "ruff check";  $(BIN)/ruff check .
	@echo "ruff format"; $(BIN)/ruff format --check .
	@echo "pyright";     PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

format: $(READY) ## Format the code and fix what the linter can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# `make bench ONLY=van_der_pol` runs one; files that start with an underscore are helpers.
ONLY ?= $(patsubst benchmarks/%.py,%,$(wildcard benchmarks/[a-z]*.py))
bench: $(BENCH_READY) ## Run the benchmarks against other solvers (ONLY=name for one)
	@set -e; for name in $(ONLY); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name; done

docs: $(DOCS_READY) ## Build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "The documentation is in site/index.html"

clean: ## Remove the environment, caches and everything built
	rm -rf $(VENV) build dist site kutta-demo .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------------------------------- set-up

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "kutta needs Python 3.11 or newer, and there is no '$(PYTHON)'. Install it, or name yours: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "kutta needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Name a newer one: make PYTHON=python3.12"; exit 1; }
	@echo "[1/3] Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu it needs the package python3-venv"; exit 1; }

$(READY): pyproject.toml constraints.txt | $(BIN)/python
	@echo "[2/3] Installing PyTorch (the largest download; minutes the first time)"
	@$(PIP_INSTALL) torch
	@echo "[3/3] Installing kutta, its demo and its test tools"
	@$(PIP_INSTALL) -e ".[demo,dev]"
	@touch $@

$(BENCH_READY): $(READY)
	@echo "Installing the solvers to compare with"
	@$(PIP_INSTALL) -e ".[bench]"
	@touch $@

$(DOCS_READY): $(READY)
	@echo "Installing the documentation tools"
	@$(PIP_INSTALL) -e ".[docs]"
	@touch $@

# The HTML report is checked in a real browser. Without one, and without the right to install it,
# that test is skipped and says so.
browser:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "Installing Chromium for the browser check of the report"; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
	  echo "Chromium could not be installed: the browser check will be skipped"; \
	else echo "There is no Chromium, and installing it needs root: the browser check will be skipped"; fi
