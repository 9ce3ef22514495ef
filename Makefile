# One vocabulary for people, hooks and CI. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help system install run test check audit format lock bench bench-causal bench-frame bench-operation bench-scale bench-cycles bench-weak reproduce-weak clean

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
# What no wheel brings: a browser to click with and its letters, and a PostgreSQL that tests start themselves.
SYSTEM := chromium fonts-dejavu-core postgresql

# Bytecode is compiled once at install: otherwise every process compiles the world anew.
UV := env -u PYTHONDONTWRITEBYTECODE VIRTUAL_ENV="$(CURDIR)/$(VENV)" UV_COMPILE_BYTECODE=1 \
	UV_FIND_LINKS="$${UV_FIND_LINKS:-$${PIP_FIND_LINKS:-}}" $(BIN)/uv

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

install: $(VENV)/.installed  ## Make the environment in .venv, exactly as constraints.txt says

$(VENV)/.installed: constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 must be on the PATH, found none"; exit 1; }
	@echo "installing into $(VENV) (about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet "uv>=0.9,<1"
	@$(UV) pip install --quiet --no-deps -r constraints.txt
	@$(UV) pip install --quiet --no-deps --editable .
	@$(BIN)/python -c "from tasks.servers import prepare_template; prepare_template()"
	@$(BIN)/python -c "from components.discovery.kernels import compile_all; compile_all()"
	@touch $@

system:  ## Debian packages for the optional tests (browser, fonts, PostgreSQL), where root and apt-get are at hand
	@missing=""; for name in $(SYSTEM); do \
		dpkg-query --show --showformat '$${db:Status-Status}\n' $$name 2>/dev/null | grep -qx installed || missing="$$missing $$name"; \
	done; \
	if [ -z "$$missing" ]; then echo "system packages: all there ($(SYSTEM))"; \
	elif [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "system packages: not installed, it takes root and apt-get; tests that need them are skipped:$$missing"; \
	else \
		echo "system packages: installing$$missing"; export DEBIAN_FRONTEND=noninteractive; \
		timeout 120 apt-get update -qq >/dev/null; \
		timeout 420 apt-get install -qq --no-install-recommends $$missing >/dev/null \
			|| echo "system packages: apt-get failed; tests that need them are skipped:$$missing"; \
	fi

run: install  ## The whole chain on the embedded demo data: ends with a registered model and a report
	@$(BIN)/kintsugi run $(ARGS)

test: install  ## All tests
	@$(BIN)/python -m pytest $(if $(ARGS),$(ARGS),--numprocesses auto --dist loadfile)

check: install  ## Style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

audit: install  ## Known vulnerabilities and licences of the locked dependencies
	@$(BIN)/python .ci/audit.py $(ARGS)

format: install  ## Let ruff put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: install  ## Resolve constraints.txt anew (no addresses in it)
	@env -u UV_FIND_LINKS VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/uv pip compile pyproject.toml --all-extras --group dev \
		--group embedded-llm --group parts --group peers --python-version 3.11 --no-annotate --no-header --quiet --upgrade \
		--output-file constraints.txt

bench: install  ## Times, memory and framework overhead of the main job, into BENCHMARKS.md's form
	@$(BIN)/python tests/benchmarks/main_job.py $(ARGS)

bench-causal: install  ## Causal discovery beside lingam, gCastle and causal-learn; agreed graphs (about ten minutes)
	@$(BIN)/python -W ignore tests/benchmarks/causal.py --picture docs/pictures $(ARGS)

bench-frame: install  ## What the frame costs where nothing is worked out: threads, servers, Ray
	@$(BIN)/python tests/benchmarks/frame.py $(ARGS)

bench-operation: install  ## Two hundred updates in fast motion: memory, files, seconds (about half an hour)
	@$(BIN)/python -W ignore tests/benchmarks/operation.py --picture docs/pictures/operation.png $(ARGS)

bench-scale: install  ## Seconds and memory against rows, up to ten million (about a quarter of an hour)
	@$(BIN)/python tests/benchmarks/scale.py --picture docs/pictures/scale.png $(ARGS)

bench-cycles: install  ## Eleven survey cycles: what each correction buys, per cycle
	@$(BIN)/python tests/benchmarks/eleven_cycles.py $(ARGS)

bench-weak: install  ## Weak labels: the gates (three minutes); ARGS="--only peers speed health" for the rest (longer)
	@$(BIN)/python -W ignore tests/benchmarks/weak.py $(if $(ARGS),$(ARGS),--only gates)

reproduce-weak: install  ## The papers' protocols for weak labels at full size (hours)
	@$(BIN)/python -W ignore tests/benchmarks/weak_reproduce.py $(ARGS)

clean:  ## Remove the environment and caches, never anyone's runs
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
