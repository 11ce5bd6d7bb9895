# make demo: install and run the main job.  make test: install the tools too and run the tests.
# Everything goes into .venv; a stamp in it says what is installed, so a second run installs nothing.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Pins hold for what pip builds from source too; older pips read the first name, newer ones the second.
INSTALL = PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet -c constraints.txt

.PHONY: demo test check slow gpu-test trust golden closed test-wheel lock audit sbom peers clean

demo: $(VENV)/demo.stamp
	$(BIN)/whyconv demo

# Two files of tests at a time: most of them wait for one core. Not the files of few tests last: those take longest.
test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/test.stamp
	scripts/check

slow: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m slow $(ARGS)

# On a machine with an NVIDIA card that torch can use: recorded steps, the same bits every time.
gpu-test: $(VENV)/test.stamp
	WHYCONV_TEST_CARD=1 $(BIN)/python -m pytest -m gpu tests/training/test_card.py $(ARGS)

# The long forms of what docs/trust.md promises.
trust: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m "long or not long" tests/trust $(ARGS)

# Several processes at one training: the same sums, kills, a frozen one, other numbers of processes.
cluster-test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "slow or not slow" tests/training/distributed tests/trust/test_lost_processes.py tests/trust/test_cut_link.py tests/test_stream_run.py tests/cluster $(ARGS)

# All tests with the network closed but for this machine's own loopback.
closed: $(VENV)/test.stamp
	scripts/closed $(ARGS)

test-wheel: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m "slow or not slow" tests/test_wheel.py $(ARGS)

# Files as this version writes them, to be kept for ever; once, where the number of a format was raised.
golden: $(VENV)/test.stamp
	PYTHONPATH=tests $(BIN)/python tests/golden_runs.py

# requirements.lock anew: every package with the digests of its files.
lock: $(VENV)/release.stamp
	scripts/lock $(VENV)/release/bin/uv

# Known faults of what is locked. Exit code 2: not audited, for the advisories could not be reached.
audit: $(VENV)/release.stamp
	$(BIN)/python scripts/audit.py $(VENV)/release/bin/pip-audit

# dist/whyconv.cdx.json: what whyconv is made of, as CycloneDX, validated.
sbom: $(VENV)/release.stamp
	mkdir -p dist
	$(VENV)/release/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --mc-type library \
	    --spec-version 1.6 --output-format JSON --output-reproducible --validate --output-file dist/whyconv.cdx.json

# Environments of the tools that benchmarks/ compares with, outside of the project; 9 GB.
peers:
	benchmarks/peers.sh

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[train,serve]'
	@touch $@

$(VENV)/test.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[train,pretrained,serve,tables,heic,cluster,remote,dev]'
	@touch $@ $(VENV)/demo.stamp

$(VENV)/release.stamp: scripts/release-tools.txt | $(BIN)/python
	$(PYTHON) -m venv $(VENV)/release
	$(VENV)/release/bin/python -m pip install --quiet -r scripts/release-tools.txt
	@touch $@

# What can be made again; the runs stay.
clean:
	rm -rf $(VENV) build dist demo-digits .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
