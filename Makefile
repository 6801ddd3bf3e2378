# `make hls csim` builds everything and proves it; `make help` lists the rest.
PYTHON ?= python3
CONFIG ?= configs/default.toml
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CODESIGN := $(BIN)/codesign
# Tests of a file stay in one process, as some share what took minutes to make.
PARALLEL ?= -n 2 --dist loadfile

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv train quantize plan hls csim evaluate rtl rtlsim cosim synth report bitstream test test-slow check format types bench doctor clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 14
	@echo
	@echo "CONFIG=$(CONFIG) is the experiment; its run folder is runs/NAME."

venv: $(STAMP) ## the virtual environment .venv with pinned packages

# Some packages come without what they depend on: only data files, headers and programs in them are used.
$(STAMP): pyproject.toml constraints.txt requirements-nodeps.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,rtl,synth,dev]'
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements-nodeps.txt
	touch $@

train quantize plan hls evaluate rtl rtlsim cosim synth report: $(STAMP)
	$(CODESIGN) $@ $(CONFIG)

train: ## train CONFIG's network
quantize: ## make it integers
plan: ## choose foldings and FIFO depths
hls: ## emit the path to the first exit as HLS C++
rtl: ## emit the same path as SystemVerilog
rtlsim: ## simulate it in Verilator: every word of every test frame, and the cycles
cosim: ## cocotb benches: stalls on every port, registers, reset in mid-frame
synth: ## Yosys: LUT, FF, DSP, block RAM, longest path, beside the estimate
report: ## one HTML page of all that is known of the run
bitstream: $(STAMP) ## build the bitstream in Vivado, BOARD=pynq-z2, and the folder that goes to the board
	$(CODESIGN) bitstream $(CONFIG) $(if $(BOARD),--board $(BOARD))

evaluate: ## accuracies, exit rate and flip rate on the test split

csim: $(STAMP) ## compile the C++ and compare every code of every test frame, in both type systems
	$(CODESIGN) csim $(CONFIG) --types native
	$(CODESIGN) csim $(CONFIG) --types vendor

test: $(STAMP) ## all fast tests
	$(BIN)/python -m pytest -q $(PARALLEL) -m "not slow"

test-slow: $(STAMP) ## the tests that train, and those that need data sets (CODESIGN_DATA)
	$(BIN)/python -m pytest -q $(PARALLEL) -m slow

check: $(STAMP) ## format, lint, types if basedpyright is installed, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	if [ -x $(BIN)/basedpyright ]; then $(BIN)/basedpyright; fi
	$(BIN)/python -m pytest -q $(PARALLEL) -m "not slow"

format: $(STAMP) ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## speed of C simulation, beside hls4ml where that can run
	$(BIN)/python benchmarks/csim_speed.py $(CONFIG)

doctor: $(STAMP) ## what is installed, and what to install
	$(CODESIGN) doctor

clean: ## remove runs, caches and build output, but not .venv
	rm -rf runs build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
