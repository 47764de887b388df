# The two commands of a newcomer: `make demo` and `make test`. Each does its own set-up (deploy/setup).
SHELL := /bin/bash
PY := .venv/bin/python

.PHONY: demo test test-keycloak check peers conformance chaos prove models soak setup clean

setup:
	@deploy/setup

demo: setup
	@$(PY) -m console.cli demo $(ARGS)

# One more at once than there are cores, for many wait; a file's tests share what they start. The demo keeps to seconds: alone.
STORY := tests/system/test_story.py
test: setup
	@$(PY) -m pytest -n $$(($$(nproc) + 1)) --dist loadfile --no-loadscope-reorder $(or $(ARGS),--ignore $(STORY))
	@$(if $(ARGS),,$(PY) -m pytest $(STORY))

# People, tokens and keys of a real Keycloak, which `make peers` brings.
test-keycloak: setup
	@PORTCULLIS_KEYCLOAK=1 $(PY) -m pytest tests/keycloak $(ARGS)

check: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

peers: setup
	@deploy/peers

# OPA's own suite; the last line is JSON.
conformance: setup
	@$(PY) -m tests.conformance.opa $(ARGS)

# A thousand deaths of gateway, agents, consumers and broker, on bad wires; the last line is JSON.
chaos: setup
	@$(PY) -m tests.chaos $(ARGS)

# What `make test` tries a fraction of, in full: tens of minutes.
prove: conformance
	@PORTCULLIS_PROVE=1 $(PY) -m pytest -m prove $(ARGS)

# The models that Portcullis comes with, from its own simulator.
models: setup
	@$(PY) -m detectors.models.rebuild $(ARGS)

# An hour under load: status 3 where a process grows.
soak: setup
	@$(PY) -m bench soak --json $(ARGS)

clean:
	rm -rf .venv .peers .portcullis
