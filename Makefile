# Everything a person or the CI does here. `make help` lists it.
#
# The first command makes the environment .venv from requirements.lock (two minutes, once); all
# that is needed is a Python 3.11 to 3.13. Windows without make: see README.md.

PYTHON ?= python3
VENV ?= .venv
LOCK ?= requirements.lock
ARGS ?=
ONLY ?=
UPGRADE ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two workers: more do not pay on two cores, and each costs a start-up. ARGS="-n 0" runs in one.
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all lint types imports notebooks lab bench environment lock clean clean-all

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  PYTHON=python3.12 chooses the interpreter; ARGS='-k ledger' goes to pytest."

$(STAMP): requirements.lock pyproject.toml tools/install.py
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
	  echo "crm-lab: needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' was not found. Name another one: make PYTHON=python3.12" >&2; \
	  exit 1; }
	@"$(PYTHON)" tools/install.py "$(VENV)"

install: $(STAMP) ## only make the environment .venv

demo: $(STAMP) ## import real customers, run the reports, write reports/index.html
	@$(BIN)/crm-lab demo $(ARGS)

test: $(STAMP) ## run the tests (ARGS="-k ledger", ARGS="-m slow")
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-all: ## run the tests on every Python 3.11 to 3.13 that is here
	@MAKE="$(MAKE)" tools/test_all.sh

lint: $(STAMP) ## check style and format (ruff)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP) ## check types (mypy)
	@$(BIN)/mypy

imports: $(STAMP) ## check who imports whom (import-linter)
	@$(BIN)/lint-imports --no-cache --no-logo

notebooks: $(STAMP) ## run every notebook as a report
	@if [ -d tests/notebooks ]; then $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder tests/notebooks $(ARGS); \
	  else echo "tests/notebooks does not exist: no notebook to run"; fi

lab: $(STAMP) ## open JupyterLab on the tour (notebooks/00_start_here.ipynb)
	@$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(ARGS)

bench: $(STAMP) ## run the benchmarks, each beside its peer (ONLY=name for one)
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only "$(ONLY)") $(ARGS)

environment: $(STAMP) ## write environment.yml from pyproject.toml
	@$(BIN)/python tools/make_environment.py

.venv-lock/.installed:
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { echo "crm-lab: '$(PYTHON)' was not found" >&2; exit 1; }
	@"$(PYTHON)" -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
	@touch $@

lock: .venv-lock/.installed ## write requirements.lock from pyproject.toml (UPGRADE=1: newest versions)
	@.venv-lock/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	  --extra demo --extra dev --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header \
	  $(if $(UPGRADE),--upgrade) --output-file "$(LOCK)"
	@if grep -nE '://|^ *--(index|extra|find)| @ ' "$(LOCK)"; then \
	  echo "crm-lab: $(LOCK) names an address (above); do not commit it" >&2; exit 1; fi
	@echo "$(LOCK): $$(grep -c '^[a-z0-9].*==' "$(LOCK)") packages"

clean: ## remove caches and build products (never data, lists or reports)
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find . -name .venv\* -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +

clean-all: clean ## remove the environments too
	@rm -rf .venv .venv-*
