# make demo | make test | make acceptance. Everything they need they install into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_WORKERS ?= 2

.PHONY: demo test lint types swift android unit acceptance benchmarks clean venv

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 $@"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'
	@echo "installing into $(VENV) (several GB: PyTorch, TensorFlow, LiteRT)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --compile-bytecode --editable '.[all]' --group dev
	@touch $@

demo: $(STAMP)
	$(BIN)/phoneproof demo

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

# The Swift toolchain that tests of the Apple kit use (3 GB in ~/.cache, made once). Without it
# they are skipped by name, and fail where CI is set.
swift:
	@if [ "$$(id -u)" = 0 ]; then \
		scripts/swift_chroot.sh >/dev/null || { echo "no Swift toolchain"; test -z "$$CI"; }; \
	else \
		echo "not root, so no Swift toolchain is made: tests/integration/test_apple_kit.py needs one"; \
	fi

# Maven, a JDK and Debian's Android tools for the tests of the Android library and its apps. Without
# them those are skipped by name, and fail where CI is set.
android:
	@scripts/android_toolchain.sh || { echo "no toolchain for Android"; test -z "$$CI"; }

test: lint types swift android
	$(BIN)/pytest -n $(PYTEST_WORKERS) --dist loadfile

unit: $(STAMP)
	$(BIN)/pytest -q tests/unit tests/structure

acceptance: $(STAMP)
	$(BIN)/python -m benchmarks.acceptance

benchmarks: $(STAMP)
	$(BIN)/python -m benchmarks.speed

clean:
	rm -rf dist build .phoneproof .mypy_cache .ruff_cache .pytest_cache .hypothesis
