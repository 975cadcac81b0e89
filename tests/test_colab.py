"""The notebooks on Google Colab, played through with a stand-in for `google.colab`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import types
import zipfile
from pathlib import Path

import packaging
import pip
import pytest
from conftest import ROOT, write_notebook

from helpers import colab
from helpers.notebooks import needed
from helpers.paths import read_json

PATHS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
TAG = f"v{tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf-8'))['project']['version']}"
# What the notebooks use of Colab's own packages (its runtime of Python 3.13), one of them out of range.
COLAB = """tensorflow==2.20.* keras==3.13.* numpy==2.1.* scipy==1.16.* scikit-learn==1.7.* h5py==3.15.*
matplotlib==3.10.* pillow==11.3.* imageio-ffmpeg==0.6.* tqdm==4.67.* pooch==1.8.2 requests==2.32.4
gdown==5.2.* urllib3==2.5.* PyYAML==6.0.* jsonschema==4.25.* ipython==7.34.0 ipykernel==6.17.1
jupyter-client==7.4.9 nbclient==0.10.* nbformat==5.10.*
nbconvert==7.16.* tornado==6.5.1 packaging>=25""".split()


def source(cell: dict) -> str:
    return "".join(cell["source"])


def addressed(notebook: dict, address: str, tag: str = TAG) -> dict:
    """The notebook with its first code cell fetching another repository."""
    given = f'repository, tag = "{address}", "{tag}"'
    fetch, found = re.subn(r"repository, tag = .*", given, source(notebook["cells"][1]))
    assert found == 1
    notebook["cells"][1]["source"] = fetch
    return notebook


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_notebooks_begin_with_the_cell_that_fetches_the_version_cited_and_prepare_after_their_parameters(path):
    code = [cell for cell in read_json(path)["cells"] if cell["cell_type"] == "code"]
    assert f'repository, tag = "", "{TAG}"' in source(code[0])
    assert re.search(rf"^version: {TAG[1:]}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    calls = [n for n, cell in enumerate(code) if f'colab.prepare("{path.stem}"' in source(cell)]
    tagged = [n for n, cell in enumerate(code) if "parameters" in cell["metadata"].get("tags", [])]
    assert calls == [tagged[0] + 1]


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> str:
    """Address of a git repository made of the working tree, with the tag of its version."""
    tree = tmp_path_factory.mktemp("repository")
    for name in ("helpers", "workflow", "notebooks", "data/weights", "data/reference"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements.txt", "CITATION.cff", "pyproject.toml", "data/painting.png"):
        shutil.copy(ROOT / name, tree / name)
    for command in ("init -q", "add -A", "-c user.name=n -c user.email=e commit -q -m state", f"tag {TAG}"):
        subprocess.run(["git", *command.split()], cwd=tree, check=True)
    return tree.as_uri()


def run_first_cell(folder: Path, address: str, tag: str = TAG, there=True) -> subprocess.CompletedProcess:
    """Run the first code cell of notebook 3 in `folder`, on Colab or elsewhere."""
    cell = source(addressed(read_json(PATHS[3]), address, tag)["cells"][1])
    stand_in = "import sys, types; sys.modules['google.colab'] = types.ModuleType('colab')\n" if there else ""
    after = ("\nimport os; print(os.getcwd(), on_colab)\n"
             "if on_colab: from helpers import paths; print(paths.ROOT)")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([sys.executable, "-c", stand_in + cell + after], cwd=folder, env=environment,
                          capture_output=True, text=True, timeout=300)


def test_the_first_cell_fetches_the_project_once(repository, tmp_path):
    for _ in range(2):
        done = run_first_cell(tmp_path, repository)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [f"{tmp_path}/companion", "True", f"{tmp_path}/companion"]


@pytest.mark.parametrize("address, tag", [("https://127.0.0.1:9/a/b", TAG), (None, "v0.0")])
def test_what_cannot_be_fetched_is_said_in_one_sentence(repository, tmp_path, address, tag):
    done = run_first_cell(tmp_path, repository if address is None else address, tag)
    assert done.returncode and "expected a public git repository with this tag" in done.stderr
    assert f"at '{tag}' was not fetched (" in done.stderr and not list(tmp_path.iterdir())


def test_without_an_address_the_first_cell_says_where_the_project_goes_and_elsewhere_where_to_run_it(tmp_path):
    done = run_first_cell(tmp_path, "")
    assert f"upload or clone it as {tmp_path}/companion, and run this cell" in done.stdout
    done = run_first_cell(tmp_path, "", there=False)
    assert f"{tmp_path} lies outside the project: expected a folder in it" in done.stderr and done.returncode
    assert not list(tmp_path.iterdir())
    assert run_first_cell(ROOT / "notebooks", "", there=False).stdout == f"{ROOT / 'notebooks'} False\n"


WHEEL = "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    """A package of one empty module."""
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", "")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        file.writestr(f"{info}/WHEEL", WHEEL)
        file.writestr(f"{info}/RECORD", "")


class Machine:
    """A Python of its own with NumPy 2.1 and pooch 1.8, both hollow, and a shelf of later packages."""

    def __init__(self, folder: Path):
        self.folder, self.shelf, self.python = folder, folder / "shelf", folder / "env/bin/python"
        self.shelf.mkdir()
        for package in ("numpy 2.1", "numpy 2.3", "pooch 1.8", "pooch 1.9", "ansicolors 1"):
            wheel(self.shelf, *package.split())
        wheel(self.shelf, "papermill", "2.7", "ansicolors")
        for package in (packaging, pip):
            shutil.copytree(Path(package.__file__).parent, folder / "path" / package.__name__)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
        self.run("-m", "pip", "install", "-q", "numpy==2.1", "pooch==1.8")
        site = next(folder.glob("env/lib/*/site-packages"))
        # Behind them, packages of the operating system: another NumPy, a version that is none.
        for package in ("numpy 1.0", "devscripts 2.2ubuntu1"):
            name, version = package.split()
            info = folder / f"system/{name}.dist-info"
            info.mkdir(parents=True)
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (site / "system.pth").write_text(f"{folder}/system\n")

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{self.folder}/path", "PIP_NO_INDEX": "1",
                                    "PIP_FIND_LINKS": str(self.shelf), "PIP_CONFIG_FILE": os.devnull}
        return subprocess.run([self.python, *arguments], env=environment, capture_output=True, text=True)

    def install(self, requirements: str, before: str = "") -> subprocess.CompletedProcess:
        path = self.folder / "requirements.txt"
        path.write_text(requirements)
        return self.run("-c", f"{before}\nfrom pathlib import Path\nfrom helpers import colab\n"
                              f"colab.install(Path({str(path)!r}))")

    def versions(self) -> dict[str, str]:
        return dict(path.stem.split("-") for path in self.folder.glob("env/lib/*/site-packages/*.dist-info"))


def test_only_what_is_missing_is_added_numpy_is_left_and_a_restart_asked_for_where_an_import_changed(tmp_path):
    machine = Machine(tmp_path)
    wanted = "numpy>=2.0  # reason\n\n# heading\npooch>=1.8\npapermill>=2.7\nsnakemake>=9\n"
    done = machine.install(wanted)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Adding papermill>=2.7\n"
    there = {"numpy": "2.1", "pooch": "1.8", "papermill": "2.7", "ansicolors": "1"}
    assert machine.versions() == there and (machine.install(wanted).stdout, machine.versions()) == ("", there)
    done = machine.install("numpy>=2.3\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "numpy is 2.1, expected is numpy>=2.3; it is left as it is\n"
    wheel(machine.shelf, "papermill", "2.8", "numpy>=2.3")
    done = machine.install("numpy>=2.0\npapermill>=2.8\n")
    assert done.returncode and "pip could not add papermill>=2.8 (" in done.stderr and machine.versions() == there
    done = machine.install("pooch>=1.9\n", before="import pooch")
    assert done.returncode and re.search("pooch was imported before .* restart the runtime", done.stderr)
    wheel(machine.shelf, "ansicolors", "2")
    assert machine.install("ansicolors>=2\n").returncode == 0
    assert machine.versions() == there | {"pooch": "1.9", "ansicolors": "2"}


STUB = """from pathlib import Path
folder = Path(build) / profile / f"seed{{seed}}/results"
folder.mkdir(parents=True, exist_ok=True)
(folder / "{name}.json").write_text('{{"parameters": {{"data": "' + data + '"}}}}')
with (folder / "order.txt").open("a") as file: file.write("{name} " + data + "\\n")
{last}"""


def stub(root: Path, name: str, last: str = "") -> None:
    (root / "notebooks").mkdir(exist_ok=True)
    parameters = 'profile = "smoke"\nseed = 1\nbuild = ""\ndata = "auto"'
    write_notebook(root / f"notebooks/{name}.ipynb", "0", parameters, STUB.format(name=name, last=last))


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(colab, "ROOT", tmp_path)
    for name in needed("4_embedding_movies"):
        stub(tmp_path, name)
    return tmp_path


def run_here(*arguments: str) -> types.SimpleNamespace:
    """In place of papermill, whose kernel takes seconds: the cells in this process."""
    source, kept, _, given = arguments[2:6]
    first, parameters, *rest = (cell["source"] for cell in read_json(Path(source))["cells"])
    with contextlib.chdir(colab.ROOT):
        exec("\n".join([first, parameters, *(f"{n} = {v!r}" for n, v in json.loads(given).items()), *rest]), {})
    shutil.copy(source, kept)
    return types.SimpleNamespace(returncode=0)


def ran(folder: Path) -> list[str]:
    return (folder / "smoke/seed2/results/order.txt").read_text().splitlines()


def test_earlier_notebooks_run_once_and_again_when_older_than_what_they_read(project, capsys, monkeypatch):
    monkeypatch.setattr(colab, "_python", run_here)
    given = dict(profile="smoke", seed=2, build="build", data="twin")
    colab.prepare("3_beta_vae_training", **given)
    assert ran(project / "build") == ["0_measured_data twin", "1_toy_rgb_benchmark twin"]
    printed = capsys.readouterr().out
    assert re.fullmatch(r"(Notebook \w+ has to run first … \d+ s\n){2}", printed)
    assert (project / "build/smoke/seed2/notebooks/0_measured_data.ipynb").is_file()
    colab.prepare("2_dictionary_learning", **given)
    assert capsys.readouterr().out == ""
    colab.prepare("2_dictionary_learning", **given | {"data": "auto"})
    assert "those of data = 'twin'" in capsys.readouterr().out
    colab.prepare("4_embedding_movies", **given)
    assert [line[0] for line in ran(project / "build")] == ["0", "1", "2", "3"]
    colab.prepare("2_dictionary_learning", **given | {"data": "my.h5"})
    assert ran(project / "build")[4:] == ["0_measured_data my.h5"]
    colab.prepare("2_dictionary_learning", **given)
    assert ran(project / "build")[5:] == ["0_measured_data twin"]
    results = project / "build/smoke/seed2/results"
    later = (results / "3_beta_vae_training.json").stat().st_mtime + 1
    os.utime(results / "1_toy_rgb_benchmark.json", (later, later))
    colab.prepare("4_embedding_movies", **given)
    assert [line[0] for line in ran(project / "build")] == ["0", "1", "2", "3", "0", "0", "2", "3"]


def test_a_failing_earlier_notebook_is_named_with_its_error(project):
    stub(project, "0_measured_data", "raise ValueError(f'no loops in {data}')")
    with pytest.raises(RuntimeError, match="0_measured_data failed: ValueError: no loops in twin;") as error:
        colab.prepare("3_beta_vae_training", profile="smoke", seed=2, build="build", data="twin")
    assert Path(str(error.value).rpartition(" ")[2]).is_file()


def test_results_and_loops_lie_in_drive_on_request(project, monkeypatch):
    calls = []

    def mount(folder: str) -> None:
        calls.append(Path(folder).name)
        Path(folder, "MyDrive").mkdir(parents=True, exist_ok=True)

    google = types.ModuleType("google.colab")
    google.drive = types.SimpleNamespace(mount=mount)
    monkeypatch.setitem(sys.modules, "google.colab", google)
    monkeypatch.setattr(colab, "DRIVE", project / "drive")
    monkeypatch.setattr(colab, "_python", run_here)
    colab.prepare("0_measured_data", profile="smoke", seed=2, build="build")
    assert not calls
    loops = f"{project}/drive/MyDrive/my.h5"
    colab.prepare("0_measured_data", profile="smoke", seed=2, build="build", data=loops)
    assert calls == ["drive"]
    for _ in range(2):
        place = project / "drive/MyDrive/mine"
        colab.prepare("3_beta_vae_training", profile="smoke", seed=2, build=str(place), data="twin")
        assert calls == ["drive"] and len(ran(place)) == 2


@pytest.fixture(scope="module")
def base() -> Path:
    """An environment with Colab's packages, made in the folder COLAB_ENVIRONMENT where it is not there."""
    folder = os.environ.get("COLAB_ENVIRONMENT")
    if not folder:
        pytest.skip("minutes, and 2 GiB of packages: set COLAB_ENVIRONMENT to a folder, in which an "
                    "environment like Colab's is made once")
    candidates = [shutil.which("python3.13"), *Path.home().glob(".pyenv/versions/3.13*/bin/python")]
    folder = Path(folder).resolve()
    if not (folder / "made").is_file():
        works = [str(python) for python in candidates if python and
                 not subprocess.run([python, "-c", ""], capture_output=True).returncode]
        if not works:
            pytest.skip("Python 3.13, which Colab has, is not on this machine")
        subprocess.run([works[0], "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet", *COLAB], check=True)
        (folder / "made").touch()
    return folder


@pytest.fixture
def fresh(base, tmp_path) -> Path:
    """A Python above `base` in which `google.colab` is imported from the start, as Colab's kernels do."""
    environment = tmp_path / "python"
    subprocess.run([base / "bin/python", "-m", "venv", environment], check=True)
    site = next(environment.glob("lib/*/site-packages"))
    (site / "google/colab").mkdir(parents=True)
    (site / "google/colab/__init__.py").touch()
    (site / "base.pth").write_text(f"{next(base.glob('lib/*/site-packages'))}\nimport google.colab\n")
    return environment / "bin/python"


def packages(python: Path) -> dict[str, str]:
    """Versions that an import finds, by name."""
    code = ("import json; from importlib.metadata import distributions, version;"
            "print(json.dumps({d.name: version(d.name) for d in distributions()}))")
    return json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)


def open_and_run(path: Path, python: Path, base: Path, repository: str, content: Path, **given: str) -> str:
    """Run a notebook as a reader would who opened it on Colab and set parameters; returns what it printed."""
    notebook = addressed(read_json(path), repository)
    cell = next(cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", []))
    for name, value in given.items():
        cell["source"], count = re.subn(rf'(?m)^{name} = "\w+"', f'{name} = "{value}"', source(cell))
        assert count == 1 or (name, path.stem[0]) == ("data", "1")  # the toy takes none
    content.mkdir()
    (content / path.name).write_text(json.dumps(notebook))
    environment = os.environ | {"JUPYTER_PATH": str(base / "share/jupyter"), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [python, *"-m nbconvert --to notebook --execute --output done.ipynb".split(), path.name]
    done = subprocess.run(command, cwd=content, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    cells = read_json(content / "done.ipynb")["cells"]
    return "".join(source({"source": out["text"]}) for cell in cells for out in cell.get("outputs", [])
                   if out["output_type"] == "stream")


@pytest.mark.all
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_notebook_runs_alone_and_leaves_packages_as_they_are(path, base, fresh, repository, tmp_path):
    before = packages(fresh)
    printed = open_and_run(path, fresh, base, repository, tmp_path / "content", profile="smoke", data="twin")
    results = tmp_path / "content/companion/build/smoke/seed0/results"
    assert {file.stem for file in results.glob("[0-9]*.json")} == {*needed(path.stem), path.stem}
    assert printed.count("has to run first") == len(needed(path.stem))
    for executed in results.parent.glob("notebooks/*.ipynb"):
        assert "Adding" not in executed.read_text()
    after = packages(fresh)
    assert {name for name in before if after[name] != before[name]} == {"pooch"}
    assert {name: before[name].rpartition(".")[0] for name in ("tensorflow", "keras", "numpy")} == \
        {"tensorflow": "2.20", "keras": "3.13", "numpy": "2.1"}
    assert "papermill" in after.keys() - before.keys() and "snakemake" not in after


@pytest.mark.all
def test_notebook_3_takes_the_weights_trained_in_advance(base, fresh, repository, tmp_path):
    loops = Path(os.environ.get("BEPS_DATA", ROOT.parent / "shared/data/beps_pzt_loops.h5"))
    if not loops.is_file():
        pytest.skip("the measured loops (BEPS_DATA) are not on this machine")
    printed = open_and_run(PATHS[3], fresh, base, repository, tmp_path / "content", data=str(loops.resolve()))
    assert printed.count("weights trained in advance are used") == 3
