# make book [PROFILE=smoke|mini|paper]   environment, study, notebooks, book
# make test                              environment, whole test suite
# make benchmarks [REFERENCE=checkout]   measure results/benchmarks/*.json again, on an idle machine
#                                        without a checkout of MeanAudio the reference is not
#                                        measured; the last run that had it is kept in the files
# make lab                              JupyterLab in the locked environment, on the notebooks
# make torture                           kills, damaged caches, full disks, studies at once, after
#                                        `make smoke` (half an hour)
# make smoke | check | serve | lock | screenshots
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help environment book study notebooks smoke test check lab serve lock screenshots benchmarks torture

PROFILE ?= mini
JOBS ?= 2
PORT ?= 8000
BIN := .venv/bin

# Without a network, requests to model hubs hang for minutes; fetching is asked for explicitly.
export HF_HUB_OFFLINE ?= 1
# Importing torch takes seconds longer wherever its compiled files may not be kept.
unexport PYTHONDONTWRITEBYTECODE

help:
	@sed -n '/^# make/,/^[^#]/{/^#/s/^# \?//p}' Makefile

environment:
	@scripts/environment

study: environment
	$(BIN)/attm study --profile $(PROFILE)

notebooks: study
	$(BIN)/attm notebooks --profile $(PROFILE) --jobs $(JOBS)

book: notebooks
	$(BIN)/attm book --profile $(PROFILE)

smoke:
	$(MAKE) book PROFILE=smoke

test: environment
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n auto

check: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_house_rules.py tests/test_project_files.py

# Kernels stand in the root, where results and caches are; their sound lies beside the notebooks.
lab: export ATTM_STATIC_DIR ?= $(CURDIR)/notebooks/static
lab: environment
	$(BIN)/jupyter lab --notebook-dir notebooks --MappingKernelManager.root_dir="$(CURDIR)" \
	  --ip 127.0.0.1 --ServerApp.open_browser=False

serve: environment
	$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

# Keeps what is pinned already; remove a line from requirements.lock to let it move.
lock: environment
	$(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --python-version 3.11 \
	  --no-header --no-annotate --quiet --output-file requirements.lock

torture: environment
	$(BIN)/python scripts/torture.py
	$(BIN)/python scripts/repeat_corpus.py

# Every page in a real browser: accessibility, width, requests; and as pictures to look at.
screenshots: environment
	$(BIN)/python scripts/check_pages.py --pictures _build/screenshots

# Beside nothing else on the machine; jamendo.py comes after parts.py, whose costs it reckons up.
AGAINST := $(if $(REFERENCE),--reference "$(REFERENCE)")
benchmarks: environment
	$(BIN)/python benchmarks/sampling.py $(AGAINST)
	$(BIN)/python benchmarks/training_step.py $(AGAINST)
	$(BIN)/python benchmarks/frechet.py
	$(BIN)/python benchmarks/parts.py
	$(BIN)/python benchmarks/jamendo.py
	$(BIN)/attm study --profile mini --only frozen_parts
	$(BIN)/python benchmarks/instruments.py --profile mini
	@echo "Results: results/benchmarks/*.json; the pages 'benchmarks' and 'full-size' show them."
