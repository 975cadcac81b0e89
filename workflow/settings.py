"""What the Snakefile asks: settings, folders, what a notebook depends on, what is said at the end."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import suppress
from modulefinder import ModuleFinder
from pathlib import Path
from types import CodeType
from typing import IO

import jsonschema
from IPython.core.inputtransformer2 import TransformerManager
from papermill import inspect_notebook

from helpers.paths import OWN_SCANS, ROOT, is_text_scan, own_scans, read_json
from helpers.profiles import PROFILES, WEIGHTS

DATA = "auto, twin, zenodo, drive:<id>, the path of a file or of a folder of scans"
SETTINGS = {
    "profile": {"default": "laptop", "enum": list(PROFILES), "description": f"one of {', '.join(PROFILES)}"},
    "data": {"default": "auto", "type": "string", "minLength": 1, "description": DATA},
    "seed": {"default": 0, "type": "integer", "minimum": 0, "maximum": 2**32 - 1,
             "description": "a whole number from 0 to 4294967295"},
    "painting": {"default": "", "type": "string", "description": "the path of an image"},
    "weights": {"default": "train", "enum": list(WEIGHTS), "description": f"one of {', '.join(WEIGHTS)}"},
    "cycle": {"default": 0, "anyOf": [{"type": "integer", "minimum": 0}, {"const": "mean"}],
              "description": "a whole number, 0 for the last one, or mean"},
    "select": {"default": "", "type": "string", "description": "such as field=on,cycle=2,forc=1,measurement=0"},
    "clean": {"default": "", "type": "string", "description": "such as outliers=10,resonance=1300:1340,r2=0.5"},
    "sweep": {"default": str(ROOT / "workflow/sweep.yml"), "type": "string",
              "description": "the path of a file such as sweep.yml"},
}
ANSI_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def check_settings(config: dict) -> dict:
    """A value for each name of `SETTINGS`: those of a run, checked, with defaults filled in and paths made absolute.

    `config` is Snakemake's configuration; a list of one value counts as that value, and names may be in capitals. A
    ValueError tells that a name or a value is not among those allowed, or that a file is missing.
    """
    settings = {name: about["default"] for name, about in SETTINGS.items()}
    for name, value in config.items():
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        whole = name.lower() in ("seed", "cycle") and isinstance(value, str) and value.isdecimal()
        settings[name.lower()] = int(value) if whole else value
    if unknown := settings.keys() - SETTINGS.keys():
        raise ValueError(f"Unknown setting {', '.join(sorted(unknown))}: expected {', '.join(SETTINGS)}; "
                         "correct the name.")
    for error in jsonschema.Draft202012Validator({"properties": SETTINGS}).iter_errors(settings):
        name = error.path[0]
        raise ValueError(f"{name.upper()}={'' if error.instance is None else error.instance} is not a {name}: "
                         f"expected {SETTINGS[name]['description']}; choose one of these.")
    for name, keywords in (("data", "auto|twin|zenodo|drive:[\\w-]+"), ("painting", ""), ("sweep", "(?!)")):
        if not re.fullmatch(keywords, settings[name]):
            settings[name] = _absolute(name, settings[name])
    return settings


def _absolute(name: str, value: str) -> str:
    path = Path(value).expanduser().resolve()
    if name == "data" and path.is_dir():
        if not own_scans(path) and not is_text_scan(path):
            raise ValueError(f"{name.upper()}={value}: the folder {path} holds no scan: expected files ending in "
                             f"{', '.join(OWN_SCANS)}, or text files, one a pixel; check the path.")
    elif not path.is_file():
        raise ValueError(f"{name.upper()}={value}: there is no file {path}; expected {SETTINGS[name]['description']}; "
                         "check the path.")
    for part in [path, *own_scans(path)]:
        if os.fsencode(part) != str(part).encode(errors="replace"):
            raise ValueError(f"{name.upper()}={str(part)!a}: the name is not UTF-8: expected one that is; rename the "
                             "file or its folder.")
    return str(path)


# folders and files


def plain(name: str) -> str:
    """`name`, or where Snakemake would read signs into it, what is plain in it and a digest that tells it apart."""
    if re.fullmatch(r"\w[\w .()+=-]*", name) and name == name.strip():
        return name
    kept = re.sub(r"[^\w.()+=-]+", "_", name).strip("_.")
    return f"{kept}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"


def scan_folders(data: str, folder: str) -> dict[str, str]:
    """The build folder of every scan with its data: `folder`, ``build/<profile>/seed<seed>``, where there is one scan.

    Where `data`, as `check_settings` returns it, is a folder of scans, each has
    ``build/scans/<folder>/<scan>/<profile>/seed<seed>`` and its file.
    """
    path = Path(data)
    if not (path.is_absolute() and path.is_dir()) or is_text_scan(path):
        return {folder: data}
    scans = own_scans(path)
    stems = [scan.stem for scan in scans]
    names = {scan: scan.stem if stems.count(scan.stem) == 1 else scan.name for scan in scans}
    below = Path(folder).relative_to("build")
    return {f"build/scans/{plain(path.name)}/{plain(name)}/{below}": str(scan) for scan, name in names.items()}


def state(path: str, data: Path = ROOT / "data") -> str:
    """What changes with the file of a setting (of ``auto``, with the file in `data`), and nothing where there is none.

    A parameter rather than an input, so that Snakemake never reads signs into the name.
    """
    if path == "auto":
        path = str(next(iter(own_scans(data)), ""))
    if not Path(path).is_absolute():
        return ""
    about = Path(path).stat()
    return f"{path} {about.st_mtime_ns} {about.st_size}"


def ask_for_loops(folder: Path, asked_for: dict) -> None:
    """Have notebook 0 run again where somebody ran it by hand, into the same folder, on other loops.

    Snakemake knows the settings of its own runs alone, and would go on with the loops that are there; a newer
    ``logs/loops``, which notebook 0 counts among its inputs, tells it. `asked_for`: data, cycle, select, clean. A
    ValueError tells that the folder cannot be written.
    """
    asked = folder / "logs/loops"
    try:
        asked.parent.mkdir(parents=True, exist_ok=True)
        asked.open("a").close()
    except OSError as error:
        raise ValueError(f"{folder} cannot be written ({error.strerror}): expected a folder for the results; correct "
                         "its permissions, or move what stands there out of the way.") from None
    try:
        made_with = read_json(folder / "results/0_measured_data.json")["parameters"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if made := {name: made_with.get(name) for name, value in asked_for.items() if made_with.get(name, "") != value}:
        other, wanted = (", ".join(f"{name}={values[name]}" for name in made) for values in (made, asked_for))
        print(f"{folder}/results/scan.h5 holds the loops of {other}; those of {wanted} are read instead")
        asked.write_text(f"{time.time()}\n")  # Snakemake passes over a file that is newer and holds the same


def free_lock(folder: Path = Path(".snakemake")) -> IO:
    """Join those who work in the project; where nobody else does, drop the lock that a killed Snakemake left.

    Snakemake's lock is a file; the claim on the file returned ends with its last holder. Jobs, which outlive a killed
    Snakemake, hold it as well.
    """
    folder.mkdir(exist_ok=True)
    claim = (folder / "running").open("a")
    with suppress(OSError):  # somebody works here, or the file system has no such claims
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder / "locks", ignore_errors=True)
    with suppress(OSError):
        fcntl.flock(claim, fcntl.LOCK_SH)
    return claim


# notebooks


def cells(notebook: Path) -> list[dict]:
    """Cells of a notebook file."""
    return read_json(Path(notebook))["cells"]


def cells_digest(every: list[dict]) -> str:
    """Hash of the text and code of cells, without their outputs."""
    sources = [[cell["cell_type"], "".join(cell["source"])] for cell in every]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def parameters_of(notebook: Path) -> set[str]:
    """Names in the cell tagged ``parameters``; a ValueError where there is none, as injected values would be lost."""
    if not any("parameters" in cell["metadata"].get("tags", []) for cell in cells(notebook)):
        raise ValueError(f"{notebook} has no cell tagged `parameters`: expected one that assigns "
                         "profile and seed; tag it in JupyterLab.")
    return set(inspect_notebook(str(notebook)))


def depends_on(source: Path, root: Path = ROOT) -> list[str]:
    """Files of the project that a notebook or module depends on, relative to `root` and sorted.

    They are the modules that it imports, directly or through one another, and the tables and style sheets that
    these name: a change in any other file changes none of its results.
    """
    if source.suffix == ".py":
        text = (root / source).read_text(encoding="utf-8")
    else:
        code = ["".join(cell["source"]) for cell in cells(root / source) if cell["cell_type"] == "code"]
        text = TransformerManager().transform_cell("\n".join(code))
    # What Colab lacks has no part in results; the table of notebooks is the graph itself.
    finder = ModuleFinder([str(root)], excludes=["helpers.colab", "helpers.notebooks"])
    finder.scan_code(compile(text, str(source), "exec"), finder.add_module("__main__"))
    # A package that holds a docstring alone has no part in anything either.
    modules = {Path(module.__file__): module.__code__ for module in finder.modules.values()
               if module.__file__ and set(module.__code__.co_names) - {"__doc__"}}
    named = {folder / name for path, code in modules.items() for name in _file_names(code)
             for folder in (path.parent, root)}
    return sorted(str(path.relative_to(root)) for path in {*modules, *filter(Path.is_file, named)})


def _file_names(code: CodeType) -> Iterator[str]:
    """Strings in a module that may be names of files other than modules."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _file_names(constant)
        elif isinstance(constant, str) and re.fullmatch(r"\w[\w/-]*\.(?!py$)\w+", constant):
            yield constant


# what is said


def quiet(environment: MutableMapping[str, str]) -> str:
    """Prepare what jobs inherit; returns the file for progress bars, which are for a terminal and not for a log.

    Of a job that fails Snakemake prints no command, which stands in its own log: the reason comes last (`failures`).
    """
    # The kernel of this environment, whatever kernels the user has registered elsewhere.
    environment["JUPYTER_PATH"] = str(Path(sys.prefix, "share", "jupyter"))
    # A backend chosen for the user's own windows would keep figures out of the notebooks.
    environment.pop("MPLBACKEND", None)

    def brief(record: logging.LogRecord) -> bool:
        if record.levelname == "ERROR":
            record.shellcmd = ""
        return getattr(record, "exception", "") != "RuleException"

    for handler in logging.getLogger("snakemake.logging").handlers:
        if handler.name == "DefaultStreamHandler":
            handler.addFilter(brief)
    if sys.stderr.isatty():
        return os.ttyname(2)
    environment.setdefault("TQDM_DISABLE", "1")
    return os.devnull


def closing(folder: Path) -> str:
    """Where the results of a finished run are, and what they were drawn from."""
    if not (folder / "run.json").is_file():
        return ""
    drawn = {"twin": "the simulated twin", "measured": "measured loops"}
    source = read_json(folder / "run.json")["data"]["source"]
    return f"Figures, movies and numbers are in {folder}, drawn from {drawn[source]}"


def failures(folders: Iterable[str], since: float) -> list[str]:
    """One sentence for each notebook left in ``<folder>/logs`` after the time `since` (s, epoch)."""
    left = [path for folder in folders for path in sorted(Path(folder, "logs").glob("*.ipynb"))
            if path.stat().st_mtime >= since]
    return [f"{path.stem} failed: {reason(path)}\nThe notebook as far as it came: {path}" for path in left]


def reason(notebook: Path) -> str:
    """Why an executed notebook came no further."""
    log = notebook.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    if "nbclient.exceptions.DeadKernelError" in log:
        return "its kernel was killed, most often for want of memory; free some and run again."
    if "nbclient.exceptions.CellTimeoutError" in log:
        return "a cell ran longer than its profile allows; raise CELL_TIMEOUT_S in workflow/Snakefile."
    outputs = [out for cell in cells(notebook) for out in cell.get("outputs", [])]
    raised = [f"{out['ename']}: {out['evalue']}" for out in outputs if out["output_type"] == "error"]
    lines = ANSI_COLOUR.sub("", log).strip().splitlines()
    return (raised or lines[-1:] or ["it ended without a message."])[0]
