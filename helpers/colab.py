"""The notebooks on Google Colab: what Colab lacks is added, what a notebook reads is made first.

The first cell of each notebook fetches the project and calls `install`; the
cell after the parameters calls `prepare`. Elsewhere neither is called.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from helpers.paths import ROOT, Build, read_json

# Of the workflow, the site and the tests; Colab's own kernel stays as it is.
LEFT_OUT = {"jupyter", "ipykernel", "nbconvert", "snakemake", "latex2mathml", "pytest", "pytest-xdist", "hypothesis",
            "selenium", "pytest-benchmark", "ruff", "sphinx", "myst-nb", "sphinx-book-theme"}
# Built by Colab for its hardware.
KEPT = {"tensorflow", "keras", "numpy"}
DRIVE = Path("/content/drive")


def installed() -> dict[str, str]:
    """Version of every package that an import finds, by normalised name."""
    importlib.invalidate_caches()
    found = [package for package in distributions() if package.name]
    # Of a package that lies in several folders, the first on the path counts.
    return {canonicalize_name(package.name): package.version for package in reversed(found)}


def lacking(requirements: Path = ROOT / "requirements.txt") -> list[Requirement]:
    """Requirements of the notebooks that are not there in a version that will do.

    TensorFlow, Keras and NumPy are never among them; a line says so where their version is another.
    """
    there, missing = installed(), []
    lines = [line.partition("#")[0].strip() for line in requirements.read_text("utf-8").splitlines()]
    for wanted in map(Requirement, filter(None, lines)):
        name = canonicalize_name(wanted.name)
        if name in LEFT_OUT or (name in there and wanted.specifier.contains(there[name], prereleases=True)):
            continue
        if name in KEPT:
            print(f"{name} is {there.get(name, 'missing')}, expected is {wanted}; it is left as it is")
        else:
            missing.append(wanted)
    return missing


def install(requirements: Path = ROOT / "requirements.txt") -> None:
    """Add what Colab lacks; every package that is there and will do keeps its version.

    Raises
    ------
    RuntimeError
        If pip cannot add a package, or one that was already imported had to change.
    """
    missing, before = lacking(requirements), installed()
    if not missing:
        return
    names = ", ".join(map(str, missing))
    print(f"Adding {names}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        fixed = Path(folder, "constraints.txt")
        changing = {canonicalize_name(wanted.name) for wanted in missing}
        fixed.write_text("\n".join(_pins({name: before[name] for name in sorted(before.keys() - changing)})))
        done = _python("-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                       "--constraint", str(fixed), *map(str, missing))
    if done.returncode:
        raise RuntimeError(f"pip could not add {names} ({_last_line(done.stderr)}): expected packages that "
                           "fit those of Colab; run the cell again, or choose another runtime version")
    changed = before.items() - installed().items()
    used = sorted({name for name, _ in changed} & _imported())
    if used:
        raise RuntimeError(f"{', '.join(used)} was imported before its version changed: expected a fresh "
                           "start; restart the runtime (Runtime, Restart session) and run all cells")


def _pins(versions: dict[str, str]) -> list[str]:
    """Constraints for pip; packages of the operating system may bear versions that it cannot read."""
    pins = []
    for name, version in versions.items():
        with suppress(InvalidVersion):
            pins.append(f"{name}=={Version(version)}")
    return pins


def _imported() -> set[str]:
    """Normalised names of the packages that this process has imported."""
    return {canonicalize_name(package) for module, packages in packages_distributions().items()
            if module in sys.modules for package in packages}


def _python(*arguments: str) -> subprocess.CompletedProcess:
    """Run this Python quietly, its bars off."""
    return subprocess.run([sys.executable, *arguments], env={**os.environ, "TQDM_DISABLE": "1"},
                          capture_output=True, text=True, check=False)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it ended without a message"])[-1]


def prepare(notebook: str, *, profile: str, seed: int, build: str, data: str = "auto") -> None:
    """Mount Google Drive if `build` or `data` lies there, and run the notebooks whose results are missing.

    A result older than one that it was made from counts as missing, and so do loops of other data than
    those asked for; "auto" asks for none in particular. Networks are taken from
    data/weights where they fit; those that notebook 3 has trained are kept.

    `notebook`, without suffix, is the one that is open, and the rest are its parameters; `data` is for notebook 0.
    One that fails is a RuntimeError, with its error and the path of the notebook as far as it came.
    """
    from helpers.notebooks import needed  # YAML need not be there before `install`

    if any(DRIVE in Path(path).parents for path in (build, data)) and not (DRIVE / "MyDrive").is_dir():
        from google.colab import drive
        drive.mount(str(DRIVE))
    folders = Build(ROOT / build, profile, seed)
    given = {"profile": profile, "seed": seed, "build": str(folders.root), "data": data, "weights": "pretrained"}
    for name in needed(notebook):
        others = name == "0_measured_data" and data not in ("auto", _data_of(folders.results))
        if others or not _is_done([name, *needed(name)], folders.results):
            _run(name, folders.folder, given)
    if needed(notebook) and data != _data_of(folders.results):
        print(f"The loops are those of data = {_data_of(folders.results)!r}, with which notebook 0 was run; name "
              "others in `data`")


def _data_of(results: Path) -> str:
    """The parameter `data` that notebook 0 ran with; empty where it has not run."""
    record = results / "0_measured_data.json"
    return read_json(record)["parameters"]["data"] if record.is_file() else ""


def _is_done(notebooks: list[str], results: Path) -> bool:
    """Whether the first notebook has left its record, and none of the others a later one."""
    records = [results / f"{name}.json" for name in notebooks]
    return records[0].is_file() and all(records[0].stat().st_mtime >= record.stat().st_mtime
                                        for record in records[1:] if record.is_file())


def _run(notebook: str, folder: Path, given: dict[str, object]) -> None:
    """Execute a notebook into ``notebooks/`` of `folder`, or leave it in ``logs/`` where it fails."""
    from papermill import inspect_notebook  # not there before `install`

    source = ROOT / f"notebooks/{notebook}.ipynb"
    kept, executed = (folder / place / source.name for place in ("logs", "notebooks"))
    for path in (kept, executed):
        path.parent.mkdir(parents=True, exist_ok=True)
    known = inspect_notebook(str(source)).keys()
    parameters = json.dumps({name: value for name, value in given.items() if name in known})
    print(f"Notebook {notebook} has to run first …", end=" ", flush=True)
    began = time.perf_counter()
    done = _python("-m", "papermill", str(source), str(kept), "--parameters_yaml", parameters,
                   "--kernel", "python3", "--cwd", str(ROOT), "--no-progress-bar")
    if done.returncode:
        raise RuntimeError(f"{notebook} failed: {_last_line(done.stderr)}; the notebook as far as it came is {kept}")
    os.replace(kept, executed)
    print(f"{time.perf_counter() - began:.0f} s", flush=True)
