# The same commands for a person, the hook and CI. Each sets up what it needs first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
# Tests run in as many processes as there are cores, a file at a time.
JOBS ?= auto

.PHONY: help setup dev demo test check bench serve faults clean

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup:
	@.ci/setup

dev:
	@.ci/setup dev

demo: setup ## assess three demonstration submissions with known answers
	@$(BIN)/aiact-sandbox demo --out demo-out

serve: setup ## run the web service on http://127.0.0.1:8080, with a worker beside it
	@$(BIN)/aiact-sandbox serve

test: dev ## run every test that this machine can run
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(TESTS)

check: dev ## format, lint, types, layers, translations, rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest -q -p no:randomly tests/contract/test_every_language.py tests/contract/test_every_rule.py

faults: dev ## kill processes while COUNT (25) submissions run
	@AIACT_SANDBOX_LONG_FAULTS=$${COUNT:-25} $(BIN)/python -m pytest -s tests/faults -k many_real

bench: dev ## print speed as ratios, measured side by side
	@$(BIN)/python benchmarks/run.py $(BENCH)

clean: ## remove what the commands made here
	rm -rf .venv demo-out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
