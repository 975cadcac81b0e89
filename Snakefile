# Which notebook reads and writes what, for every profile and seed.
# `make figures` runs this file; so does `snakemake --cores all --config profile=smoke data=twin seed=0`.
# profiles/README.md tells how it runs on a cluster.

import atexit
import json
import os
import re
import shlex
import shutil
import sys
import time
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")
sys.path.insert(0, workflow.basedir)
from helpers.profiles import PROFILES
from helpers.cluster import lost_jobs
from helpers.dependencies import parameters_used, helper_files, source_digest
from helpers.workflow import (
    check_settings, claim, data_files, failures, scan_folders, set_aside_other_loops, sweep_cells, sweep_folder,
    sweep_scans,
)

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
        threads=2,
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

# Memory (MB) and time (minutes) that a job asks of a cluster, several times what was measured on two
# cores; of the paper profile an estimate. A training that needs longer goes on from its last epoch.
MEMORY_MB = {"smoke": 3000, "laptop": 6000, "paper": 12000}
MINUTES = {"smoke": 30, "laptop": 120, "paper": 720}


def memory_mb(wildcards, attempt):
    """A second attempt asks for twice the memory, in case the first ran out of it."""
    return min(attempt, 2) * MEMORY_MB[settings["profile"]]


def which_attempt(wildcards, attempt):
    return attempt


def written(notebook, folder):
    """Every file that a notebook leaves in its build folder."""
    files = [f"results/{notebook}.json", f"notebooks/{notebook}.ipynb", f"notebooks/{notebook}.html"]
    for file in NOTEBOOKS[notebook]["writes"]:
        files += [f"{file}.png", f"{file}.pdf"] if file.startswith("figures/") else [file]
    return [f"{folder}/{file}" for file in files]


def given(notebook, data):
    """The settings that a notebook uses, as arguments of papermill."""
    values = settings | {"data": data}
    return " ".join(f"-{'p' if name in ('seed', 'cycle') else 'r'} {name} {shlex.quote(str(values[name]))}"
                    for name in sorted(used[notebook] & set(values)) if values[name] != "")


def setting_files(notebook, folder):
    """Files that settings name, or that came with the project, and that a notebook reads."""
    if notebook == "0_measured_data":
        return data_files(SCANS[folder])
    if notebook == "1_toy_rgb_benchmark":
        return [settings["painting"]] if settings["painting"] else []
    if notebook == "3_beta_vae_training":
        return list(map(str, Path("data/reference").glob("paper_recipe.json")))
    # What a sweep has collected, where one was run.
    return list(map(str, Path(folder).parent.glob("sweep/sweep.json"))) if notebook[0] == "5" else []


STARTED = time.time()
try:
    settings = check_settings(config, PROFILES)
    FOLDER = f"build/{settings['profile']}/seed{settings['seed']}"
    SCANS = scan_folders(settings, FOLDER)
    if workflow.is_main_process and not workflow.dryrun:
        lock = claim(Path(FOLDER, ".lock"))
        for folder, data in SCANS.items():
            set_aside_other_loops(Path(folder), data, settings["cycle"])
    used = {name: parameters_used(f"notebooks/{name}.ipynb") for name in NOTEBOOKS}
    SWEEP = sweep_folder(settings)
    jobs, compared = sweep_cells(Path(settings["sweep"])), sweep_scans(Path(settings["sweep"]))
except ValueError as error:
    sys.exit(str(error))

# The page that compares the scans of a folder.
PAGE = f"{Path(FOLDER).parent}/{Path(settings['data']).name}-seed{settings['seed']}.html" if FOLDER not in SCANS else ""
LIMIT = (f"--execution-timeout {CELL_TIMEOUT_S[settings['profile']]}"
         if settings["profile"] in CELL_TIMEOUT_S else "")

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
    localrule: True
    message:
        f"Every notebook of {PAGE or FOLDER} is up to date"
    input:
        [written(notebook, folder) for folder in SCANS for notebook in NOTEBOOKS],
        PAGE or [],


for notebook, files in NOTEBOOKS.items():
    # The toy benchmark has nothing to do with the scan, so that all scans of a folder share it.
    folders = [FOLDER] if notebook == "1_toy_rgb_benchmark" else list(SCANS)

    rule:
        name: notebook
        message: f"Running notebooks/{notebook}.ipynb" + (" for {wildcards.folder}" if PAGE else "")
        input:
            [f"{{folder}}/{file}" for file in files["reads"]],
            helper_files(Path(f"notebooks/{notebook}.ipynb")),
            lambda wildcards, notebook=notebook: setting_files(notebook, wildcards.folder),
            # What the author wrote is tracked by its digest: running a notebook by hand, or
            # committing it rendered, changes the file but not the results.
            notebook=ancient(f"notebooks/{notebook}.ipynb"),
        output:
            written(notebook, "{folder}"),
        params:
            given=lambda wildcards, notebook=notebook: given(notebook, SCANS.get(wildcards.folder, "")),
            source=source_digest(Path(f"notebooks/{notebook}.ipynb")),
            # Not among the logs: Snakemake would leave an empty file where it has been moved away.
            kept=f"{{folder}}/logs/{notebook}.ipynb",
        log:
            f"{{folder}}/logs/{notebook}.log",
        wildcard_constraints:
            folder="|".join(map(re.escape, folders)),
        threads: files.get("threads", 1)
        resources:
            mem_mb=memory_mb,
            runtime=MINUTES[settings["profile"]],
            attempt=which_attempt,
        shell:
            "[ {resources.attempt} = 1 ] || {sys.executable:q} -m helpers.cluster again {params.kept:q}\n"
            # A notebook outlives a killed Snakemake, so it holds the claim on the folder as well.
            "exec 9>> {FOLDER}/.lock\n"
            "{sys.executable:q} -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_SH)' || true\n"
            "rm -f {params.kept:q}\n"
            "{sys.executable:q} -m papermill {input.notebook} {params.kept:q} {params.given}"
            " -r build \"$(realpath {wildcards.folder:q}/../..)\" --kernel python3 --cwd notebooks {LIMIT}"
            " --no-progress-bar --stderr-file {PROGRESS} 2> {log:q}\n"
            "{sys.executable:q} -m nbconvert --to html --template classic --CoalesceStreamsPreprocessor.enabled=True"
            " --log-level ERROR --output-dir {wildcards.folder:q}/notebooks {params.kept:q} 2>> {log:q}\n"
            "mv {params.kept:q} {wildcards.folder:q}/notebooks/\n"


if PAGE:
    from helpers.scans import write_page

    rule shared_toy:
        localrule: True
        message:
            "Taking the toy benchmark to {wildcards.folder}"
        input:
            written("1_toy_rgb_benchmark", FOLDER),
        output:
            written("1_toy_rgb_benchmark", "{folder}"),
        wildcard_constraints:
            folder="|".join(map(re.escape, SCANS)),
        run:
            for source, target in zip(input, output):
                shutil.copyfile(source, target)

    rule page:
        localrule: True
        message:
            "Comparing the scans in {output}"
        input:
            [f"{folder}/metrics.json" for folder in SCANS],
            "helpers/scans.py",
        output:
            PAGE,
        run:
            write_page(Path(PAGE), SCANS)


rule sweep:
    localrule: True
    message:
        f"Every cell of {SWEEP} is up to date"
    input:
        [f"{SWEEP}/{cell}/seed{seed}/metrics.json" for cell, seed in jobs],


rule cell:
    message:
        "Running {wildcards.cell}, seed {wildcards.seed}"
    input:
        lambda wildcards: compared.get(wildcards.cell, f"{FOLDER}/results/scan.h5"),
        helper_files(Path(workflow.basedir, "helpers/sweep.py")),
    output:
        f"{SWEEP}/{{cell}}/seed{{seed}}/metrics.json",
    log:
        f"{SWEEP}/{{cell}}/seed{{seed}}/log.txt",
    wildcard_constraints:
        seed=r"\d+",
    threads: 2
    resources:
        mem_mb=memory_mb,
        runtime=MINUTES[settings["profile"]],
        attempt=which_attempt,
    shell:
        "[ {resources.attempt} = 1 ] || {sys.executable:q} -m helpers.cluster again {log:q}\n"
        "{sys.executable:q} -m helpers.sweep run {wildcards.cell:q} --profile {settings[profile]}"
        " --seed {wildcards.seed} --scan {input[0]:q} --folder $(dirname {output:q}) > {log:q} 2>&1"


onsuccess:
    finished = Path(FOLDER, "run.json")
    loops = json.loads(finished.read_text())["data"]["source"] if finished.is_file() else ""
    drawn = {"twin": ", drawn from the simulated twin", "measured": ", drawn from measured loops"}
    if PAGE:
        print(f"{PAGE} compares {len(SCANS)} scans", file=sys.stderr)
    elif loops:
        print(f"Figures, movies and numbers are in {FOLDER}{drawn[loops]}", file=sys.stderr)


onerror:
    if PAGE:
        write_page(Path(PAGE), SCANS)
    # Printed when Snakemake has ended, below its own account; the last registered first.
    lost = lost_jobs(log)
    for sentence in lost + failures(dict.fromkeys([FOLDER, *SCANS]), STARTED, lost):
        atexit.register(print, f"\n{sentence}", file=sys.stderr)
