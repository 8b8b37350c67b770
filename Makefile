# Two commands matter: `make demo` (the sample studies, end to end) and `make test` (the suite).
# Both set up .venv first, with every version pinned in constraints.txt.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# builds inside pip take the same pins; older and newer pips read different names
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test coverage check bench format wheel clean

demo: $(READY)
	$(BIN)/tomosurf demo --flow --output demo

test: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# the suite with its coverage: up to 1.7 times the processor time
coverage: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m tests.benchmarks

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(READY)
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

$(READY): pyproject.toml constraints.txt tests/peers.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "tomosurf needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Setting up $(VENV) (a few minutes the first time) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps --requirement tests/peers.txt
	@echo "Compiling the geometry's loops (a minute, once) ..."
	@$(BIN)/tomosurf doctor --compile > /dev/null
	@touch $(READY)

clean:
	rm -rf $(VENV) demo dist build .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
