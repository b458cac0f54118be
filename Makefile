# Two commands: `make demo` and `make test`. Both create the environment first; nothing else is needed but
# Python 3.11 or newer, git and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint docs s3-server lock clean

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; give another with make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(STAMP)
	$(BIN)/imagegen generate jobs/examples/prompts.parquet demo-output
	$(BIN)/imagegen verify demo-output
	@echo
	@echo "Pictures:  demo-output/images/00000/"
	@echo "Manifest:  demo-output/manifest/*.parquet"
	@echo "Next:      $(BIN)/imagegen generate YOUR_PROMPTS.parquet YOUR_OUTPUT"

# Two processes, as most of a test's time is the start of a real Ray or server. Files that share one stay together, and
# the longest begin first (tests/conftest.py), not those with the most tests.
test: $(STAMP) lint s3-server
	$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder --durations=25

# A real S3 server for tests/s3 and tests/faults, where Debian's packages can be had. Without it they are skipped.
s3-server:
	@command -v radosgw >/dev/null && command -v ceph-osd >/dev/null || infra/s3/gateway.sh install || \
		echo "make: the S3 tests will be skipped, or fail where IMAGEGEN_REQUIRE_S3=1"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site goes to build/site; reference pages are written from the code.
docs: $(STAMP)
	$(BIN)/python docs/build_reference.py
	$(BIN)/python -m mkdocs build --strict --site-dir build/site

lock: $(STAMP)
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//' > requirements.lock

clean:
	rm -rf $(VENV) demo-output build dist *.egg-info
