# make demo    a working service on this machine in one command
# make test    every test
# make check   style, types, who may import whom, what may not be committed
# `make help` lists the rest. Needs Python >= 3.11 with venv, and nothing else.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

CPU := .venv-cpu
DEV := .venv-dev
ARGS ?=
# One test process per core of the smallest machine we support; each keeps to its core, and runs whole
# files: what a file needs of a model or a server is made once.
JOBS ?= 2
CODE := service training tests deploy $(wildcard bench)

# The first interpreter that is new enough *and* starts: a pyenv shim may be on the path and refuse.
IS_PYTHON := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	"$$p" -c "$(IS_PYTHON)" 2>/dev/null && { echo "$$p"; break; }; done)

.PHONY: help
help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: demo
demo: $(CPU)/.installed  ## start the service and try it on a real radiograph; ARGS="--help" for its options
	@$(CPU)/bin/cxr-triage demo $(ARGS)

.PHONY: test
test: $(DEV)/.installed  ## every test; ARGS="tests/core -k window" for some
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(DEV)/bin/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

.PHONY: coverage
coverage: $(DEV)/.installed  ## every test, and the lines and branches that none of them reaches
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(DEV)/bin/python -m pytest -n $(JOBS) --cov $(ARGS)

FUZZ_SECONDS ?= 600
.PHONY: fuzz
fuzz: $(DEV)/.installed  ## coverage-guided fuzzing of the reader, for FUZZ_SECONDS=600; needs Python 3.11
	@$(DEV)/bin/python $(PIP) "atheris==2.3.0"
	@PYTHONPATH=. OMP_NUM_THREADS=1 $(DEV)/bin/python tests/fuzz/read_radiograph.py .fuzz -max_total_time=$(FUZZ_SECONDS)

.PHONY: image-test
image-test: $(DEV)/.installed  ## build the container image twice and run it hardened; Debian, as root, some minutes
	@for tool in buildah mmdebstrap bwrap nsenter curl; do command -v $$tool >/dev/null || { \
		echo "make image-test needs root and: apt-get install buildah mmdebstrap bubblewrap util-linux iproute2 curl" >&2; \
		exit 1; }; done
	@$(DEV)/bin/python -m pytest -q tests/image $(ARGS)

# The shortest way on a machine that has torch, pytest and the packages that bench/gpu.py names, in
# some minutes: python3 -m pytest -q -c /dev/null --rootdir . --confcutdir tests/gpu tests/gpu
# and python3 -m bench.gpu model_store/cxr-triage/0.1.0 --seconds 5
.PHONY: gpu-test
gpu-test: $(DEV)/.installed  ## the CUDA engine against the reference, on a machine with a GPU
	@$(DEV)/bin/python -m pytest -q tests/gpu $(ARGS)

PEERS ?= naive litserve mosec mlserver bentoml ray
.PHONY: bench
bench: $(DEV)/.installed $(CPU)/.installed $(PEERS:%=.bench-%/.installed)  ## speed beside other servers, into docs/benchmarks.md; ARGS="serving overload"
	@$(DEV)/bin/python $(PIP) "onnxruntime==1.32.0"
	@$(DEV)/bin/python -m bench.speed --peers $(PEERS) --write $(ARGS)

.bench-%/.installed: bench/peers/requirements/%.txt
	@echo "Installing $< into $(@D); some minutes, once"
	@"$(PYTHON)" -m venv --clear $(@D)
	@$(@D)/bin/python $(PIP) -r $<
	@touch $@

.PHONY: check
check: lint types imports hygiene  ## everything that needs no test

.PHONY: lint
lint: $(DEV)/.installed
	@$(DEV)/bin/ruff check $(CODE)
	@$(DEV)/bin/ruff format --check $(CODE)

.PHONY: types
types: $(DEV)/.installed
	@$(DEV)/bin/mypy --strict $(CODE)

.PHONY: imports
imports: $(DEV)/.installed
	@$(DEV)/bin/lint-imports

# A file that names a registry or a folder of one machine works there only. The brackets keep this
# file from finding itself.
REGISTRY := (pypi|npmjs|yarnpkg|debian|docker|anaconda|crates)[.](org|com|io)|python[h]osted
ONE_MACHINE := (^|[^A-Za-z0-9_.-])/([w]ork|[h]ome|[r]oot)/
FIND := git grep --untracked -nIiE

.PHONY: hygiene
hygiene:
	@! $(FIND) '$(REGISTRY)' || { echo "^ the address of a registry" >&2; exit 1; }
	@! $(FIND) '://|index-url|find-links' -- requirements || { echo "^ an address in a lock" >&2; exit 1; }
	@! $(FIND) '$(ONE_MACHINE)' || { echo "^ a path of one machine" >&2; exit 1; }

.PHONY: format
format: $(DEV)/.installed  ## mend what can be mended by machine
	@$(DEV)/bin/ruff check --fix $(CODE)
	@$(DEV)/bin/ruff format $(CODE)

# Each lock is a constraint for the next, so that the service runs in development on the very
# versions it is shipped with. Needs uv. UPGRADE=--upgrade moves the pins.
LOCK := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE)

# What a site may switch on by a setting has to be in the image, whose root is read-only.
SITE := --extra postgres --extra signing --extra tracing

.PHONY: lock
lock:  ## pin and hash requirements/*.txt anew from pyproject.toml
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	@$(LOCK) --extra build --extra demo $(SITE) -o requirements/cpu.txt
	@$(LOCK) --extra build --extra demo $(SITE) --extra gpu -c requirements/cpu.txt -o requirements/gpu.txt
	@$(LOCK) --extra dev -c requirements/gpu.txt -o requirements/dev.txt
	@! grep -nE '^(torch|nvidia)' requirements/cpu.txt || { echo "^ torch in the CPU service" >&2; exit 1; }
	@$(MAKE) --no-print-directory hygiene

# ---- supply chain: what is shipped, under which licences, with which known weaknesses

SBOM := build/sbom
IMAGE_ROOT ?=
.PHONY: sbom
sbom: $(CPU)/.installed $(DEV)/.installed  ## CycloneDX of the service; IMAGE_ROOT=<unpacked image> adds Debian's packages
	@mkdir -p $(SBOM)
	@$(DEV)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		-o $(SBOM)/python.cdx.json $(CPU)
	@if [[ -n "$(IMAGE_ROOT)" ]]; then \
		$(DEV)/bin/python -m deploy.supply_chain.debian $(SBOM)/debian.cdx.json --root "$(IMAGE_ROOT)"; \
	fi

.PHONY: soup
soup: sbom  ## write docs/soup.md anew from the SBOM and the lock
	@$(DEV)/bin/python -m deploy.supply_chain.soup $(SBOM)/python.cdx.json

# Needs a service that knows advisories; without one it says so and exits 3. Never passes by silence.
.PHONY: audit
audit: $(DEV)/.installed  ## known weaknesses of what is shipped (pip-audit); ARGS="--service-url <mirror>"
	@for lock in cpu gpu; do $(DEV)/bin/python -m deploy.supply_chain.audit requirements/$$lock.txt $(ARGS); done

.PHONY: clean
clean:  ## drop environments, builds and caches; data and models stay
	@rm -rf .venv-* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage* \
		.import_linter_cache htmlcov
	@find service training tests -name __pycache__ -prune -exec rm -rf {} +

PIP := -m pip --disable-pip-version-check -qq install

# A stamp is younger than what it was installed from; else the environment is made anew, so that
# nothing of an older lock stays behind.
.PRECIOUS: .venv-%/.locked
.venv-%/.locked: requirements/%.txt
	@test -n "$(PYTHON)" || { \
		echo "cxr-triage needs Python >= 3.11 with venv (Debian: apt-get install python3-venv)." >&2; \
		echo "Found $$(python3 --version 2>&1). Name another: make PYTHON=/path/to/python3" >&2; \
		exit 1; }
	@"$(PYTHON)" -c "$(IS_PYTHON)" 2>/dev/null || { \
		echo "cxr-triage needs Python >= 3.11 with venv; $(PYTHON) is $$("$(PYTHON)" --version 2>&1)" >&2; \
		exit 1; }
	@echo "Installing $< into $(@D) with $$("$(PYTHON)" --version); some minutes, once"
	@"$(PYTHON)" -m venv --clear $(@D)
	@$(@D)/bin/python $(PIP) --require-hashes --no-deps -r $<
	@$(@D)/bin/python -m pip --disable-pip-version-check check >&2
	@touch $@

.venv-%/.installed: .venv-%/.locked pyproject.toml
	@$(@D)/bin/python $(PIP) --no-deps --no-build-isolation -e .
	@touch $@
