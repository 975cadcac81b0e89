"""A copy of the tree with stub notebooks, on which the real Snakefile and Makefile run."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from browsing import start_browser
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from helpers.notebooks import written
from helpers.twin import measurement as twin

ROOT = Path(__file__).resolve().parent.parent
COPIED = ["Makefile", "requirements.txt", "helpers/__init__.py", "helpers/notebooks.py", "helpers/notebooks.yml",
          "helpers/paths.py", "helpers/profiles.py", "workflow/__init__.py", "workflow/Snakefile", "workflow/ahead.py",
          "workflow/render.py", "workflow/compare.html", "workflow/settings.py", "workflow/sweep.py",
          "workflow/sweep.smk", "workflow/sweep.yml", "workflow/scans.smk"]
PARAMETERS = 'profile = "smoke"\nseed = 1\nbuild = "build"\n'
# The notebooks' own parameters and the helper that each imports.
STUBS = {
    "0_measured_data": ('data = "auto"\ncycle = 0', "import helpers.scans.scan"),
    "1_toy_rgb_benchmark": ('painting = ""', "import helpers.scans.scan"),
    "2_dictionary_learning": ('data = "auto"  # not read', "from helpers.scans import scan as module"),
    "3_beta_vae_training": ('data = "auto"', "from helpers.training import train"),
    "4_embedding_movies": ('data = "auto"', "from helpers import movies"),
    "5_paper_and_reproduction": ('data = "auto"', "import helpers.movies"),
}
LAST = "import os\nprint('done', sys.executable, os.environ['MPLBACKEND'])"
USES = {"0_measured_data": "print(data)\n", "1_toy_rgb_benchmark": "print(painting)\n"}
WRITE = """
from pathlib import Path
folder = Path("..", build, profile, f"seed{{seed}}")
for file in {files!r}:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{{"data": {{"source": "twin"}}}}' if file == "run.json" else "{{}}")
"""
COMPARE = """
import sys
from pathlib import Path
from workflow.settings import scan_folders

def write_page(path, scans):
    path.write_text("\\n".join(scans))

if __name__ == "__main__":
    write_page(Path(sys.argv[1]), scan_folders(*sys.argv[2:]))
"""
HELPERS = {"helpers/scans/__init__.py": "", "helpers/scans/scan.py": "", "workflow/compare.py": COMPARE,
           "helpers/training.py": "from helpers.scans import scan\ntrain = None\n",
           "helpers/movies.py": "from .scans.scan import __doc__\n",
           "workflow/cell.py": "from helpers import training\n"}
# In place of papermill and nbconvert, whose kernel takes seconds: the cells in this process, and an empty page.
STAND_INS = {
    "papermill/__init__.py": """
import json, re

def inspect_notebook(path):
    with open(path) as file:
        source = "".join(json.load(file)["cells"][1]["source"])
    return dict.fromkeys(re.findall(r"^(\\w+) = ", source, re.MULTILINE))
""",
    "papermill/__main__.py": """
import contextlib, io, json, os, sys

source, kept, _, given = sys.argv[1:5]
with open(source) as file:
    notebook = json.load(file)
injected = "\\n".join(f"{name} = {json.dumps(value)}" for name, value in json.loads(given).items())
tagged = {"id": "given", "source": injected, "metadata": {"tags": ["injected-parameters"]}}
notebook["cells"].insert(2, notebook["cells"][1] | tagged)
names, kept = {}, os.path.abspath(kept)
os.chdir("notebooks")
os.environ.setdefault("MPLBACKEND", "inline")
for cell in notebook["cells"]:
    with open(kept, "w") as file:
        json.dump(notebook, file)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(cell["source"], names)
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": said.getvalue()}]
with open(kept, "w") as file:
    json.dump(notebook, file)
""",
    "nbconvert/__init__.py": "",
    "nbconvert/__main__.py": """
import pathlib, sys

folder, notebook = pathlib.Path(sys.argv[sys.argv.index("--output-dir") + 1]), pathlib.Path(sys.argv[-1])
folder.joinpath(notebook.stem + ".html").write_text("<html>")
""",
}


def write_notebook(path: Path, *sources: str) -> None:
    """A notebook of code cells, of which the second is tagged ``parameters``."""
    cells = [{"cell_type": "code", "id": f"cell{n}", "source": source, "outputs": [], "execution_count": None,
              "metadata": {"tags": ["parameters"]} if n == 1 else {}} for n, source in enumerate(sources)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(made))


def write_files(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def copy_project(target: Path) -> Path:
    """Copy what the real notebooks need."""
    for name in ("helpers", "workflow", "notebooks"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("data/painting.png", "data/reference/paper_runs.json"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target / name)
    return target


def variables(environment: Mapping[str, str] = os.environ, **extra: str) -> dict[str, str]:
    """Those of an environment without the ones that an outer `make` hands on."""
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "PROFILE", "DATA", "SEED", "PAINTING", "WEIGHTS",
             "CYCLE", "CLUSTER", "SWEEP", "CORES", "PYTHON", "KERAS_BACKEND")
    kept = {name: value for name, value in environment.items() if name not in outer}
    return kept | {"OMP_NUM_THREADS": "1"} | extra


settings.register_profile("default", max_examples=50, deadline=None)
settings.register_profile("many", max_examples=800, deadline=None)  # make test-all
settings.load_profile("default")
FIRST = ["test_notebooks", "test_site", "test_training", "test_controls", "test_workflow"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for the real notebooks comes first, and runs beside everything else; then the longest files."""
    items.sort(key=lambda item: FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST))


class ByFile(LoadFileScheduling):
    """Several processes run the tests: those of a file in one, and all that need the real runs in the same one."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.split("::")[0]).name
        return "runs" if file in ("test_notebooks.py", "test_site.py") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log) -> ByFile:
    """The scheduler of ``pytest -n 2``; the order of the files is that of the collection."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


class Tree:
    """A small copy of the repository in a folder of its own; `real` runs its stub notebooks in kernels."""

    def __init__(self, root: Path, real: bool = False):
        self.root = root
        write_files(root, HELPERS | ({} if real else STAND_INS))
        for file in COPIED:
            shutil.copy(ROOT / file, root / file)
        (root / "notebooks").mkdir()
        for name in STUBS:
            self.stub(name)

    def stub(self, name: str, last: str = "") -> None:
        """Write a stub notebook; `last` is run after it has written its files."""
        own, imports = STUBS[name]
        write_notebook(self.root / f"notebooks/{name}.ipynb",
                       f"import sys\nsys.path.insert(0, '..')\n{imports}", PARAMETERS + own,
                       WRITE.format(files=written(name)), USES.get(name, "") + (last or LAST))

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess:
        """Run a command in the tree, its two output streams joined in ``stdout``."""
        return subprocess.run(command, cwd=self.root, env=variables(**environment), text=True, timeout=600,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def snakemake(self, *arguments: str, fails: bool = False, **environment: str) -> str:
        """What Snakemake says, run as `make figures` does; ``profile=smoke data=twin`` unless given."""
        given = [a for a in arguments if "=" in a]
        settings = {"profile": "smoke", "data": "twin"} | dict(a.split("=", 1) for a in given)
        done = self.run(sys.executable, "-m", "snakemake", "--cores", "2", *set(arguments) - set(given),
                        "--rerun-incomplete", "--quiet", "host", "reason", "--config",
                        *(f"{key}={value}" for key, value in settings.items()), **environment)
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def planned(self, *arguments: str, **environment: str) -> set[str]:
        """Notebooks that a dry run would execute."""
        output = self.snakemake("--dry-run", *arguments, **environment)
        return {name for name in STUBS if f"Running notebooks/{name}.ipynb" in output}

    def folder(self, profile: str = "smoke", seed: int = 0) -> Path:
        return self.root / "build" / profile / f"seed{seed}"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A tree in which nothing has run."""
    return Tree(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A tree in which every notebook has run on the twin."""
    tree = Tree(tmp_path_factory.mktemp("finished"))
    tree.snakemake()
    return tree


def make_figures(tree: Path, data: Path | str) -> Path:
    """Run the real workflow in a copy of the repository; returns the build folder."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--rerun-incomplete",
               "--config", "profile=smoke", f"data={data}"]
    environment = {**os.environ, "TQDM_DISABLE": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, text=True, timeout=1800, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout[-4000:]
    return tree / "build/smoke/seed0"


@pytest.fixture(scope="session")
def twin_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All real notebooks on the twin, smoke profile."""
    return make_figures(copy_project(tmp_path_factory.mktemp("tree")), "twin")


@pytest.fixture(scope="session")
def own_run(twin_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a reader's file: 16 × 19 pixels, 48 steps from 0 V upwards, one channel, holes.

    It goes on from a copy of the other run, so that no toy network is trained again.
    """
    tree = tmp_path_factory.mktemp("own") / "tree"
    shutil.copytree(twin_run.parents[2], tree)
    made = twin.simulate(3, (16, 19))
    loops = 1e6 * np.roll(made.piezoresponse, 24, axis=-1)[..., ::2]
    loops[3, 4] = np.nan
    loops[10, 12, 5] = np.nan
    np.savez(tree / "own.npz", loops=loops, voltage=np.roll(made.voltage_V, 24)[::2])
    return make_figures(tree, tree / "own.npz")


@pytest.fixture
def measured() -> Path:
    """Path of the measured loops; skips where there are none."""
    path = Path(os.environ.get("BEPS_DATA", ""))
    if not path.is_file():
        pytest.skip("set BEPS_DATA to the file of measured loops to run this test")
    return path


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium with its logs."""
    driver = start_browser()
    yield driver
    driver.quit()
