# Each target sets up what it uses: make demo, make test, make soak, make bench, make docs, make lint.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
LIMIT  ?=
DATA   ?=

.PHONY: demo test soak bench docs lint clean

demo: $(VENV)/.core
	$(BIN)/streamrnn demo

test: $(VENV)/.test
	$(BIN)/streamrnn warmup
	$(BIN)/python -m pytest

soak: $(VENV)/.test
	$(BIN)/streamrnn warmup
	STREAMRNN_SOAK=1 $(BIN)/python -m pytest tests/bus/test_crash.py tests/bus/test_fuzz.py tests/bus/test_twin.py -v

bench: $(VENV)/.peers
	$(BIN)/python -m bench $(if $(LIMIT),--limit $(LIMIT)) $(if $(DATA),--data $(DATA))

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --quiet --nitpicky --fail-on-warning --keep-going -b html docs docs/_build
	@echo "docs/_build/index.html"

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/mypy

$(VENV)/.core: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.test $(VENV)/.lint $(VENV)/.docs: $(VENV)/.%: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	touch $@

$(VENV)/.peers: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[peers]'
	touch $@

clean:
	rm -rf $(VENV) build dist docs/_build .pytest_cache .ruff_cache .mypy_cache
