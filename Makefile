# Two commands do all the set-up: `make demo` and `make test`. Each makes .venv on its own.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test lint types format check clean profile vscode test-vscode
help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; set PYTHON=... to a Python 3.11 or newer"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)  ## Fill a span of a sample file with the bundled model, live
	$(BIN)/dg-lsp infill docs/demo/inventory.py:14:19

test: $(READY)  ## Run the tests
	$(BIN)/python -m pytest $(ARGS)

lint: $(READY)  ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## Check types
	$(BIN)/mypy

format: $(READY)  ## Format and mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint types test vscode  ## What the continuous integration runs

EXTENSION := vscode-extension
VSCODE_TOOLS ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/dg-lsp-vscode

$(EXTENSION)/node_modules/.ready: $(EXTENSION)/package-lock.json
	cd $(EXTENSION) && npm ci --no-audit --no-fund
	@touch $@

vscode: $(EXTENSION)/node_modules/.ready  ## Check and test the VS Code extension, and package it
	cd $(EXTENSION) && npm test && npm run package

test-vscode: $(READY) vscode  ## Test the extension in the real editor; installs one outside the tree
	$(EXTENSION)/scripts/get-editor $(VSCODE_TOOLS)
	cd $(EXTENSION) && DG_LSP_VSCODE_TOOLS=$(VSCODE_TOOLS) npm run test:editor

profile: $(READY)  ## Where the time of one infill goes
	$(BIN)/python -m dg_lsp.evaluation profile

clean:  ## Remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
