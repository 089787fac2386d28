# Everything this project can do, one target each. `make` alone prints this list.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests are small: more threads only get in each other's way. Benchmarks and training choose their own.
TEST_ENV := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: install ## Chat with four personas on the bundled model: http://127.0.0.1:7860
	@$(BIN)/personas serve

.PHONY: test
test: install lint types imports ## Run everything CI runs: lint, types, import rules and all tests
	$(PYTEST) tests --ignore=tests/gpu

.PHONY: install
install: $(VENV)/.installed ## Bring .venv up to date (the other targets do this by themselves)

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; try make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what pyproject.toml asks for into $(VENV) (a few minutes the first time) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check torch==2.13.0
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

.PHONY: unit integration acceptance browser gpu
unit integration acceptance browser gpu: install
	$(PYTEST) tests/$@

.PHONY: bench
bench: install ## Compare the engine with its peers side by side (about a quarter of an hour on 2 cores)
	$(BIN)/python -m benchmarks.engine_vs_peers

.PHONY: demo-model
demo-model: install ## Rebuild the bundled base model from nothing (an hour and a half on 2 cores)
	$(BIN)/python -m training.demo_base

.PHONY: train-personas
train-personas: install ## Train the adapters that the personas ship for the bundled model
	@for file in personas/*/persona.toml; do \
		$(BIN)/personas train $$(basename $$(dirname $$file)) --bundle || exit 1; \
	done
