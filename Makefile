# Two commands do all the set-up on a fresh machine (Python 3.11 or newer, and make):
#   make lab    set up, obtain the data, open JupyterLab on the tour
#   make test   the same set-up, then every test
# Options: PORT=8890 (JupyterLab's port), BROWSER=0 (open no browser), TORCH=cpu (PyTorch's CPU wheels, about
# 1 GB instead of 5.5 GB; remembered in .venv, TORCH=default goes back), PYTHON=python3.12,
# VGS_HOME=FOLDER (where the data goes, by default ~/.cache/vgs), TESTS=tests/unit (which tests).
# Written for GNU make 3.81 and a POSIX shell, which macOS has too.

VENV    := .venv
BIN     := $(VENV)/bin
PYTHON  ?= python3
TORCH   ?=
PORT    ?= 8888
BROWSER ?= 1
ALL     := tests notebooks/solutions
TESTS   ?= $(ALL)
TOUR    := notebooks/00_tour.ipynb
CPU     := binder/requirements.txt
# What the installed environment depends on: a set-up that has the same fingerprint is not done again.
FINGERPRINT = $$(pwd) $$($(BIN)/python -V) $$(cat requirements.txt pyproject.toml $(CPU) | cksum)

# The notebooks run in another folder: a relative VGS_HOME is meant from here.
ifneq ($(VGS_HOME),)
ifeq ($(filter /% ~%,$(VGS_HOME)),)
override VGS_HOME := $(CURDIR)/$(VGS_HOME)
endif
export VGS_HOME
endif

.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help lab test setup setup-test data check-programs lint clean

help:
	@sed -n -e 's/^# \{0,1\}//p' -e '/^$$/q' Makefile

lab: setup check-programs
	@$(BIN)/python -m vgs_lib data stamps && $(BIN)/python -m vgs_lib data attributes || echo \
	  "The data is not complete, for the reason above: the tour opens all the same; 'make data' tries again." >&2
	@options=; \
	  if [ "$(BROWSER)" = 0 ]; then options="$$options --no-browser"; fi; \
	  if [ "$$(id -u)" = 0 ]; then options="$$options --allow-root"; fi; \
	  exec $(BIN)/python -m jupyterlab --port=$(PORT) --ServerApp.root_dir=. \
	    --LabApp.default_url=/lab/tree/$(TOUR) $$options

# Unit tests take one thread each and run two at a time; notebooks and browsers want the machine to themselves.
test: setup-test check-programs data
	@if [ "$(TESTS)" != "$(ALL)" ]; then exec $(BIN)/python -m pytest --nbval-lax --nbval-current-env $(TESTS); fi; \
	  failed=0; \
	  $(BIN)/python -m pytest -n 2 --dist loadfile tests/unit tests/notebooks || failed=1; \
	  $(BIN)/python -m pytest --nbval-lax --nbval-current-env tests/browser notebooks/solutions || failed=1; \
	  exit $$failed

data: setup
	@$(BIN)/python -m vgs_lib data stamps
	@$(BIN)/python -m vgs_lib data attributes

check-programs: setup
	@$(BIN)/python -m vgs_lib.setup_check

lint: setup-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

clean:
	rm -rf $(VENV)

$(BIN)/python:
	@for python in $(PYTHON) python3.14 python3.13 python3.12 python3.11; do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    echo "Creating $(VENV) with $$("$$python" -V)."; \
	    "$$python" -m venv $(VENV) && exit 0; \
	    rm -f $@; \
	    echo "$$python could not create $(VENV): on Debian or Ubuntu, 'sudo apt-get install python3-venv'" \
	      "gives what it lacks." >&2; \
	    exit 1; \
	  done; \
	  echo "Python 3.11 or newer is needed and $(PYTHON) is" \
	    "$$($(PYTHON) -V 2>/dev/null || echo 'not there'):" \
	    "install it, or name it with 'make PYTHON=/path/to/python3'." >&2; \
	  exit 1

# The old stamp goes before anything changes, so that an interrupted set-up is taken up again.
setup: $(BIN)/python
	@set -e; \
	  before=$$(cat $(VENV)/vgs-torch 2>/dev/null || echo default); torch="$(TORCH)"; torch=$${torch:-$$before}; \
	  case "$$torch" in default | cpu) ;; *) \
	    echo "TORCH=$$torch is not known: use TORCH=cpu for CPU wheels, or leave it out." >&2; exit 2 ;; \
	  esac; \
	  want="$(FINGERPRINT) $$torch"; \
	  if [ "$$want" = "$$(cat $(VENV)/vgs-setup 2>/dev/null)" ]; then exit 0; fi; \
	  rm -f $(VENV)/vgs-setup $(VENV)/vgs-setup-test; \
	  pip="$(BIN)/python -m pip --disable-pip-version-check"; \
	  $$pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --default-pip; \
	  if [ "$$torch" != "$$before" ]; then $$pip -qq uninstall -y torch torchvision torchaudio; fi; \
	  if [ "$$torch" = cpu ] && [ "$$(uname -s)" = Linux ]; then \
	    echo "Installing PyTorch's CPU wheels (about 1 GB)."; \
	    $$pip install --retries 2 -r $(CPU) || { \
	      echo "PyTorch's CPU wheels could not be installed from the index that $(CPU) names:" \
	        "check the connection to it, or leave TORCH=cpu out to take the default wheels (5.5 GB)." >&2; \
	      exit 1; }; \
	  fi; \
	  echo "$$torch" >$(VENV)/vgs-torch; \
	  echo "Installing the packages of requirements.txt and the project."; \
	  $$pip install -r requirements.txt -e . || { \
	    echo "The packages could not be installed, for the reason above: mend it and run the same command" \
	      "again; what is already installed is kept." >&2; \
	    exit 1; }; \
	  echo "$$want" >$(VENV)/vgs-setup

setup-test: setup
	@set -e; \
	  if cmp -s $(VENV)/vgs-setup $(VENV)/vgs-setup-test; then exit 0; fi; \
	  echo "Installing the test tools."; \
	  $(BIN)/python -m pip --disable-pip-version-check install -e '.[test]'; \
	  cp $(VENV)/vgs-setup $(VENV)/vgs-setup-test
