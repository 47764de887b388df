# The two commands of a newcomer: `make demo` and `make test`. Each does its own set-up (deploy/setup).
SHELL := /bin/bash
PY := .venv/bin/python

.PHONY: demo test check peers setup clean

setup:
	@deploy/setup

demo: setup
	@$(PY) -m console.cli demo $(ARGS)

test: setup
	@$(PY) -m pytest $(ARGS)

check: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

peers: setup
	@deploy/peers

clean:
	rm -rf .venv .peers .portcullis
