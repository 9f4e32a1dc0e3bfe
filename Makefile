# Everything a clone needs is made on demand: each target first brings .venv up to date.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
CODE := $(wildcard batcher tests benchmarks notebooks)

# The newest Python that can make a virtual environment; set PYTHON to choose another.
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.11 python3)
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

# Options of a call: make demo ARGS="--duration 30s", make test PYTEST_ARGS="-k spool", make test WORKERS=4
ARGS ?=
PYTEST_ARGS ?=
WORKERS ?= 2
KILLS ?= 20
SOAK_SECONDS ?= 600
EXAMPLES ?= ci
PYTEST := $(BIN)/pytest -rs

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONDONTWRITEBYTECODE :=   # tests start batcher a hundred times: it is compiled once
export KILLS SOAK_SECONDS

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-thorough lint format types imports check kcp soak quality bench bench-quick bench-compare bench-table schema manifests sbom requirements clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | \
		while IFS='|' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

setup: $(READY) ## Make .venv with everything pinned by requirements/ (the other targets do it themselves)

$(READY): requirements/dev.txt pyproject.toml
	@for python in '' $(PYTHONS); do \
		if [ -z "$$python" ]; then \
			$(BIN)/python -c '$(SUITABLE)' 2>/dev/null && $(BIN)/python -m pip --version >/dev/null 2>&1 && exit 0; \
		elif "$$python" -c '$(SUITABLE)' 2>/dev/null; then \
			echo "Making $(VENV) with $$python"; exec "$$python" -m venv --clear $(VENV); \
		fi; \
	done; \
	echo "make: no Python >= 3.11 with venv and ensurepip (tried: $(PYTHONS)); install one or set PYTHON" >&2; exit 1
	@echo "Installing the pinned requirements (the first time takes a few minutes)"
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --no-index --no-deps --no-build-isolation -e .
	@told=$$($(BIN)/python -m pip check) || { echo "$$told" >&2; exit 1; }
	@touch $@

demo: $(READY) ## Play a scripted outage on this machine (ARGS="--duration 30s")
	@$(BIN)/batcher demo $(ARGS)

test: $(READY) ## Run the tests in two processes (PYTEST_ARGS="-k spool"; WORKERS=0 for one)
	POLARS_MAX_THREADS=1 $(PYTEST) -n $(WORKERS) --dist loadgroup -m "not slow and not soak" $(PYTEST_ARGS)

test-thorough: $(READY) ## Run the slow tests too, and properties with many examples (EXAMPLES=nightly)
	HYPOTHESIS_PROFILE=$(EXAMPLES) $(PYTEST) -n $(WORKERS) --dist loadgroup --timeout=3600 -m "not soak" $(PYTEST_ARGS)

lint: $(READY) ## Look for mistakes and for another layout than the formatter's
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

format: $(READY) ## Lay the code out and mend what can be mended safely
	$(BIN)/ruff check --fix-only $(CODE)
	$(BIN)/ruff format $(CODE)

types: $(READY) ## Check the types
	$(BIN)/mypy $(wildcard batcher tests benchmarks)

imports: $(READY) ## Check that imports go down only
	$(BIN)/lint-imports

check: lint types imports test ## All of the above that can fail

kcp: $(READY) ## Run the tests against a real kcp (BATCHER_KCP_KUBECONFIG names its kubeconfig)
	$(PYTEST) -m kcp $(PYTEST_ARGS)

soak: $(READY) ## Run the tests that take minutes to hours (KILLS=1000, SOAK_SECONDS=36000)
	$(PYTEST) -m "slow or soak" --timeout=0 $(PYTEST_ARGS)

bench: $(READY) ## Measure, in ten minutes (ARGS="watching idle" for some, ARGS="--output FILE", ARGS="--help")
	$(BIN)/python -m benchmarks $(ARGS)

bench-quick: $(READY) ## Measure roughly, in a minute
	$(BIN)/python -m benchmarks --quick $(ARGS)

bench-compare: $(READY) ## Fail where NEW=FILE is worse than the baseline by more than 20 %
	$(BIN)/python -m benchmarks compare benchmarks/baseline.json $(NEW)

bench-table: $(READY) ## Write the tables of benchmarks/README.md as the baseline has them
	$(BIN)/python -m benchmarks table

schema: $(READY) ## Write deploy/config.schema.json as the settings have it
	@$(BIN)/batcher config schema > deploy/config.schema.json

manifests: $(READY) ## Make the folders of deploy/ that kustomize takes from deploy/chart
	@$(BIN)/python -m tests.deploy.manifests

sbom: $(READY) ## Write deploy/sbom.cdx.json, what the image is made of, as requirements/ have it
	@$(BIN)/python -m tests.deploy.sbom

quality: $(READY) ## Say how many scripted incidents are found, and how many are told that are none
	$(BIN)/python -m tests.scenarios.quality

requirements: $(READY) ## Pin requirements/ again for pyproject.toml (ARGS="--upgrade")
	for name in runtime dev; do \
		test $$name = runtime && more='' || more='--extra dev --extra notebooks -c requirements/runtime.txt'; \
		CUSTOM_COMPILE_COMMAND='make requirements' $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe \
			--strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
			$$more $(ARGS) -o requirements/$$name.txt pyproject.toml || exit 1; \
	done
	CUSTOM_COMPILE_COMMAND='make requirements' $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe \
		--strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
		--build-deps-for wheel --only-build-deps -c requirements/dev.txt $(ARGS) -o requirements/build.txt pyproject.toml
	$(BIN)/python -m tests.deploy.sbom

clean: ## Remove what the targets made
	rm -rf $(VENV) batcher-demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks \
		.import_linter_cache .coverage .coverage.*
	find batcher tests $(wildcard benchmarks) -name __pycache__ -type d -prune -exec rm -rf {} +
