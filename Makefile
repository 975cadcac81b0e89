# The front door. `make` prints what there is; every target installs what it needs.
#: make figures   figures, table, movies and numbers, in build/<profile>/seed<seed>/
#: make every-pixel  make figures, then maps of every pixel of a scan too large for it
#: make sweep     seeds, controls and settings of sweep.yml, in build/<profile>/sweep/
#: make test      the tests, ten minutes; make test-all adds those that take long or need Slurm, Colab or JupyterLab
#: make site      make figures, then pages to open without a server, in build/<profile>/seed<seed>/site/
#: make render    make figures, then update notebooks/, data/reference/ and README.md from a measured run
#: make publish   write the project's address into citation, badges and notebooks: make publish REPOSITORY=https://...
#: make check     style and likely errors of the code, by ruff
#: make bench     speed, and how it grows with the work, in build/bench/ (minutes)
#: make lab       open the notebooks in JupyterLab
#: make clean     remove build/ and the workflow's notes on it
#:
#: PROFILE=laptop    smoke (minutes), laptop, or paper (hours on a GPU)
#: DATA=auto         auto, twin, zenodo, drive:<id>, the path of a file or of a folder of scans: make figures DATA=my.h5
#: SEED=0            of every random choice
#: PAINTING=         the path of an image for the toy benchmark (default: the one drawn here)
#: WEIGHTS=train     train, or pretrained to take the training in data/weights where it fits
#: CYCLE=0           of a file with several cycles; 0 takes the last, mean averages them
#: SELECT=           of a file that holds more: field=on,cycle=2,forc=1,measurement=0,dataset=name (data/README.md)
#: CLEAN=            what is repaired: outliers=10,resonance=1300:1340,r2=0.5; a run that needs it says so
#: SWEEP=workflow/sweep.yml   what make sweep runs; its cells go to build/<profile>/<name of the file>/
#: CLUSTER=          slurm, to run there (workflow/README.md, which tells of Kubernetes as well)
#: CORES=all         processor cores to use
#: REPOSITORY=       https://github.com/<owner>/<name>, where make publish says the project lies
#: PYTHON=python3    Python 3.11 to 3.13, from which .venv is made

# The lines above are the list of variables and their defaults.
DEFAULTS := $(shell sed -n 's/^.: \([A-Z]*=[^ ]*\) .*/\1/p' Makefile)
VARIABLES := $(foreach one,$(DEFAULTS),$(firstword $(subst =, ,$(one))))
# They stand before or after `make`: PROFILE=smoke make figures, make figures PROFILE=smoke.
GIVEN := $(foreach name,$(VARIABLES),$(if $(filter command environment,$(origin $(name))),$(name)))
UNKNOWN := $(filter-out $(VARIABLES),$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))
$(if $(UNKNOWN),$(error Unknown variable $(UNKNOWN): expected one of $(VARIABLES); correct the name))
# Taken as they were typed, a `$` among them, and exported, so that any character reaches Snakemake unchanged.
$(foreach one,$(DEFAULTS),$(eval $(subst =, ?= ,$(one))))
$(foreach name,$(VARIABLES),$(eval override $(name) := $$(value $(name))))
export $(VARIABLES)
# The name carries the content of requirements.txt: another content, another installation.
INSTALLED := .venv/installed-$(firstword $(shell cksum < requirements.txt))
.PHONY: $(if $(filter PYTHON,$(GIVEN)),$(shell exec 2> /dev/null; \
	test "$$("$(PYTHON)" -V)" = "$$(.venv/bin/python -V)" || echo $(INSTALLED)))
# One installation at a time: whoever comes second waits, and finds it done.
ALONE := exec 9>> requirements.txt; "$$PYTHON" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check
READY := $(INSTALLED)
WHERE := --cores "$$CORES"
ifneq ($(CLUSTER),)
$(if $(wildcard workflow/profiles/$(CLUSTER)/config.yaml),,$(error CLUSTER=$(CLUSTER): expected slurm, or a folder of \
your own in workflow/profiles; Kubernetes takes one job that you send yourself: kubectl create -f workflow/kubernetes.yaml \
(workflow/README.md)))
SENDER := $(if $(filter slurm,$(CLUSTER)),command -v sbatch > /dev/null || { echo "CLUSTER=slurm: there is no sbatch here:" \
	"expected a machine from which jobs are sent; log in on one or leave CLUSTER out" >&2; exit 1; };)
# A cluster has cores of its own; CORES limits them where it is given.
READY := .venv/cluster-$(firstword $(shell cat requirements.txt requirements-cluster.txt | cksum))
WHERE := --workflow-profile "workflow/profiles/$$CLUSTER" $(if $(filter CORES,$(GIVEN)),--cores "$$CORES")
endif
# Each value is a YAML list of one string: alone, Snakemake would take a name like "film #3" for YAML with a comment.
SNAKEMAKE = $(SENDER) .venv/bin/python -m snakemake $(WHERE) --rerun-incomplete --quiet host reason --config \
	$(foreach name,$(filter-out CLUSTER CORES REPOSITORY PYTHON,$(VARIABLES)),"$(name)=['$$(printf %s "$$$(name)" | sed "s/'/''/g")']")

IN_VENV := every-pixel site render publish check test test-all bench lab
.PHONY: help figures sweep clean $(IN_VENV)
help:
	@sed -n 's/^#: \{0,1\}//p' Makefile

# A scan of a folder that fails leaves the others standing.
figures: $(READY)
	@$(OF_RUN) $(SNAKEMAKE) $$(test ! -d "$$DATA" || echo --keep-going)

# A cell that fails leaves the others standing; the table says which.
sweep: $(READY)
	@test ! -d "$$DATA" || { echo "DATA=$$DATA is a folder: expected one scan for a sweep;" \
	  "list the others under scans in $$SWEEP" >&2; exit 1; }
	@$(SNAKEMAKE) --keep-going sweep || true
	@.venv/bin/python -m workflow.sweep "$$SWEEP" --profile "$$PROFILE" --seed "$$SEED"

FOLDER = "build/$$PROFILE/seed$$SEED"
# Without DATA, those of a run that is there already, be it of a scan of one's own.
site render: OF_RUN = $(if $(filter DATA,$(GIVEN)),,DATA=$$(.venv/bin/python -c 'import json, sys; \
	print(json.load(open(sys.argv[1]))["parameters"]["data"])' $(FOLDER)/results/0_measured_data.json 2> /dev/null || echo auto);)
every-pixel: DOES = workflow.apply $(FOLDER)
site: DOES = docs.build $(FOLDER)
render: DOES = workflow.render $(FOLDER)
publish: DOES = workflow.publish "$$REPOSITORY"
check: DOES = ruff check
test test-all: DOES = pytest -n logical --maxprocesses 4
test-all: DOES += -m "all or not all" --hypothesis-profile=many
bench: DOES = pytest benchmarks --benchmark-columns=median,stddev,rounds --benchmark-json=build/bench/speed.json
lab: DOES = jupyter lab notebooks
lab: export JUPYTER_PATH = $(CURDIR)/.venv/share/jupyter
every-pixel site render: figures
bench: build/bench
build/bench: ; @mkdir -p $@
$(IN_VENV): $(READY)
	@.venv/bin/python -m $(DOES)

clean:
	rm -rf build .snakemake

$(INSTALLED):
	@"$$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	  echo "PYTHON=$$PYTHON is $$("$$PYTHON" -V 2>/dev/null || echo not there): expected Python 3.11 to 3.13;" \
	       "name another, as in make PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing into .venv (a few minutes, once)"
	@$(ALONE); { test -e $@ && test "$$("$$PYTHON" -V)" = "$$(.venv/bin/python -V)"; } || { \
	  rm -rf .venv && "$$PYTHON" -m venv .venv && $(PIP) -r requirements.txt && touch $@; }

.venv/cluster-%: $(INSTALLED)
	@$(ALONE); test -e $@ || { $(PIP) -r requirements-cluster.txt && touch $@; }
