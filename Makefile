# Everything this project can do, one target each. `make` alone prints this list.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
# Where torch comes from; empty is PyPI, whose build for Linux brings CUDA along.
TORCH_INDEX ?=
BIN := $(VENV)/bin
# Tests are small: more threads only get in each other's way. Benchmarks and training choose their own.
TEST_ENV := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest
# Processes that test side by side, each a whole file at a time: many tests wait more than they compute.
TEST_PROCESSES ?= 2

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: install ## Chat with four personas on a small real model: http://127.0.0.1:7860
	@$(BIN)/personas serve

.PHONY: test
test: install lint types imports ## Run everything CI runs: lint, types, import rules and all tests that need no GPU
	$(PYTEST) -n $(TEST_PROCESSES) --dist loadfile tests --ignore=tests/gpu

.PHONY: install
install: $(VENV)/.installed ## Bring .venv up to date (the other targets do this by themselves)

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; try make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || { echo "$(PYTHON) cannot make a virtual environment with pip in it; on Debian and Ubuntu, apt install python3-venv brings what is missing."; exit 1; }
	@echo "Installing what pyproject.toml asks for into $(VENV) (a few minutes the first time) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check torch==2.13.0 $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[all,dev]'
	@touch $@

.PHONY: lint
lint: install ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: format
format: install ## Format the code and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: types
types: install ## Check types, strictly
	$(BIN)/mypy

.PHONY: imports
imports: install ## Check that imports run one way: bot -> core <- training
	$(BIN)/lint-imports

.PHONY: unit
unit: install ## Run the tests of pure logic only
	$(PYTEST) tests/unit

.PHONY: integration
integration: install ## Run the tests on real databases, sockets and small models only
	$(PYTEST) tests/integration

.PHONY: acceptance
acceptance: install ## Run the tests of the whole product on the default model only
	$(PYTEST) tests/acceptance

.PHONY: browser
browser: install ## Run the tests in Chromium only
	$(PYTEST) tests/browser

.PHONY: gpu
gpu: install ## Run the tests on a CUDA device, which `make test` leaves out
	$(PYTEST) tests/gpu

.PHONY: bench
bench: install ## Compare the engine with its peers side by side (about a quarter of an hour on 2 cores)
	$(BIN)/python -m benchmarks.engine_vs_peers

.PHONY: train-personas
train-personas: install ## Train the adapters that the personas ship for the default model (hours on 2 cores)
	@for file in personas/*/persona.toml; do \
		$(BIN)/personas train $$(basename $$(dirname $$file)) --bundle || exit 1; \
	done
