# The front door. `make` prints what there is; every target installs what it needs.

PROFILE := laptop
DATA := auto
SEED := 0
PAINTING :=
WEIGHTS := train
CYCLE := 0
CLUSTER :=
SWEEP := workflow/sweep.yml
CORES := all
PYTHON := python3

# Exported, so that any character a path may hold reaches Snakemake unchanged.
export PROFILE DATA SEED PAINTING WEIGHTS CYCLE CLUSTER SWEEP CORES
VARIABLES := PROFILE DATA SEED PAINTING WEIGHTS CYCLE CLUSTER SWEEP CORES PYTHON
GIVEN := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
UNKNOWN := $(filter-out $(VARIABLES),$(GIVEN))
ifneq ($(UNKNOWN),)
$(error Unknown variable $(UNKNOWN): expected one of $(VARIABLES); correct the name)
endif

# The name carries the content of requirements.txt: another content, another installation.
INSTALLED := .venv/installed-$(firstword $(shell cksum < requirements.txt))
ifneq ($(filter PYTHON,$(GIVEN)),)
ifneq ($(shell $(PYTHON) -V),$(if $(wildcard .venv/bin/python),$(shell .venv/bin/python -V)))
.PHONY: $(INSTALLED)
endif
endif

# What sends jobs to a cluster is installed where one is asked for; to Kubernetes, kubectl sends them.
READY := $(INSTALLED)
ifneq ($(filter-out kubernetes,$(CLUSTER)),)
READY := .venv/cluster-$(firstword $(shell cat requirements.txt requirements-cluster.txt | cksum))
endif

# A cluster is asked whether it is there, and has cores of its own; CORES limits them where it is given.
HERE := --cores $(CORES)
THERE := --workflow-profile "workflow/profiles/$$CLUSTER" $(if $(filter CORES,$(GIVEN)),--cores $(CORES))
# A path as a YAML list of one string: alone, Snakemake would take a name like "film #3" for YAML with a comment.
PATH_OF = ['$$(printf %s "$$$(1)" | sed "s/'/''/g")']
# --nolock: the Snakefile holds a lock of its own, which a crash does not leave behind.
SNAKEMAKE = $(if $(CLUSTER),.venv/bin/python -m workflow.cluster check "$$CLUSTER" &&) \
	.venv/bin/python -m snakemake $(if $(CLUSTER),$(THERE),$(HERE)) --nolock --rerun-incomplete \
	--quiet host reason \
	--config "profile=$$PROFILE" "data=$(call PATH_OF,DATA)" "seed=$$SEED" "weights=$$WEIGHTS" "cycle=$$CYCLE" \
	"sweep=$(call PATH_OF,SWEEP)" $(if $(PAINTING),"painting=$(call PATH_OF,PAINTING)")

.PHONY: help figures every-pixel sweep test site render bench lab clean

help:
	@echo "make figures   figures, table, movies and numbers, in build/<profile>/seed<seed>/"
	@echo "make every-pixel  make figures, then maps of every pixel of a scan too large for it"
	@echo "make sweep     seeds, controls and settings of sweep.yml, in build/<profile>/sweep/"
	@echo "make test      all tests"
	@echo "make site      make figures, then pages to open without a server, in"
	@echo "               build/<profile>/seed<seed>/site/"
	@echo "make render    make figures, then put the executed notebooks into notebooks/ and the"
	@echo "               numbers of a measured run into data/reference/ and README.md"
	@echo "make bench     speed, and how it grows with the work, in build/bench/ (minutes)"
	@echo "make lab       open the notebooks in JupyterLab"
	@echo "make clean     remove build/ and the workflow's notes on it"
	@echo
	@echo "PROFILE=laptop    smoke (minutes), laptop, or paper (hours on a GPU)"
	@echo "DATA=auto         auto, twin, zenodo, drive:<id>, the path of a file, or of a folder of scans"
	@echo "SEED=0            of every random choice"
	@echo "PAINTING=         the path of an image for the toy benchmark (default: the one drawn here)"
	@echo "WEIGHTS=train     train, or pretrained to take the training in data/weights where it fits"
	@echo "CYCLE=0           of a file with several cycles; 0 takes the last, mean averages them"
	@echo "SWEEP=workflow/sweep.yml   what make sweep runs; its cells go to build/<profile>/<name of the file>/"
	@echo "CLUSTER=          slurm or kubernetes, to run there (workflow/README.md)"
	@echo "CORES=all         processor cores to use"
	@echo "PYTHON=python3    Python 3.11 to 3.13, from which .venv is made"
	@echo
	@echo "make figures DATA=loops.h5"

ifeq ($(CLUSTER),kubernetes)
# A pod runs the same command without CLUSTER; what it makes is not here when it has been sent.
figures every-pixel sweep site render: $(READY)
	@.venv/bin/python -m workflow.cluster check "$$CLUSTER"
	@.venv/bin/python -m workflow.kubernetes $@ $(filter-out CLUSTER PYTHON,$(GIVEN))
else
# A scan of a folder that fails leaves the others standing.
figures: $(READY)
	@$(SNAKEMAKE) $$(test ! -d "$$DATA" || echo --keep-going)

every-pixel: figures
	@.venv/bin/python -m workflow.apply "build/$$PROFILE/seed$$SEED"

# A cell that fails leaves the others standing; the table says which.
sweep: $(READY)
	@test ! -d "$$DATA" || { echo "DATA=$$DATA is a folder: expected one scan for a sweep;" \
	  "list the others under scans in $$SWEEP" >&2; exit 1; }
	@$(SNAKEMAKE) --keep-going sweep || true
	@.venv/bin/python -m workflow.sweep_table "$$SWEEP" --profile "$$PROFILE"

# Without DATA, those of a run that is there already, be it of a scan of one's own.
ifeq ($(filter DATA,$(GIVEN)),)
site render: DATA = $(or $(shell sed -n 's/^ *"data": "\(.*\)",*$$/\1/p' \
	"build/$(PROFILE)/seed$(SEED)/results/0_measured_data.json" 2>/dev/null | head -n 1),auto)
endif

site: figures
	@.venv/bin/python -m helpers.site "build/$$PROFILE/seed$$SEED"

render: figures
	@.venv/bin/python -m workflow.render "build/$$PROFILE/seed$$SEED"
endif

test: $(READY)
	@.venv/bin/python -m pytest -n logical --maxprocesses 4

bench: $(INSTALLED)
	@mkdir -p build/bench
	@.venv/bin/python -m pytest benchmarks --benchmark-columns=median,stddev,rounds \
	  --benchmark-json=build/bench/speed.json

lab: $(INSTALLED)
	@JUPYTER_PATH="$(CURDIR)/.venv/share/jupyter" .venv/bin/python -m jupyter lab notebooks

clean:
	rm -rf build .snakemake

$(INSTALLED):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	  echo "PYTHON=$(PYTHON) is $$($(PYTHON) -V 2>/dev/null || echo not there): expected Python 3.11 to 3.13;" \
	       "name another, as in make PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing into .venv (a few minutes, once)"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/cluster-%: $(INSTALLED)
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-cluster.txt
	@touch $@
