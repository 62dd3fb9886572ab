# `make help` lists the targets.
PYTHON ?= python3
PORT ?= 8000
DEVICE ?= auto

VENV := .venv
RUNTIME_VENV := .venv-runtime
TRAIN_READY := $(VENV)/.ready
RUNTIME_READY := $(RUNTIME_VENV)/.ready
# The oldest ONNX Runtime the files must load in; its wheels end at Python 3.11.
OLD_VENV := .venv-ort116
OLD_READY := $(OLD_VENV)/.ready
OLD_PYTHON ?= python3.11
# Style, types and fast tests; what builds a release; what builds the reference.
CHECK_VENV := .venv-check
RELEASE_VENV := .venv-release
DOCS_VENV := .venv-docs
PIP_INSTALL := -m pip install --disable-pip-version-check
# A process for each core, each on one thread, and two more for the tests that wait: for a server's
# time limit, a browser, a download. The tests of a file share what they make, and so one process.
# Files with slow tests come first (tests/conftest.py).
JOBS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 2)')
PYTEST = -m pytest -q --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder
# Bytecode is kept even where the machine forbids it: the tests start some hundred processes, and each
# would compile the source again.
TEST_SETTINGS = OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=
ALL_TESTS = EKG_RUNTIME_PYTHON="$(CURDIR)/$(RUNTIME_VENV)/bin/python" $(TEST_SETTINGS) $(VENV)/bin/python $(PYTEST)

# The innermost loops in C, beside their source; without a compiler it says so and goes on.
BUILD_LOOPS := setup.py --quiet build_ext --inplace

.DEFAULT_GOAL := help
.PHONY: help demo scale-demo serve check test trials lint docs train export evaluate folds ablation notebooks web bench \
    loops bundle release clean

help:  ## this list
	@awk -F ':.*## *' '/^[a-z-]+:.*##/ {printf "%-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUNTIME_READY)  ## serve the model and feed it real ECG for a minute
	@$(RUNTIME_VENV)/bin/python -m runtime demo

scale-demo: .venv-scale/.ready  ## many patients, two workers, one of them killed (PORT=8000)
	@.venv-scale/bin/python -m scale.demo --port $(PORT)

serve: $(RUNTIME_READY)  ## serve the committed model (PORT=8000)
	@$(RUNTIME_VENV)/bin/python -m runtime serve --port $(PORT)

check: $(CHECK_VENV)/.ready  ## style, types and the fast tests of the runtime, without torch
	@$(CHECK_VENV)/bin/python $(BUILD_LOOPS)
	@$(CHECK_VENV)/bin/ruff check .
	@$(CHECK_VENV)/bin/ruff format --check --quiet . || { echo "run \`ruff format .\`"; exit 1; }
	@$(CHECK_VENV)/bin/mypy runtime kernels
	@$(TEST_SETTINGS) $(CHECK_VENV)/bin/python $(PYTEST) -m "not slow and not trial" tests/runtime $(wildcard tests/test_*.py)

test: $(TRAIN_READY) $(RUNTIME_READY) $(OLD_READY)  ## run the tests
	@$(VENV)/bin/python $(BUILD_LOOPS)
	@$(ALL_TESTS) -m "not trial"

trials: $(TRAIN_READY) $(RUNTIME_READY) $(OLD_READY)  ## what `make test` leaves out: whole recordings
	@$(VENV)/bin/python $(BUILD_LOOPS)
	@$(ALL_TESTS) -m trial

lint: $(TRAIN_READY)  ## check style and types of everything
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/mypy runtime training export kernels scale bench

docs: $(DOCS_VENV)/.ready  ## site/: the API reference, from the docstrings
	@mkdir -p build/reference && ln -sfn "$(CURDIR)/runtime" build/reference/ekg
	@$(DOCS_VENV)/bin/mkdocs build --quiet --strict && echo site/index.html

train: $(TRAIN_READY)  ## train on DS1, two paced patients and svdb (DEVICE=auto|cpu|cuda|mps)
	@$(VENV)/bin/python -m training.train --shipped --device $(DEVICE)

export: $(TRAIN_READY)  ## export runs/latest to artifacts/, proven and measured
	@$(VENV)/bin/python -m export

evaluate: $(TRAIN_READY)  ## measure artifacts/ on DS2
	@$(VENV)/bin/python -m training.evaluate

folds: $(TRAIN_READY)  ## a run for each sixth of the patients left out: choices, mean and SD
	@for fold in 0 1 2 3 4 5; do $(VENV)/bin/python -m training.train --device $(DEVICE) \
	    --fold $$fold --seed $$fold --out runs/fold$$fold || exit; done
	@$(VENV)/bin/python -m training.choose runs/fold[0-5]
	@$(VENV)/bin/python -m training.seeds runs/fold[0-5] --out runs/folds.json

# The recipe of training/experiments.md, D.
D := --fold 5 --seed 0 --set batch=26 window_batch=6 retimed=0.15 fibrillating=3.0 \
    blocked=0.0

ablation: $(TRAIN_READY)  ## short runs with other look-ahead and filter length, drawn
	@for change in look_ahead=5 look_ahead=10 look_ahead=18 look_ahead=23 band_taps=69 \
	    band_taps=357; do $(VENV)/bin/python -m training.train --device $(DEVICE) \
	    --steps 1000 --out runs/ablation/$$change $(D) $$change || exit; done
	@$(VENV)/bin/python -m bench.ablation runs/ablation/*

notebooks: $(TRAIN_READY)  ## run training/notebooks/ again, outputs included
	@$(VENV)/bin/python training/notebooks/run.py

web: web/node_modules/.ready  ## dist/web/: the page without a server, static files (needs Node.js)
	@node web/build.mjs

bench: $(TRAIN_READY) $(RUNTIME_READY)  ## compare providers and alternatives on this machine
	@$(VENV)/bin/python $(BUILD_LOOPS)
	@$(VENV)/bin/python -m bench.compare

loops: $(CHECK_VENV)/.ready  ## build the innermost loops in C for this checkout (needs a compiler)
	@$(CHECK_VENV)/bin/python $(BUILD_LOOPS)

bundle:  ## dist/ekg-runtime.tar.gz: what a device needs, nothing else
	@mkdir -p dist
	@tar -czf dist/ekg-runtime.tar.gz --exclude='__pycache__' --exclude='*.pyc' --exclude='*.so' \
	    runtime kernels artifacts requirements-runtime.txt requirements-runtime-cuda.txt LICENSE
	@ls -l dist/ekg-runtime.tar.gz

# The bill of materials lists what the wheel with its server brings into an empty environment.
release: $(RELEASE_VENV)/.ready  ## dist/: wheel, sdist, bundle, bill of materials, SHA256SUMS
	@rm -rf build dist
	@$(RELEASE_VENV)/bin/python -m build --outdir dist . >/dev/null
	@$(MAKE) --no-print-directory bundle
	@$(RELEASE_VENV)/bin/python -m venv --without-pip build/installed
	@$(RELEASE_VENV)/bin/python -m pip --python build/installed install --quiet \
	    --disable-pip-version-check "$$(ls dist/*.whl)[server]"
	@$(RELEASE_VENV)/bin/cyclonedx-py environment --output-reproducible \
	    --output-file dist/ekg.cdx.json build/installed
	@cd dist && sha256sum -- * > SHA256SUMS && cat SHA256SUMS

clean:  ## remove environments and caches
	@rm -rf web/node_modules examples/node/node_modules $(VENV) $(RUNTIME_VENV) $(OLD_VENV) $(CHECK_VENV) $(RELEASE_VENV) $(DOCS_VENV) .venv-scale \
	    .venv-bench build dist site *.egg-info .mypy_cache .ruff_cache .hypothesis

$(TRAIN_READY): requirements-train.txt requirements-check.txt requirements-scale.txt requirements-runtime.txt
	@$(PYTHON) runtime/preflight.py
	@echo "Setting up $(VENV) for training, export and tests, once. It takes about five minutes"
	@echo "and 1.9 GB of disk; several GB more if pip chooses torch with CUDA, as on Linux."
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python $(PIP_INSTALL) -r requirements-train.txt
	@touch $@

$(RUNTIME_READY): requirements-runtime.txt
	@$(PYTHON) runtime/preflight.py
	@echo "Setting up $(RUNTIME_VENV) for the server, once. It takes about a minute and 190 MB of disk."
	@$(PYTHON) -m venv $(RUNTIME_VENV)
	@$(RUNTIME_VENV)/bin/python $(PIP_INSTALL) -r requirements-runtime.txt
	@$(RUNTIME_VENV)/bin/python -m pip uninstall --quiet --yes setuptools  # of venv in Python 3.11; unused
	@touch $@

$(OLD_READY):
	@mkdir -p $(OLD_VENV)
	@if $(OLD_PYTHON) -c '' 2>/dev/null; then \
	    echo "Setting up $(OLD_VENV) for the tests with ONNX Runtime 1.16.3, once. It takes about" && \
	    echo "a minute and 220 MB of disk." && \
	    $(OLD_PYTHON) -m venv $(OLD_VENV) && \
	    $(OLD_VENV)/bin/python $(PIP_INSTALL) onnxruntime==1.16.3 'numpy<2'; \
	else echo "no $(OLD_PYTHON): the tests with ONNX Runtime 1.16.3 will skip"; fi
	@touch $@

# onnxruntime-web and edfjs for the page, and onnxruntime-node for examples/node.
%/node_modules/.ready: %/package.json
	@npm install --prefix $* --no-audit --no-fund --loglevel=error
	@touch $@

# .venv-check, .venv-scale, .venv-release and .venv-docs, each from the requirements of its name.
.venv-%/.ready: requirements-%.txt requirements-runtime.txt
	@$(PYTHON) runtime/preflight.py
	@echo "Setting up .venv-$*, once. It takes about a minute and up to 700 MB of disk."
	@$(PYTHON) -m venv .venv-$*
	@.venv-$*/bin/python $(PIP_INSTALL) -r requirements-$*.txt
	@touch $@
