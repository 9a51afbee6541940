# `make run` and `make test` work on a fresh clone with Python 3.11-3.13, make and a package registry.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint types tests figures trajectories bench bench-sweeps bench-search bench-scale faults clean

run: .venv/installed
	$(BIN)/nnlab train -m activation=sigmoid,tanh,relu 'seed=range(5)' training.epochs=60

test: lint types tests

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed-test
	$(BIN)/mypy

# With the short versions of all faults, which a plain `pytest` leaves out.
tests: .venv/installed-test
	$(BIN)/pytest -n 2 -m 'not network'

# Re-earns every figure of experiments/, and writes the README's tables of them. About an hour on 2 cores.
figures: .venv/installed
	$(BIN)/nnlab reproduce all --json docs/reproduced/all.json --markdown README.md
	$(BIN)/nnlab reproduce own --json docs/reproduced/own.json --markdown README.md

# Regenerates the PyTorch trajectories that the tests compare with; PyTorch is not needed otherwise.
trajectories: .venv/installed-test
	$(BIN)/pip install -q -c constraints.txt -e '.[torch]'
	$(BIN)/python tests/trajectories/generate.py

# Side by side with JAX, PyTorch and scikit-learn, which it installs; writes benchmarks/RESULTS.md. About 14 minutes.
bench: .venv/installed
	$(BIN)/pip install -q -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/run.py

# Sweeps, beside Hydra and MLflow alone, and killed and resumed; writes benchmarks/SWEEPS.md. About half an hour.
bench-sweeps: .venv/installed
	$(BIN)/pip install -q -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/sweeps/run.py

# TPE and pruning against random search in the same budget of epochs; writes benchmarks/SEARCH.md. About an hour.
bench-search: .venv/installed
	$(BIN)/pip install -q -c constraints.txt -e '.[optuna]'
	$(BIN)/python -m benchmarks.search.run
	$(BIN)/python -m benchmarks.search.run --seeds 3

# Many thin workers on a real Dask scheduler, and PostgreSQL with MLflow's server under load; writes benchmarks/SCALE.md.
bench-scale: .venv/installed-test
	$(BIN)/python -m benchmarks.scale.run

# Injects faults by the hundred and counts what is lost; writes benchmarks/FAULTS.md. Needs strace. About an hour.
faults: .venv/installed-test
	$(BIN)/python -m benchmarks.faults.run

clean:
	rm -rf .venv build dist

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/pip install -q -c constraints.txt -e '.[test]'
	touch $@
