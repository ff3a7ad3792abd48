# make compare: everything from a checkout to the comparison. make test: everything that CI checks.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml requirements.lock
SCENARIO ?= scenarios/library/three_cells.yaml
ARGS ?=

# One thread a process: the processes share the cores already.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1

.PHONY: compare test validate bench lint clean
.DEFAULT_GOAL := compare

compare: $(VENV)/.installed
	$(BIN)/gridseam compare $(SCENARIO) $(ARGS)

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 --dist worksteal

validate: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m validate

bench: $(VENV)/.installed-test
	$(BIN)/python -m pytest benchmarks -o python_files='bench_*.py' --benchmark-only

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "gridseam needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	    "Name another one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(INPUTS) | $(BIN)/python
	$(BIN)/python -m pip install -q -c requirements.lock -e .
	@touch $@

$(VENV)/.installed-test: $(INPUTS) | $(BIN)/python
	$(BIN)/python -m pip install -q -c requirements.lock -e '.[test]'
	@touch $@ $(VENV)/.installed
