# Which notebook reads and writes what, for every profile and seed.
# `make figures` runs this file; so does `snakemake --cores all --config profile=smoke data=twin seed=0`.

import atexit
import json
import os
import shlex
import sys
import time
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")
sys.path.insert(0, workflow.basedir)
from helpers.profiles import PROFILES
from helpers.dependencies import parameters_used, helper_files, source_digest
from helpers.workflow import check_settings, claim, data_files, failures, sweep_cells

# A notebook reads results of those before it and writes results, figures (as png and pdf), movies
# and files at the top of its build folder; besides, results/<notebook>.json with its numbers.
NOTEBOOKS = {
    "0_measured_data": dict(
        reads=[],
        writes=["results/scan.h5", "figures/figS1", "figures/figS2", "figures/figS6"],
    ),
    "1_toy_rgb_benchmark": dict(
        reads=[],
        writes=["results/toy.npz", "figures/fig1"],
    ),
    "2_dictionary_learning": dict(
        reads=["results/scan.h5", "results/toy.npz"],
        writes=["results/dictionary.npz", "figures/figS3", "figures/figS5"],
    ),
    "3_beta_vae_training": dict(
        reads=["results/scan.h5", "results/toy.npz"],
        writes=["results/vae_toy.npz", "results/vae_beps.npz",
                *(f"results/weights/{name}.{kind}" for name in ("toy", "beps")
                  for kind in ("weights.h5", "npz", "json")),
                "figures/fig3", "figures/figS7"],
        threads=2,
    ),
    "4_embedding_movies": dict(
        reads=["results/scan.h5", "results/toy.npz", "results/dictionary.npz",
               "results/vae_toy.npz", "results/vae_beps.npz",
               "results/weights/toy.weights.h5", "results/weights/beps.weights.h5"],
        writes=["results/sweeps.npz",
                "movies/s1.mp4", "movies/s2.mp4", "movies/s3.mp4",
                "movies/s4.mp4", "movies/s5.mp4", "movies/s6.mp4"],
    ),
    "5_paper_and_reproduction": dict(
        reads=["results/scan.h5", "results/toy.npz", "results/dictionary.npz",
               "results/vae_toy.npz", "results/vae_beps.npz", "results/sweeps.npz",
               "results/0_measured_data.json", "results/1_toy_rgb_benchmark.json",
               "results/2_dictionary_learning.json", "results/3_beta_vae_training.json",
               "results/4_embedding_movies.json"],
        writes=["figures/fig2", "figures/fig4", "figures/fig5",
                "figures/figS4", "figures/figS8", "figures/figS9", "figures/figS10",
                "results/table1.json", "metrics.json", "manifest.json", "run.json"],
    ),
}

# Longest time a cell may take, several times what it needs on two cores; no limit where none is given.
CELL_TIMEOUT_S = {"smoke": 1200, "laptop": 7200}


def written(notebook):
    """Every file that a notebook leaves in its build folder."""
    files = [f"results/{notebook}.json", f"notebooks/{notebook}.ipynb", f"notebooks/{notebook}.html"]
    for file in NOTEBOOKS[notebook]["writes"]:
        files += [f"{file}.png", f"{file}.pdf"] if file.startswith("figures/") else [file]
    return [f"{FOLDER}/{file}" for file in files]


def given(notebook):
    """The settings that a notebook uses, as arguments of papermill."""
    names = sorted(parameters_used(notebook) & set(settings))
    return " ".join(f"-{'p' if name in ('seed', 'cycle') else 'r'} {name} {shlex.quote(str(settings[name]))}"
                    for name in names if settings[name] != "")


STARTED = time.time()
try:
    settings = check_settings(config, PROFILES)
    FOLDER = f"build/{settings['profile']}/seed{settings['seed']}"
    if workflow.is_main_process and not workflow.dryrun:
        lock = claim(Path(FOLDER, ".lock"))
    arguments = {name: given(f"notebooks/{name}.ipynb") for name in NOTEBOOKS}
    jobs = sweep_cells(Path(workflow.basedir, "sweep.yml"))
except ValueError as error:
    sys.exit(str(error))

BUILD = Path("build").resolve()
LIMIT = (f"--execution-timeout {CELL_TIMEOUT_S[settings['profile']]}"
         if settings["profile"] in CELL_TIMEOUT_S else "")
SETTING_FILES = {"0_measured_data": data_files(settings["data"]),
                 "1_toy_rgb_benchmark": [settings["painting"]] if settings["painting"] else [],
                 # What a sweep has collected, where one was run.
                 "5_paper_and_reproduction": list(map(str, Path(FOLDER).parent.glob("sweep/sweep.json")))}

# The kernel of this environment, whatever kernels the user has registered elsewhere.
os.environ["JUPYTER_PATH"] = str(Path(sys.prefix, "share", "jupyter"))
# A backend chosen for the user's own windows would keep figures out of the notebooks.
os.environ.pop("MPLBACKEND", None)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Progress bars of the notebooks are for a terminal, not for a log.
PROGRESS = os.ttyname(2) if sys.stderr.isatty() else os.devnull
if not sys.stderr.isatty():
    os.environ.setdefault("TQDM_DISABLE", "1")


rule all:
    message:
        f"Every notebook of {FOLDER} is up to date"
    input:
        [written(notebook) for notebook in NOTEBOOKS],


for notebook, files in NOTEBOOKS.items():

    rule:
        name: notebook
        message: f"Running notebooks/{notebook}.ipynb"
        input:
            [f"{FOLDER}/{file}" for file in files["reads"]],
            helper_files(Path(f"notebooks/{notebook}.ipynb")),
            SETTING_FILES.get(notebook, []),
            # What the author wrote is tracked by its digest: running a notebook by hand, or
            # committing it rendered, changes the file but not the results.
            notebook=ancient(f"notebooks/{notebook}.ipynb"),
        output:
            written(notebook),
        params:
            given=arguments[notebook],
            source=source_digest(Path(f"notebooks/{notebook}.ipynb")),
            # Not among the logs: Snakemake would leave an empty file where it has been moved away.
            kept=f"{FOLDER}/logs/{notebook}.ipynb",
        log:
            f"{FOLDER}/logs/{notebook}.log",
        threads: files.get("threads", 1)
        shell:
            # A notebook outlives a killed Snakemake, so it holds the claim on the folder as well.
            "exec 9>> {FOLDER}/.lock\n"
            "{sys.executable:q} -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_SH)' || true\n"
            "rm -f {params.kept}\n"
            "{sys.executable:q} -m papermill {input.notebook} {params.kept} {params.given} -r build {BUILD:q}"
            " --kernel python3 --cwd notebooks {LIMIT} --no-progress-bar --stderr-file {PROGRESS} 2> {log}\n"
            "{sys.executable:q} -m nbconvert --to html --CoalesceStreamsPreprocessor.enabled=True"
            " --log-level ERROR --output-dir {FOLDER}/notebooks {params.kept} 2>> {log}\n"
            "mv {params.kept} {FOLDER}/notebooks/\n"


SWEEP = f"build/{settings['profile']}/sweep"


rule sweep:
    message:
        f"Every cell of {SWEEP} is up to date"
    input:
        [f"{SWEEP}/{cell}/seed{seed}/metrics.json" for cell, seed in jobs],


rule cell:
    message:
        "Running {wildcards.cell}, seed {wildcards.seed}"
    input:
        f"{FOLDER}/results/scan.h5",
        helper_files(Path(workflow.basedir, "helpers/sweep.py")),
    output:
        f"{SWEEP}/{{cell}}/seed{{seed}}/metrics.json",
    log:
        f"{SWEEP}/{{cell}}/seed{{seed}}/log.txt",
    wildcard_constraints:
        seed=r"\d+",
    threads: 2
    shell:
        "{sys.executable:q} -m helpers.sweep run {wildcards.cell:q} --profile {settings[profile]}"
        " --seed {wildcards.seed} --scan {input[0]} --folder $(dirname {output}) > {log} 2>&1"


onsuccess:
    finished = Path(FOLDER, "run.json")
    loops = json.loads(finished.read_text())["data"]["source"] if finished.is_file() else ""
    drawn = {"twin": ", drawn from the simulated twin", "measured": ", drawn from measured loops"}
    if loops:
        print(f"Figures, movies and numbers are in {FOLDER}{drawn[loops]}", file=sys.stderr)


onerror:
    # Printed when Snakemake has ended, below its own account.
    for sentence in failures(Path(FOLDER, "logs"), STARTED):
        atexit.register(print, f"\n{sentence}", file=sys.stderr)
