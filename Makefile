# What a newcomer and a maintainer run. Needs make and Python 3.11 or newer; the rest comes into .venv from
# requirements.lock. ARGS is handed on: make serve ARGS="--port 0", make test ARGS="-k resume".

BIN := .venv/bin
READY := .venv/.ready
ROOMS := actors bench persistence runtime
ARGS ?=
KILLS ?= 200
TERMS ?= 50
PEERS := autogen-core==0.7.5 pykka==4.5.0 uvloop==0.23.0 xoscar==0.12.2

# Off: 114 wants each nursery.start() target listed, 124 minds async functions that a protocol demands,
# 127 wants httpx2 for httpx, 128 does not see a task_status that is handed on, 910 to 913 want a checkpoint on
# every path, which batching avoids on purpose.
ASYNC_RULES := --enable=ASYNC --disable=ASYNC114,ASYNC124,ASYNC127,ASYNC128,ASYNC910,ASYNC911,ASYNC912,ASYNC913

UNWATCHED := --ignore=tests/chaos --ignore=tests/actors/test_watchdog.py --ignore=tests/runtime/test_manager_machine.py \
    --ignore=tests/runtime/test_hostile.py --ignore=tests/runtime/test_hostile_gateway.py \
    --ignore=tests/runtime/test_gateway_pace.py

.PHONY: setup serve test check check-deep bench bench-peers chaos lock

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@python=; \
	for candidate in python3 python3.14 python3.13 python3.12 python3.11; do \
	    if $$candidate -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        python=$$candidate; break; \
	    fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "setup: expected Python 3.11 or newer with its venv module (Debian: python3-venv), met none" >&2; \
	    exit 1; \
	fi; \
	echo "setup: making .venv with $$($$python --version), this takes about a minute"; \
	$$python -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $(READY)

serve: setup
	@$(BIN)/greenroom serve $(ARGS)

test: setup
	$(BIN)/pytest $(ARGS)

# Out of the coverage run stay the tests that kill and those that time a watcher, since a killed process writes no
# figures, and a watched one is too slow for their pace; and the longest of those without which the bar is met.
check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	find $(ROOMS) tests -name '*.py' | xargs -n 40 -P 2 $(BIN)/flake8-async $(ASYNC_RULES)
	$(BIN)/pyright
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q $(UNWATCHED)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

# The manager's state machine with 500 examples instead of the 50 of `make test`: some minutes.
check-deep: setup
	EXAMPLES=deep $(BIN)/pytest -o faulthandler_timeout=3600 tests/runtime/test_manager_machine.py $(ARGS)

bench: setup
	$(BIN)/python -m greenroom.bench.startup
	$(BIN)/python -m greenroom.bench.sessions
	$(BIN)/python -m greenroom.bench.stored
	$(BIN)/python -m greenroom.bench.neighbours
	$(BIN)/python -m greenroom.bench.flood

# The other actor libraries that `python -m greenroom.bench.actors` compares with, each in a place of its own.
bench-peers: setup
	@for peer in $(PEERS); do \
	    folder=.venv/peers/$${peer%%==*}; \
	    $(BIN)/python -m venv $$folder && \
	    $$folder/bin/python -m pip install --quiet --disable-pip-version-check $$peer || exit 1; \
	done

chaos: setup
	KILLS=$(KILLS) TERMS=$(TERMS) $(BIN)/pytest -s tests/chaos $(ARGS)

# Keeps what is locked and still allowed; ARGS=--upgrade takes the newest of everything. Hashes must be the
# public index's own, whatever index this machine is told to use.
lock: setup
	env -u UV_DEFAULT_INDEX -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS -u UV_INDEX -u UV_INDEX_URL \
	    $(BIN)/uv pip compile --quiet --no-config --universal --generate-hashes --no-annotate \
	    --custom-compile-command "make lock" --group dev --output-file requirements.lock $(ARGS) pyproject.toml
