# Every target sets up .venv by itself. `make` only needs some Python 3 to start with: the script finds one that the
# course runs on. Without make (on Windows, say): py tools/setup_environment.py lab
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python,$(if $(shell command -v $(name)),$(name))))
COURSE = $(if $(PYTHON),$(PYTHON),$(error No Python was found: install Python 3.11 to 3.13 from python.org)) tools/setup_environment.py

.PHONY: help lab test test-fast notebooks bench constraints address picture

help:
	@echo "make lab         set up the course and open it in JupyterLab"
	@echo "make test        set up the course and run every check (ARGS=... goes to pytest)"
	@echo "make test-fast   what to run while working: no notebooks, no browser"
	@echo "make notebooks   run the lessons and write their outputs back (LESSONS=\"02 03\" for some)"
	@echo "make bench       measure speed and memory"
	@echo "make constraints write constraints.txt anew from the requirement files (UPGRADE=--upgrade for newer versions)"
	@echo "make address     write the repository's address into badges and set-up cells (URL=https://... changes it)"
	@echo "make picture     take the picture in the README anew"

lab:
	@$(COURSE) lab $(ARGS)

test:
	@$(COURSE) test $(ARGS)

test-fast:
	@$(COURSE) test-fast $(ARGS)

notebooks:
	@$(COURSE) notebooks $(LESSONS)

bench:
	@$(COURSE) bench

# Keeps each version that still fits; one file for Linux, macOS and Windows and for every supported Python.
constraints:
	@command -v uv > /dev/null || { echo "This needs uv: pip install uv"; exit 1; }
	uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate $(UPGRADE) \
		requirements.txt requirements-dev.txt --output-file constraints.txt

address:
	@$(COURSE) address $(URL)

picture:
	@$(COURSE) picture
