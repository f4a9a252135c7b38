# make demo    set everything up and show gcc-llm on two small projects
# make check   lint, types and every test (what CI runs)
# make check-full   the same, and wider samples of the same behaviour
# make campaign   try for hours to refute that no wrong rewrite is ever linked; goes on where it was stopped
# make check-compilers   the same with other gccs on other Debian systems; as root, with debootstrap, for hours
# make clean   drop the virtual environment and all build products
#
# PYTHON=python3.12 make demo    another Python (3.11 or newer)

PYTHON ?= python3
TORCH  ?= torch==2.13.0
VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/.stamps

# llama.cpp is built from source: without its multimodal and command-line parts that is a few minutes, not ten.
PIP := CMAKE_ARGS="-DCMAKE_PROJECT_INCLUDE=$(CURDIR)/wrappers/llama-trim.cmake" $(BIN)/python -m pip --disable-pip-version-check -q

SOURCES := pyproject.toml $(shell find gccllm wrappers -type f -not -path '*/__pycache__/*' -not -path 'gccllm/lab/*')

PYTEST := $(BIN)/python -m pytest -q

.PHONY: demo check check-full test lint campaign check-compilers clean install venv
.DELETE_ON_ERROR:

demo: install
	$(BIN)/python examples/demo.py

install: $(STAMPS)/package

check: lint test

check-full:
	GCCLLM_FULL=1 $(MAKE) check

lint: $(STAMPS)/package $(STAMPS)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A worker for each CPU; then, one at a time, the tests that time something or take every CPU (marker `serial`).
test: $(STAMPS)/package $(STAMPS)/dev
	$(PYTEST) -m "not serial" -n auto --maxprocesses 8 --dist worksteal
	$(PYTEST) -m serial

# SUITES="DIR ..." adds public suites (tests/campaign/suites.py says where they are published).
campaign: $(STAMPS)/package $(STAMPS)/dev
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.campaign --state .campaign $(SUITES:%=--suite %) $(CAMPAIGN)

# COMPILERS_WORK=DIR: where roots and results go; COMPILERS="--release sid --gcc 15": a part of it (tests/compilers).
check-compilers:
	$(PYTHON) -m tests.compilers $(COMPILERS)

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: PYTHON=python3.12 make $(MAKECMDGOALS)"; exit 1; }
	@for tool in gcc make cmake; do command -v $$tool >/dev/null || { echo "$$tool is needed: apt-get install gcc g++ make cmake python3-venv"; exit 1; }; done
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip --disable-pip-version-check -q install -U pip ninja
	@mkdir -p $(STAMPS) && touch $@

# What the package needs at run time; llama-cpp-python is the long part.
$(STAMPS)/needs: pyproject.toml wrappers/llama-trim.cmake | $(STAMPS)/venv
	@echo "installing what gcc-llm needs (llama.cpp is compiled once, a few minutes)"
	@$(BIN)/python -c 'import tomllib; print("\n".join(tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]))' > $(STAMPS)/needs.txt
	$(PIP) install -r $(STAMPS)/needs.txt "scikit-build-core>=0.10"
	@touch $@

$(STAMPS)/package: $(SOURCES) $(STAMPS)/needs
	$(PIP) install --no-deps --no-build-isolation --force-reinstall .
	@touch $@

# The lab, and what it and the tests need.
$(STAMPS)/dev: pyproject.toml gccllm/lab/pyproject.toml $(STAMPS)/package
	$(PIP) install "$(TORCH)"
	@$(BIN)/python -c 'import tomllib; read = lambda p: tomllib.load(open(p, "rb"))["project"]["optional-dependencies"]; x = read("pyproject.toml") | read("gccllm/lab/pyproject.toml"); print("\n".join(r for k in ("serve", "train", "large", "dev") for r in x[k] if not r.startswith("torch")))' > $(STAMPS)/dev.txt
	$(PIP) install -r $(STAMPS)/dev.txt
	$(PIP) install --no-deps --no-build-isolation --force-reinstall ./gccllm/lab
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
