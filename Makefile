.DEFAULT_GOAL := help
.PHONY: help setup demo test chaos check format lock docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv and install everything from the lock
	@scripts/setup

demo: setup ## Turn the whole loop, live (ARGS=--exit stops at the end)
	@.venv/bin/treadle demo $(ARGS)

test: setup ## Run every check and every test
	@scripts/system-packages
	@scripts/test $(ARGS)

chaos: setup ## Break everything that can break, and write down what was seen (hours)
	@scripts/chaos $(ARGS)

check: setup ## Lint, format, types, import order, generated pages
	@scripts/check

format: setup ## Format the code and mend what ruff can mend
	@.venv/bin/ruff check --fix --quiet || true
	@.venv/bin/ruff format

docs: setup ## Write the generated pages and the JSON Schema anew
	@.venv/bin/python scripts/docs.py

lock: setup ## Resolve the dependencies into requirements.lock (ARGS=--upgrade renews all)
	@scripts/lock $(ARGS)

clean: ## Remove the environment, caches and the state of the workspace
	rm -rf .venv .treadle .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find src tests projects scripts -name __pycache__ -prune -exec rm -rf {} +
