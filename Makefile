# Everything a developer does here, one target each. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PORT ?= 3000
SUB ?= demo
SCOPES ?= read:resources write:resources
EXPIRES ?= 3600
PROFILE ?= tools/benchmarks/load/profiles/steady.toml

python := .venv/bin/python
issuer := http://127.0.0.1:$(PORT)/_local/issuer
local_parameters := Issuer=$(issuer) Audience=local

# They share the layer's package with the functions.
tools := $(python) -m tools

# Tools of the environment come first, so that `sam build` finds its python3.13.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export SAM_CLI_TELEMETRY ?= 0
export PYTHONPATH := $(CURDIR)/layers/shared:$(CURDIR)/packages/local_engine/src

## run: start the API at http://127.0.0.1:3000 (PORT= for another port), without Docker or an AWS account
.PHONY: run
run: .venv/run
	@exec $(python) -m local_engine run --port $(PORT) --parameters $(local_parameters) --seed examples/resources.json

## token: print an access token (SUB=, SCOPES=, EXPIRES= in seconds, PORT= of the server)
.PHONY: token
token: .venv/run
	@$(python) -m local_engine token --port $(PORT) --sub "$(SUB)" --scopes "$(SCOPES)" --expires "$(EXPIRES)"

## backend: start the AWS services and the issuer that `sam local` uses
.PHONY: backend
backend: .venv/run
	@exec $(python) -m local_engine backend --port $(PORT) --parameters $(local_parameters) --seed examples/resources.json

## dashboard: open the stack's dashboard, live, of the server at PORT; starts one where there is none
.PHONY: dashboard
dashboard: .venv/run
	@exec $(python) -m local_engine dashboard --port $(PORT) --parameters $(local_parameters) --seed examples/resources.json

## machine-client: call the API as a machine does, in the environment that `make run` prints for it
.PHONY: machine-client
machine-client: .venv-machine-client/done
	@.venv-machine-client/bin/python examples/machine_client/machine_client.py

## test: run all tests
.PHONY: test
test: .venv/dev .venv-deploy/done .venv-load/done .venv-scan/done
	$(python) -m pytest --numprocesses 2 --dist loadfile --ignore tests/faults --cov --cov-fail-under=95 --durations=10
	$(python) -m pytest tests/faults

## bench: measure cold starts and warm requests beside seven peers (writes docs/benchmarks/cold-start.md)
.PHONY: bench
bench: .venv/dev
	@$(python) -m tools.benchmarks.cold_start

## bench-local: measure the local engine beside `sam local` (needs Docker; writes docs/benchmarks/local-engine.md)
.PHONY: bench-local
bench-local: .venv/dev
	@$(python) -m tools.benchmarks.local_engine

## bench-traces: measure what tracing costs beside OpenTelemetry (writes docs/benchmarks/tracing.md)
.PHONY: bench-traces
bench-traces: .venv/dev
	@$(python) -m tools.benchmarks.tracing $(ARGS)

## cost: count a month's bill for the profiles in tools/benchmarks/traffic (ARGS="business_hours --region eu-central-1", --help)
.PHONY: cost
cost: .venv/dev
	@$(python) -m tools.benchmarks.cost $(ARGS)

## tune: measure the functions at several memory sizes (writes docs/benchmarks/tuning.md)
.PHONY: tune
tune: .venv/dev
	@$(python) -m tools.benchmarks.tune $(ARGS)

# The API that is meant: of a deployed stack, or what `make run` serves.
target = $(if $(STAGE),--stage "$(STAGE)",$(if $(STACK),--stack "$(STACK)",--url "$(or $(URL),http://127.0.0.1:$(PORT))"))

## load: send requests to `make run`, or to a deployed STAGE= or STACK= (PROFILE= of tools/benchmarks/load/profiles, ARGS=--help)
.PHONY: load
load: .venv/dev .venv-load/done
	@.venv-load/bin/python -m tools.benchmarks.load $(target) --profile "$(PROFILE)" $(ARGS)

## soak: ten minutes of load, in which memory must stay flat (writes docs/operations/load.md)
.PHONY: soak
soak: .venv/dev .venv-load/done
	@.venv-load/bin/python -m tools.benchmarks.load $(target) --profile tools/benchmarks/load/profiles/soak.toml --write $(ARGS)

## picture: draw docs/operations/dashboard.png, of a local run in which the table throttles for a while (needs Chromium)
.PHONY: picture
picture: .venv/dev
	@$(python) -m tests.alarms.picture docs/operations/dashboard.png

## test-deploy: deploy the stack into an emulator of AWS, and test it there
.PHONY: test-deploy
test-deploy: .venv/dev .venv-deploy/done
	$(python) -m pytest tests/deploy --durations=5

## test-faults: run the experiments with faults and killed processes, and print what they show
.PHONY: test-faults
test-faults: .venv/dev
	$(python) -m pytest tests/faults

## deploy: test, build and deploy the stack of a stage (STAGE=dev, staging or prod), and try every route of it (TESTED=yes: not again)
.PHONY: deploy
deploy: .venv/dev
	@$(tools).deploy check --stage "$(STAGE)"
	@$(MAKE) --no-print-directory $(if $(filter yes,$(TESTED)),,test) build
	@# Where nobody watches, the approval of the workflow's environment stands for that of the change set.
	.venv/bin/sam deploy --config-env "$(STAGE)" $(if $(filter true 1,$(CI)),--no-confirm-changeset)
	@$(tools).deploy protect --stage "$(STAGE)"
	@$(MAKE) --no-print-directory smoke STAGE="$(STAGE)"

## smoke: send one request to every route, and clean up (URL= of `make run`, or STAGE= or STACK= of a deployed stack)
.PHONY: smoke
smoke: .venv/dev
	@$(tools).smoke $(if $(URL),--url "$(URL)") $(if $(STAGE),--stage "$(STAGE)") $(if $(STACK),--stack "$(STACK)")

## lint: check style, types, the template and the workflows, and scan them for what is insecure
.PHONY: lint
lint: .venv/dev .venv-scan/done
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/cfn-lint template.yaml
	AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} .venv/bin/sam validate --lint
	.venv-scan/bin/checkov --config-file .checkov.yaml
	@$(MAKE) --no-print-directory lint-workflows

.PHONY: lint-workflows
lint-workflows: .venv-scan/done
	.venv-scan/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv-scan/bin/zizmor --offline --no-progress --quiet .github

## hooks: have git check each commit before it is made, as .pre-commit-config.yaml says
.PHONY: hooks
hooks: .venv/dev .venv-scan/done
	.venv-scan/bin/pre-commit install

## format: write the code in the project's style
.PHONY: format
format: .venv/dev
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

## build: build what is deployed, into .aws-sam/build
.PHONY: build
build: .venv/dev
	.venv/bin/sam build

## lock: pin anew what tools/requirements/*.in and the layer name
.PHONY: lock
pin = .venv/bin/uv pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-header --upgrade
lock: .venv/dev
	$(pin) tools/requirements/dev.in --output-file tools/requirements/dev.txt
	$(pin) tools/requirements/run.in --constraint tools/requirements/dev.txt --output-file tools/requirements/run.txt
	$(pin) layers/shared/requirements.in --constraint tools/requirements/dev.txt --output-file layers/shared/requirements.txt
	$(pin) examples/machine_client/requirements.in --constraint tools/requirements/dev.txt --output-file examples/machine_client/requirements.txt
	$(pin) tools/requirements/deploy.in --output-file tools/requirements/deploy.txt
	$(pin) tools/requirements/scan.in --output-file tools/requirements/scan.txt
	$(pin) tools/requirements/load.in --output-file tools/requirements/load.txt
	$(pin) tools/benchmarks/cold_start/runtime/requirements.in --constraint tools/requirements/dev.txt \
		--output-file tools/benchmarks/cold_start/runtime/requirements.txt
	$(pin) tools/benchmarks/peers/chalice/requirements.in --output-file tools/benchmarks/peers/chalice/requirements.txt
	@# What Lambda's runtime and the layer have is not shipped.
	$(pin) --no-emit-package urllib3 --no-emit-package typing-extensions \
		tools/benchmarks/tracing/requirements.in --constraint tools/requirements/dev.txt --output-file tools/benchmarks/tracing/requirements.txt
	for peer in bare_boto3 fastapi_mangum flask_wsgi powertools_quickstart powertools_resolver sam_init; do \
		$(pin) $(foreach name,boto3 botocore python-dateutil s3transfer six urllib3,--no-emit-package $(name)) \
			tools/benchmarks/peers/$$peer/requirements.in --output-file tools/benchmarks/peers/$$peer/requirements.txt || exit; \
	done

## clean: remove what was built, cached and installed
.PHONY: clean
clean:
	@# The benchmark makes folders that cannot be written, as Lambda's are.
	@if [ -d .bench ]; then chmod -R u+w .bench; fi
	rm -rf .venv .venv-* .local .aws-sam .bench .load .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov

## help: list the targets
.PHONY: help
help:
	@sed -n 's/^## \([a-z-]*\): /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  make %-14s %s\n", $$1, $$2 }'

.venv/bin/python:
	@python3.13 -c "" 2>/dev/null || { echo "Python 3.13 is needed and there is no python3.13 on PATH. Install it, then try again."; exit 1; }
	@echo "Setting up .venv (once)"
	@python3.13 -m venv .venv

.venv/run: .venv/bin/python tools/requirements/run.txt
	@echo "Installing what running needs (once)"
	@$(python) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement tools/requirements/run.txt
	@touch $@

.venv/dev: .venv/run tools/requirements/dev.txt
	@echo "Installing what developing needs (once)"
	@$(python) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement tools/requirements/dev.txt
	@touch $@

# What these need pins other versions of the same packages, so each has an environment of its own.
.venv-deploy/done .venv-load/done .venv-scan/done: .venv-%/done: tools/requirements/%.txt .venv/bin/python
	@echo "Setting up .venv-$* (once)"
	@$(python) -m venv --clear .venv-$*
	@.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.venv-machine-client/done: examples/machine_client/requirements.txt .venv/bin/python
	@echo "Setting up .venv-machine-client (once)"
	@$(python) -m venv --clear .venv-machine-client
	@.venv-machine-client/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@
