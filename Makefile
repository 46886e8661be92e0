# What people and scripts call. Every installation step leaves a stamp in .venv, so a second call costs nothing.
#
#   make demo            a simulated machine room, an agent and the centre, on this machine
#   make test            everything, against real peers (installed by apt on Debian, as root)
#   make check           style, types, import contracts, shipped profiles and rules
#   make sim SEEDS=1000  agents and centre in one process in virtual time, under the faults of so many seeds
#   make help            the rest

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
CODE := facility rules collectors agent server simulator coldaisle deploy bench tests hatch_build.py scripts/run_tests.py
INSTALLED_BY := pyproject.toml constraints.txt hatch_build.py package-lock.json \
	$(wildcard server/web/locale/*/LC_MESSAGES/*.po)

.PHONY: demo test check sim fmt assets assets-lock constraints clean help
.DELETE_ON_ERROR:

demo: $(VENV)/.installed-demo
	$(BIN)/coldaisle demo $(ARGS)

test: $(VENV)/.installed-dev
	scripts/install-peers
	$(BIN)/python scripts/run_tests.py $(PYTEST_ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(BIN)/coldaisle profile validate
	$(BIN)/coldaisle rules check
	$(BIN)/coldaisle rules test

SEEDS ?= 1000
sim: $(VENV)/.installed-dev
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(SIM_ARGS)

fmt: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Fetch the front-end files again, and compile the message catalogs.
assets: $(VENV)/.installed-demo
	rm -rf server/web/static/vendor
	$(PIP) --no-deps -e .

# After an edit of package.json; needs an npm on the PATH.
assets-lock:
	scripts/lock-assets

# Pin everything anew at the newest versions that pyproject.toml allows. The file names no address.
constraints: $(VENV)/.installed-dev
	$(BIN)/pip-compile --quiet --upgrade --extra dev --strip-extras --allow-unsafe --no-annotate --no-header \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
		--output-file $(VENV)/constraints.new pyproject.toml
	grep -E '^[A-Za-z0-9._-]+==[^ ]+$$' $(VENV)/constraints.new | sort -f > constraints.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build \
		server/web/static/vendor demo-data
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:
	@echo "demo [ARGS=...]         run the demonstration: --port 8080, --data DIR, --exit-after S, --no-fault"
	@echo "test [PYTEST_ARGS=...]  run the tests, installing missing peers first where that is possible"
	@echo "check                   style, types, import contracts, profiles and rules"
	@echo "sim [SEEDS=1000]        agents and centre in virtual time under faults; SIM_ARGS='--seed 7 --trace' replays one"
	@echo "fmt                     put the code into the house's form"
	@echo "assets                  fetch the front-end files again"
	@echo "assets-lock             write package-lock.json anew from package.json"
	@echo "constraints             pin every Python package anew"
	@echo "clean                   remove .venv and everything that was generated"

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Coldaisle needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 || echo absent)." \
			"Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-demo: $(VENV)/pyvenv.cfg $(INSTALLED_BY)
	$(PIP) -e ".[demo]"
	@touch $@

$(VENV)/.installed-dev: $(VENV)/pyvenv.cfg $(INSTALLED_BY)
	$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.installed-demo
