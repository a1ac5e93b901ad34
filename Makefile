# Everything a developer does is one of these words. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export UV_NO_INSTALLER_METADATA := 1
export SAM_CLI_TELEMETRY := 0
unexport PYTHONDONTWRITEBYTECODE  # tests start hundreds of processes: what is compiled is kept
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types imports template audit build unit load soak bench bench-api fuzz reference schemas pins clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready  ## make the virtual environment (.venv) with every pinned package

PACKAGES := --require-hashes --no-deps --requirement requirements/dev.txt

# uv installs in some seconds what takes pip a minute or two; where uv does not get through, pip may
$(VENV)/.ready: requirements/uv.txt requirements/dev.txt $(wildcard */pyproject.toml layers/*/pyproject.toml)
	@echo "setting up .venv (once)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Darkroom needs Python 3.11 or newer; set PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement requirements/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python $(PACKAGES) \
	  || { echo "uv did not get the packages; pip tries" && $(BIN)/python -m pip install --quiet $(PACKAGES); }
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e layers/darkroom -e agent -e cli -e local
	@touch $@

demo: setup  ## run the main job on the local cloud: images appear in demo-output/
	@$(BIN)/darkroom demo

test: setup  ## everything that decides whether a change lands
	@$(MAKE) --no-print-directory --jobs 2 --output-sync lint types imports template build
	@$(MAKE) --no-print-directory unit

lint: setup  ## style and format
	ruff check .
	ruff format --check .

types: setup  ## types, strict
	mypy

imports: setup  ## who may import whom
	lint-imports

template: setup  ## the SAM templates
	sam validate --lint --template sam/template.yaml
	sam validate --lint --template sam/runtime.yaml
	sam validate --lint --template sam/cluster.yaml
	sam validate --lint --template sam/operations.yaml

AUDITED := $(wildcard sam/*.yaml)

audit: $(VENV).audit/.ready  ## security checks of the templates (checkov; exceptions stand beside what they except)
	$(VENV).audit/bin/checkov --quiet --compact --skip-download --framework cloudformation $(addprefix --file ,$(AUDITED))

$(VENV).audit/.ready: requirements/audit.txt
	$(PYTHON) -m venv --clear $(VENV).audit
	$(VENV).audit/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements/audit.txt
	touch $@

build: setup  ## what `sam deploy` would upload
	sam build --template sam/template.yaml --build-dir .aws-sam/build --cached --parallel

unit: setup  ## all tests, four files at a time: on two cores, since many of them wait for leases and processes
	pytest -n 4 --dist loadfile --no-loadscope-reorder

load: setup  ## two hundred pipelines at once
	pytest -m load

soak: setup  ## a thousand tasks while agents are killed and AWS fails (seeds are printed; SEED=… replays)
	python -m tests.e2e.soak $(if $(SEED),--seed $(SEED))

bench: setup  ## how busy the agent keeps its GPU, beside a serial one (eight minutes; writes docs/performance.md)
	python bench/agent/bench.py --docs

reference: setup  ## write the API's reference (docs/openapi.json, and what the API serves) from routes and models
	python docs/reference/generate.py

fuzz: setup  ## 100,000 requests at random against the API (the seed is printed; SEED=… replays)
	python -m tests.e2e.fuzz $(if $(SEED),--seed $(SEED))

bench-api: setup  ## what the API's import and a submit cost, beside a bare client
	python -m bench.api.bench

schemas: setup  ## write events/schemas from the models
	python events/generate.py

UV_COMPILE := uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-annotate --no-header

pins: setup  ## bring every requirements file up to date
	$(UV_COMPILE) --python-version 3.11 requirements/dev.in -o requirements/dev.txt
	$(UV_COMPILE) --python-version 3.11 -c requirements/dev.txt requirements/uv.in -o requirements/uv.txt
	$(UV_COMPILE) --python-version 3.11 requirements/audit.in -o requirements/audit.txt
	$(UV_COMPILE) --python-version 3.13 --python-platform aarch64-manylinux2014 -c requirements/dev.txt \
	  --excludes layers/darkroom/excludes.txt layers/darkroom/requirements.in -o layers/darkroom/requirements.txt
	$(UV_COMPILE) --python-version 3.13 -c requirements/dev.txt agent/requirements.in -o agent/requirements.txt
	$(UV_COMPILE) --python-version 3.13 -c requirements/dev.txt agent/build.in -o agent/build.txt

clean:  ## remove what the other words made
	rm -rf $(VENV) .aws-sam build demo-output .*_cache
