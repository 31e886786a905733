# The same commands for a person, the hook and CI. Each sets up what it needs first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
# Tests run in as many processes as there are cores, a file at a time.
JOBS ?= auto

.PHONY: help setup dev demo test test-postgresql check bench serve faults slurm spreading fuzz clean walls-podman walls-torch environments hand-over load journeys bundle bundle-test compose-test upgrade-test audit sbom

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

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

test-postgresql: dev ## run the tests that open a database on PostgreSQL instead of SQLite
	@AIACT_SANDBOX_TEST_DATABASE=postgresql $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $${TESTS:-tests/sandbox tests/flow tests/faults}

check: dev ## format, lint, types, layers, translations, rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest -q -p no:randomly tests/contract/test_every_language.py tests/contract/test_every_rule.py

faults: dev ## kill everything that can die while COUNT (25) submissions run, here and on a cluster
	@AIACT_SANDBOX_LONG_FAULTS=$${COUNT:-25} $(BIN)/python -m pytest -s -p no:randomly tests/faults -k everything_that_can_die

hand-over: dev ## make every document of four submissions, public and not, and hold each to its standard
	@AIACT_SANDBOX_HAND_OVER=1 $(BIN)/python -m pytest -p no:randomly tests/flow/test_hand_over.py

slurm: dev ## run submissions as jobs of a Slurm of this machine's own (as root, with slurm-wlm and munge)
	@AIACT_SANDBOX_SLURM=1 $(BIN)/python -m pytest -p no:randomly --durations=5 tests/sandbox/test_slurm.py

spreading: dev ## spread one assessment over workers of a cluster of this machine's own (as root, with PostgreSQL)
	@AIACT_SANDBOX_SPREADING=1 $(BIN)/python -m pytest -s -p no:randomly --durations=5 tests/sandbox/test_spreading.py

walls-podman: dev ## try the walls of rootless podman; run it as an ordinary user with podman's service started
	@$(BIN)/python -m pytest -p no:randomly tests/contract/test_every_isolation.py tests/hostile/test_cells.py -k podman

walls-torch: dev ## load torch behind each wall (needs an index with torch, and a gigabyte)
	@tree=$$(mktemp -d /var/tmp/torch.XXXXXX) && trap 'rm -rf "$$tree"' EXIT && chmod 755 "$$tree" && \
	$(BIN)/uv pip install --quiet --python /usr/bin/python3 --target "$$tree" $${FROM:+--find-links "$$FROM"} \
		"$${TORCH:-torch}" numpy && chmod -R a+rX "$$tree" && \
	AIACT_SANDBOX_TORCH_TREE="$$tree" $(BIN)/python -m pytest -p no:randomly tests/sandbox/isolation/test_torch.py

environments: dev ## run models with packages of their own from the configured index, in more versions than `test`
	@AIACT_SANDBOX_LONG_ENVIRONMENTS=1 $(BIN)/python -m pytest -p no:randomly tests/sandbox/environments

compose-test: dev ## build and start the whole installation as containers, and assess a model in it
	@AIACT_SANDBOX_TEST_COMPOSE=1 $(BIN)/python -m pytest -s -p no:randomly tests/sandbox/test_compose.py

upgrade-test: dev ## let a worker of the commit FROM (HEAD) go on while this version's web process migrates
	@AIACT_SANDBOX_UPGRADE_FROM=$${FROM:-HEAD} $(BIN)/python -m pytest -s -p no:randomly tests/sandbox/test_upgrade.py

audit: dev ## look up the locked packages among known vulnerabilities
	@.ci/audit

sbom: dev ## write what the service is made of, from the lock file, to sbom.cdx.json
	@.ci/sbom sbom.cdx.json

fuzz: dev ## feed made-up bytes to every parser of uploads for MINUTES (10)
	@fuzz/run $${MINUTES:-10}

bench: dev ## print speed as ratios, measured side by side
	@$(BIN)/python benchmarks/run.py $(BENCH)

load: dev ## hold 100 readers and 20 submitters on two cores, and say how long pages took
	@$(BIN)/python -m benchmarks.load $(LOAD)

journeys: dev ## three ways through the running service to a signed dossier, in a browser, in both languages
	@AIACT_SANDBOX_ALL_JOURNEYS=1 $(BIN)/python -m pytest -p no:randomly tests/flow/journeys

bundle: dev ## make what a machine without a network needs, in dist/bundle
	@.ci/bundle

bundle-test: bundle ## install the bundle where there is no network, and assess an example there
	@.ci/bundle-test

clean: ## remove what the commands made here
	rm -rf .venv .venv-fuzz .fuzz demo-out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
