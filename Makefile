# The same commands for a person, the hook and CI. Each sets up what it needs first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
# Tests run in as many processes as there are cores, a file at a time.
JOBS ?= auto

.PHONY: help setup dev demo test check bench serve faults fuzz clean walls-podman walls-torch environments

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

walls-podman: dev ## try the walls of rootless podman; run it as an ordinary user with podman's service started
	@$(BIN)/python -m pytest -p no:randomly tests/contract/test_every_isolation.py tests/hostile/test_cells.py -k podman

walls-torch: dev ## load torch behind each wall (needs an index with torch, and a gigabyte)
	@tree=$$(mktemp -d /var/tmp/torch.XXXXXX) && trap 'rm -rf "$$tree"' EXIT && chmod 755 "$$tree" && \
	$(BIN)/uv pip install --quiet --python /usr/bin/python3 --target "$$tree" $${FROM:+--find-links "$$FROM"} \
		"$${TORCH:-torch}" numpy && chmod -R a+rX "$$tree" && \
	AIACT_SANDBOX_TORCH_TREE="$$tree" $(BIN)/python -m pytest -p no:randomly tests/sandbox/isolation/test_torch.py

environments: dev ## run models with packages of their own from the configured index, in more versions than `test`
	@AIACT_SANDBOX_LONG_ENVIRONMENTS=1 $(BIN)/python -m pytest -p no:randomly tests/sandbox/environments

fuzz: dev ## feed made-up bytes to every parser of uploads for MINUTES (10)
	@fuzz/run $${MINUTES:-10}

bench: dev ## print speed as ratios, measured side by side
	@$(BIN)/python benchmarks/run.py $(BENCH)

clean: ## remove what the commands made here
	rm -rf .venv .venv-fuzz .fuzz demo-out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
