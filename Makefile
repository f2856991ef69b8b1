# Every target builds what it needs in .venv/ and rebuilds it only when pyproject.toml or constraints.txt change.
# Needed on the machine: Python 3.11 or newer, make, git.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
# Test processes at a time; a file stays in one of them, so that what its tests share is made once.
JOBS = 2
# The workspace that `make ui` and `make serve` open.
WORKSPACE = demo
# Versions that `make constraints` keeps, for example HOLD="duckdb==2.0.0".
HOLD =

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export MLFLOW_DISABLE_TELEMETRY := true
export BENTOML_DO_NOT_TRACK := True
# Threads that wait for each other sleep instead of spinning: beside other work, training was up to six times slower.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: help demo test check fix fuzz bench ui serve docs constraints clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/.run-time  ## Build a workspace with simulated leads in ./demo, train, score ten leads
	@$(BIN)/kizashi demo

test: $(VENV)/.development  ## Run the fast tests
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m 'not slow and not browser'

check: $(VENV)/.development  ## Run every check and every test, as CI does (ONLY="slow or browser" for the tests of these marks)
	@git status --porcelain > $(VENV)/status-before
	@$(call step,format,$(BIN)/ruff format --check --output-format concise .)
	@$(call step,lint,$(BIN)/ruff check --output-format concise .)
	@$(call step,types,$(BIN)/basedpyright --warnings)
	@$(call step,imports,$(BIN)/lint-imports --no-cache)
	@$(call step,dependencies,$(BIN)/python -m pip check)
	@$(call step,reference pages,$(BIN)/python docs/generate.py --check)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(if $(ONLY),-m '$(ONLY)')
	@$(call step,nothing left behind,git status --porcelain | diff $(VENV)/status-before -)

fix: $(VENV)/.development  ## Mend what ruff can mend, format, write the reference pages anew, show what remains
	@$(BIN)/ruff check --fix --exit-zero --quiet . > /dev/null
	@$(BIN)/ruff format --quiet .
	@$(BIN)/python docs/generate.py
	@$(BIN)/ruff check .

docs: $(VENV)/.development  ## Write docs/reference/ anew from the code
	@$(BIN)/python docs/generate.py

# Cases of each route; the run of `make check` has 100.
EXAMPLES = 1000
fuzz: $(VENV)/.development  ## Send the service whatever its OpenAPI document allows and forbids (EXAMPLES=1000 cases a route)
	@EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n 0 tests/service/test_document.py

bench: $(VENV)/.development  ## Measure against named peers (minutes)
	@for script in benchmarks/bench_*.py benchmarks/*/bench_*.py; do echo "$$script"; $(BIN)/python "$$script" || exit 1; done

ui: $(VENV)/.run-time  ## Open the demo's runs, reports and models in MLflow (WORKSPACE=dir for another)
	@$(BIN)/kizashi ui --workspace $(WORKSPACE)

serve: $(VENV)/.run-time  ## Serve the demo's champion over HTTP (WORKSPACE=dir for another)
	@$(BIN)/kizashi serve --workspace $(WORKSPACE)

constraints:  ## Resolve every dependency anew and write constraints.txt (HOLD="name==version ..." keeps some)
	@set -e; python="$$($(find_python))"; folder="$$(mktemp -d)"; trap 'rm -rf "$$folder"' EXIT; \
	echo "Resolving every dependency anew (a minute or two)"; "$$python" -m venv "$$folder/venv"; pip="$$folder/venv/bin/python -m pip"; \
	$$pip install -qq --upgrade 'pip>=25.1'; \
	$$pip install -qq -e . --group dev $(HOLD); \
	$$pip check; \
	{ echo "# Exact versions that were tested together on Python 3.11. Written by: make constraints"; \
	  $$pip freeze --exclude-editable; } > "$$folder/constraints.txt"; \
	if grep -nE '@ |://' "$$folder/constraints.txt"; then echo "These pins carry an address; constraints.txt was not changed."; exit 1; fi; \
	cp "$$folder/constraints.txt" constraints.txt; git diff --stat -- constraints.txt

clean:  ## Remove .venv/, the demo and caches
	rm -rf $(VENV) demo build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info

# Run-time packages alone are enough for the demo; the development group comes on top.
$(VENV)/.run-time: pyproject.toml constraints.txt
	@set -e; python="$$($(find_python))"; \
	if [ ! -x $(BIN)/python ]; then echo "Making $(VENV)/ with $$("$$python" --version)"; "$$python" -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python could not make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }; fi
	@$(BIN)/python -m pip install -qq --upgrade 'pip>=25.1'
	@echo "Installing run-time packages (about a minute, 1 GB on disk)"
	@$(BIN)/python -m pip install -qq -e . -c constraints.txt
	@touch $@

$(VENV)/.development: $(VENV)/.run-time
	@echo "Installing development packages"
	@$(BIN)/python -m pip install -qq --group dev -c constraints.txt
	@touch $@

# Prints the first Python that is new enough; PYTHON=/path/to/python names one.
define find_python
for name in $(PYTHON) python3.11 python3 python3.12 python3.13 python; do \
  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$$name"; exit 0; fi; \
done; \
echo "kizashi needs Python 3.11 or newer; found $$(python3 --version 2>/dev/null || echo none). Install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2; \
exit 1
endef

# One line for a check that passes, all of its output for one that fails.
define step
printf '%-22s' '$(1)'; start=$$SECONDS; \
if ($(2)) > $(VENV)/step.log 2>&1; then echo "ok   $$((SECONDS - start)) s"; \
else echo "FAILED"; cat $(VENV)/step.log; exit 1; fi
endef
