# `make` lists what there is. Tools run as `python -m tool`: console scripts break where the path holds a space.
PYTHON ?= python3
PY := $(CURDIR)/.venv/bin/python
STAMP := .venv/.complete
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export HF_HUB_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export TOKENIZERS_PARALLELISM := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Each stage and each test worker is a process of its own: compiled modules are kept, also where the shell says not to.
unexport PYTHONDONTWRITEBYTECODE
# DVC's experiments make commits. Who has told Git no name gets one here, in this environment only.
ifeq ($(shell git config user.email),)
export GIT_AUTHOR_NAME ?= specacts
export GIT_AUTHOR_EMAIL ?= specacts@localhost
export GIT_COMMITTER_NAME ?= $(GIT_AUTHOR_NAME)
export GIT_COMMITTER_EMAIL ?= $(GIT_AUTHOR_EMAIL)
endif

# What `make compare` compares.
OLD ?= v2
NEW ?= v3

# What `make check` does, two at a time; those that take longest come first.
CHECKS := types quotes contracts lint dependencies

.PHONY: help setup repro verify compare experiments test slow smoke ablation seeds plans docs check clean $(CHECKS)

help: ## this list
	@grep -E '^[a-z]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv from requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("error: Python 3.11 or newer is needed; this is %d.%d. Name another: make PYTHON=..." % v[:2])'
	@if [ -e .venv/.unfinished ] || [ ! -x .venv/bin/python ]; then \
		rm -rf .venv && mkdir .venv && touch .venv/.unfinished && "$(PYTHON)" -m venv .venv; fi
	@touch .venv/.unfinished
	@echo "installing requirements.lock into .venv (once; minutes)"
	@# First pip itself: the one that comes with Python may take half as long again.
	@"$(PY)" -m pip install -q "$$(grep '^pip==' requirements.lock)"
	@"$(PY)" -m pip install -q --no-compile -r requirements.lock
	@# pip would compile on one core, tests too. Some packages hold files for other Pythons, which do not compile.
	@"$(PY)" -m compileall -qq -j 0 -x /tests/ "$(CURDIR)/.venv/lib" || true
	@"$(PY)" -m pip install -q --no-deps --no-build-isolation -e .
	@rm .venv/.unfinished && touch $@

repro: setup ## run the pipeline; print the result table
	@exec "$(PY)" -m scripts.repro
	@"$(PY)" scripts/show.py

verify: setup ## check every byte that the pipeline made and keeps; say what is damaged (REPAIR=--repair fixes it)
	@"$(PY)" -m specacts verify $(REPAIR)

compare: setup ## two experiments, policy by policy: make compare OLD=v2 NEW=v3
	@"$(PY)" -m scripts.compare "$(OLD)" "$(NEW)"

experiments: setup ## all experiments: the figures and settings in which they differ
	@"$(PY)" -m scripts.experiments

test: setup ## the unit tests
	@"$(PY)" -m pytest -q -n auto --maxprocesses 4 --dist worksteal

slow: setup ## the tests that drive the real commands on the smoke scale
	@"$(PY)" -m pytest -q -m slow -n auto --maxprocesses 2 --dist loadfile --no-loadscope-reorder

smoke: setup ## the whole pipeline on the smoke scale, in a throw-away copy
	@scripts/copy_workspace.sh .work/smoke
	@cd .work/smoke && "$(PY)" -m dvc exp run -S scale=smoke && "$(PY)" scripts/show.py

seeds: setup ## train again with two other seeds; how far the results lie apart (about twice a run)
	@"$(PY)" -m scripts.seeds

ablation: setup ## undo each change of recipe v3 alone: nine experiments, docs/ablation.md (about an hour)
	@"$(PY)" -m scripts.ablation

plans: setup ## what docs/gpu.md quotes of the time, memory and disk that scales for a GPU take (minutes)
	@"$(PY)" -m scripts.plans

docs: setup ## rewrite what README and docs quote: figures, help texts, the tree
	@"$(PY)" -m scripts.quote

check: setup ## lint, format, types, contracts between rooms, quotes in documents, dependencies
	@$(MAKE) --no-print-directory --keep-going -j2 $(if $(filter output-sync,$(.FEATURES)),-O) $(CHECKS)

lint:
	@"$(PY)" -m ruff check .
	@"$(PY)" -m ruff format --check .

types:
	@"$(PY)" -m mypy

contracts:
	@"$(PY)" -c 'from importlinter.cli import lint_imports_command as lint; lint()' --no-logo --no-cache

quotes:
	@"$(PY)" -m scripts.quote --check

dependencies:
	@"$(PY)" -m pip check

clean: ## remove .venv and caches; results, the DVC cache, and the gateway's logs and evidence stay
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build specacts.egg-info
	[ ! -d .work ] || find .work -mindepth 1 -maxdepth 1 ! -name serve -exec rm -rf {} +
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
