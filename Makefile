# `make demo`: a first look. `make check`: lint, types and quick tests, two minutes. `make test`: everything.
# All need Python 3.11 or newer, make and a package index, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

# Tests that compile next to nothing and start few processes: these directories and files without those that run studies.
QUICK = $(addprefix tests/test_,api.py architecture.py presets_page.py registry.py) tests/analysis tests/cli tests/plots tests/regimes tests/results tests/study tests/theory/closed_forms
RUNNING = $(addprefix tests/analysis/test_,critical_ratio.py phase_diagram.py regression_rate.py safe_ratio.py twins.py) \
          $(addprefix tests/cli/test_,claim.py compare.py data_lines.py theory.py threshold.py) tests/results/test_table.py

.PHONY: demo check test shuffle slow studies dist docs kinds lint clean

demo: $(VENV)/demo.stamp
	$(BIN)/selfconsume demo

check: lint
	$(BIN)/pytest -n 2 --dist worksteal -p no:randomly $(QUICK) $(addprefix --ignore=,$(RUNNING))

test: lint
	$(BIN)/pytest -n 2 --dist worksteal -p no:randomly

# The whole suite in a random order, which is printed: no test may depend on those that ran before it.
shuffle: $(VENV)/test.stamp
	$(BIN)/pytest -n 4 --dist worksteal

slow: $(VENV)/test.stamp
	$(BIN)/pytest -m slow

# Every preset beside the claim of its paper; `studies/claims.py --write docs/presets.md` renews the page that lists them.
studies: $(VENV)/demo.stamp
	$(BIN)/python studies/claims.py

# Wheel and source archive, in dist/. `tests/test_distribution.py` installs and runs them.
dist: $(VENV)/test.stamp
	$(BIN)/python -m build --no-isolation --outdir dist

# The site of the documentation, in site/: site/index.html opens from disk, its search needs `python -m http.server -d site`.
docs: $(VENV)/docs.stamp
	$(BIN)/python -m mkdocs build --strict

# What follows from the lists of kinds: docs/kinds.md, and the imports that editors read in the packages of kinds.
kinds: $(VENV)/demo.stamp
	$(BIN)/python docs/theme/kinds.py

lint: $(VENV)/test.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

clean:
	rm -rf $(VENV)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "selfconsume needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# The package itself is installed in place, so that only a change of pyproject.toml installs again.
$(VENV)/demo.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/test.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@ $(VENV)/demo.stamp

$(VENV)/docs.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@
