"""Settings, locking and failures of the workflow (see the Snakefile)."""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import IO

import jsonschema
import yaml

from workflow.dependencies import cells
from helpers.paths import OWN_SCANS, ROOT, own_scans
from helpers.profiles import WEIGHTS, Network, Training

KEYWORDS = ("auto", "twin", "zenodo")
DATA = "auto, twin, zenodo, drive:<id>, the path of a file or of a folder of scans"
ANSI_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def check_settings(config: dict, profiles: Iterable[str]) -> dict:
    """Settings of a run, checked, with defaults filled in and paths made absolute.

    Parameters
    ----------
    config : dict
        Snakemake's configuration; a list of one value counts as that value.
    profiles : iterable of str
        Names of the profiles there are.

    Returns
    -------
    dict
        ``profile``, ``data``, ``seed``, ``painting``, ``weights``, ``cycle`` and ``sweep``.

    Raises
    ------
    ValueError
        If a name or a value is not among those allowed, or a file is missing.
    """
    profiles = list(profiles)
    properties = {
        "profile": {"enum": profiles, "description": f"one of {', '.join(profiles)}"},
        "data": {"type": "string", "minLength": 1, "description": DATA},
        "seed": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1,
                 "description": "a whole number from 0 to 4294967295"},
        "painting": {"type": "string", "description": "the path of an image"},
        "weights": {"enum": list(WEIGHTS), "description": f"one of {', '.join(WEIGHTS)}"},
        "cycle": {"anyOf": [{"type": "integer", "minimum": 0}, {"const": "mean"}],
                  "description": "a whole number, 0 for the last one, or mean"},
        "sweep": {"type": "string", "description": "the path of a file such as sweep.yml"},
    }
    schema = {"properties": properties, "additionalProperties": False}
    settings = {"profile": "laptop", "data": "auto", "seed": 0, "painting": "", "weights": "train",
                "cycle": 0, "sweep": str(ROOT / "workflow/sweep.yml")}
    settings |= {name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in config.items()}
    for error in jsonschema.Draft202012Validator(schema).iter_errors(settings):
        if not error.path:
            unknown = ", ".join(sorted(set(settings) - set(properties)))
            raise ValueError(f"Unknown setting {unknown}: expected {', '.join(properties)}; "
                             "correct the name.")
        name = error.path[0]
        raise ValueError(f"{name.upper()}={'' if error.instance is None else error.instance} is "
                         f"not a {name}: expected {properties[name]['description']}; "
                         "choose one of these.")
    settings["data"] = _absolute("data", settings["data"], DATA, KEYWORDS)
    settings["painting"] = _absolute("painting", settings["painting"], "an image file", ("",))
    settings["sweep"] = _absolute("sweep", settings["sweep"], properties["sweep"]["description"], ())
    return settings


def _absolute(name: str, value: str, expected: str, keywords: tuple[str, ...]) -> str:
    if value in keywords or (name == "data" and re.fullmatch(r"drive:[\w-]+", value)):
        return value
    path = Path(value).expanduser().resolve()
    if name == "data" and path.is_dir():
        if not own_scans(path):
            raise ValueError(f"{name.upper()}={value}: the folder {path} holds no scan: expected files ending in "
                             f"{', '.join(OWN_SCANS)}; check the path.")
    elif not path.is_file():
        raise ValueError(f"{name.upper()}={value}: there is no file {path}; "
                         f"expected {expected}; check the path.")
    for part in [path, *(own_scans(path) if path.is_dir() else [])]:
        if set("{}") & set(str(part)):
            raise ValueError(f"{name.upper()}={value}: the path {part} holds braces, which Snakemake reads as "
                             "wildcards; expected one without; rename the file or its folder.")
    return str(path)


def scan_folders(settings: dict, folder: str) -> dict[str, str]:
    """The build folder of every scan with its data: `folder` alone, or one for each scan of a folder.

    Parameters
    ----------
    settings : dict
        As `check_settings` returns them.
    folder : str
        ``build/<profile>/seed<seed>``, that of a single scan.

    Returns
    -------
    dict of str to str
        For a folder of scans ``build/scans/<folder>/<scan>/<profile>/seed<seed>`` and the file.
    """
    data = Path(settings["data"])
    if not (data.is_absolute() and data.is_dir()):
        return {folder: settings["data"]}
    scans = own_scans(data)
    stems = [scan.stem for scan in scans]
    names = [scan.stem if stems.count(scan.stem) == 1 else scan.name for scan in scans]
    below = Path(folder).relative_to("build")
    return {f"build/scans/{data.name}/{name}/{below}": str(scan) for name, scan in zip(names, scans, strict=True)}


def data_files(data: str, folder: Path = ROOT / "data") -> list[str]:
    """Files whose change makes the loops out of date (for ``auto``, the file in `folder`)."""
    if data == "auto":
        return [str(path) for path in own_scans(folder)[:1]]
    return [data] if Path(data).is_absolute() else []


def sweep_folder(settings: dict) -> str:
    """Where the cells of a sweep go: ``build/<profile>/<name of its file>``.

    Raises
    ------
    ValueError
        If the file is called like the folder of a seed.
    """
    name = Path(settings["sweep"]).stem
    if re.fullmatch(r"seed\d+", name):
        raise ValueError(f"SWEEP={settings['sweep']}: {name} is the name of a folder of results: expected another; "
                         "rename the file.")
    return f"build/{settings['profile']}/{name}"


def sweep_cells(path: Path) -> list[tuple[str, int]]:
    """Every (cell, seed) that a file such as sweep.yml asks for.

    Raises
    ------
    ValueError
        If the file is not as expected, or varies what cannot be varied.
    """
    names = {"vae": {field.name for part in (Network, Training) for field in fields(part)},
             "dl": {"atoms", "sparsity"}}
    try:
        sweep = yaml.safe_load(path.read_text(encoding="utf-8"))
        seeds = [int(seed) for seed in sweep["seeds"]]
        jobs = [("headline", seed) for seed in seeds]
        jobs += [("twin", int(seed)) for seed in sweep.get("twin", [])]
        jobs += [(f"control.{benchmark}.{model}.{order}", 0)
                 for benchmark, orders in sweep.get("controls", {}).items()
                 for order, models in orders.items() for model in models]
        vary = dict(sweep.get("vary", {}))
        varied_seeds = [int(seed) for seed in vary.pop("seeds", [0])]
        varied = [(model, name, value) for model, grid in vary.items()
                  for name, values in grid.items() for value in values]
    except (yaml.YAMLError, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error!r}): expected seeds, controls and vary as in the "
                         "one that came with the project; correct it.") from None
    for model, name, value in varied:
        if name not in names.get(model, ()):
            raise ValueError(f"{path} varies {model}.{name}: expected {' or '.join(names)}, and a name from "
                             "helpers/profiles.py, or atoms or sparsity; correct the name.")
        if type(value) not in (int, float):
            raise ValueError(f"{path} sets {model}.{name} to {value!r}: expected numbers; correct the value.")
    jobs += [(cell, seed) for cell in sweep_scans(path) for seed in seeds]
    return jobs + [(f"vary.{model}.{name}={value}", seed) for model, name, value in varied for seed in varied_seeds]


def sweep_scans(path: Path) -> dict[str, str]:
    """Cells ``scan.<name>`` of a file such as sweep.yml, and the file of each.

    Paths are relative to the folder of `path`; a folder stands for every scan in it.

    Raises
    ------
    ValueError
        If a file is missing, or two have the same name.
    """
    listed = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("scans", [])
    given = [path.parent / Path(name).expanduser() for name in listed]
    files = [file for one in given for file in (own_scans(one) if one.is_dir() else [one])]
    for file in files:
        if not file.is_file():
            raise ValueError(f"{path} lists the scan {file}: there is no such file: expected one, or a folder; "
                             "check the path.")
    cells = {f"scan.{file.stem}": str(file) for file in files}
    if len(cells) < len(files):
        raise ValueError(f"{path} lists two scans of the same name: expected each name once; rename one.")
    return cells


def set_aside_other_loops(folder: Path, data: str, cycle: int | str) -> None:
    """Have notebook 0 run again where somebody ran it by hand, into the same folder, on other loops.

    Snakemake knows the settings of its own runs alone, and would go on with the loops that are there.
    """
    scan, record = (folder / "results" / name for name in ("scan.h5", "0_measured_data.json"))
    try:
        made_with = json.loads(record.read_text(encoding="utf-8"))["parameters"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if (made_with.get("data"), made_with.get("cycle")) != (data, cycle):
        print(f"{scan} holds the loops of data={made_with.get('data')}, cycle={made_with.get('cycle')}; those of "
              f"data={data}, cycle={cycle} are read instead")
        scan.unlink(missing_ok=True)


def claim(path: Path) -> IO:
    """Claim a build folder until this process and its notebooks have ended.

    The claim is shared, so that the notebooks can join it; the system drops it when the last
    holder dies, so nothing is left to unlock after a crash.

    Raises
    ------
    ValueError
        If another run holds the folder, or it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise ValueError(f"{path.parent} cannot be written ({error.strerror}): expected a folder "
                         "for the results; correct its permissions, or move what stands there "
                         "out of the way.") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(f"{path.parent} is in use by another run: expected one run for each "
                         "profile and seed; wait until it ends or stop it.") from None
    except OSError:
        pass  # some network file systems have no locks; Snakemake's own lock remains
    return file


def failures(folders: Iterable[str], since: float, told: Iterable[str] = ()) -> list[str]:
    """One sentence for each notebook left in ``<folder>/logs`` after the time `since` (s, epoch).

    Those whose log is named in `told` are left out: there is no more to say of them.
    """
    left = [path for folder in folders for path in sorted(Path(folder, "logs").glob("*.ipynb"))
            if path.stat().st_mtime >= since and str(path.with_suffix(".log")) not in "\n".join(told)]
    return [f"{path.stem} failed: {reason(path)}\nThe notebook as far as it came: {path}" for path in left]


def raised(notebook: Path) -> str:
    """The error that a cell of an executed notebook raised, or nothing."""
    outputs = [out for cell in cells(notebook, "code") for out in cell["outputs"]]
    return next((f"{error['ename']}: {error['evalue']}" for error in outputs if error["output_type"] == "error"), "")


def reason(notebook: Path) -> str:
    """Why an executed notebook came no further."""
    log = notebook.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    if "nbclient.exceptions.DeadKernelError" in log:
        return "its kernel was killed, most often for want of memory; free some and run again."
    if "nbclient.exceptions.CellTimeoutError" in log:
        return "a cell ran longer than its profile allows; raise CELL_TIMEOUT_S in the Snakefile."
    lines = ANSI_COLOUR.sub("", log).strip().splitlines()
    return raised(notebook) or (lines[-1] if lines else "it ended without a message.")
