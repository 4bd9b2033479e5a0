# `make` alone lists the targets. Each one makes .venv first if it is missing or pyproject.toml has changed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help tune test test-all check labs matrix dist docs docs-release clean

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
NOW := $(shell date +%Y%m%d-%H%M%S)

# Ray's metrics exporter is not needed here, and slows down a small machine.
export RAY_enable_metrics_collection := 0
# Else each of Ray's many processes compiles the package anew.
unexport PYTHONDONTWRITEBYTECODE

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tune: $(READY)  ## tune real models on a local Ray cluster (a minute or two on two cores)
	@$(BIN)/python labs/select_model.py --name select-model-$(NOW) --out out/select_model.html
	@echo
	@$(BIN)/python labs/stop_early.py --name stop-early-$(NOW) --out out/stop_early.html
	@echo
	@$(BIN)/python labs/compare.py select-model-$(NOW)=out/select_model.html stop-early-$(NOW)=out/stop_early.html
	@echo "(raytune-hpo is in $(BIN))"

test: $(READY)  ## the tests (7 to 17 minutes on two cores)
	$(BIN)/python -m pytest -n 2 -m 'not slow'

test-all: $(READY)  ## the rest of the tests: all labs and notebooks, ray up, code in the docs, tiny benchmarks (forty minutes; on a slow machine, more than an hour)
	$(BIN)/python -m pytest -n 2 -m slow --reruns 2 $(OPTIONS)    # Ray and browsers give up after some seconds on a machine with other work

check: $(READY)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict raytune_hpo

labs: $(READY)  ## make the notebooks from the labs
	$(BIN)/python labs/build.py

matrix: $(READY)  ## every Python and the oldest supported libraries, each tried in an environment of its own
	$(BIN)/python tools/matrix.py

dist: $(READY)  ## build the wheel and the sdist, in dist, and try both without the checkout
	$(BIN)/python tools/distribute.py

docs: $(READY)  ## build the documentation, in out/site
	$(BIN)/python -m mkdocs build --strict --config-file docs/site/mkdocs.yml

docs-release: $(READY)  ## add the documentation of this version to the branch gh-pages, beside that of the others
	export PATH="$(CURDIR)/$(BIN):$$PATH"; \
	version=$$(python -c 'import raytune_hpo; print(*raytune_hpo.__version__.split(".")[:2], sep=".")'); \
	mike deploy --config-file docs/site/mkdocs.yml --update-aliases "$$version" latest; \
	mike set-default --config-file docs/site/mkdocs.yml latest
	@echo "look: $(BIN)/mike serve --config-file docs/site/mkdocs.yml; publish: git push origin gh-pages"

clean:  ## remove what make made; studies in ~/.raytune_hpo stay
	rm -rf .venv out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@echo "making .venv (once, a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=24.1'    # older ones never stop searching for versions
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
