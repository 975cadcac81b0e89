"""Settings, locking and failures of the workflow (see the Snakefile)."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import IO

import jsonschema
import yaml

from helpers.dependencies import cells
from helpers.paths import ROOT, own_scans
from helpers.profiles import WEIGHTS, Network, Training

KEYWORDS = ("auto", "twin", "zenodo")
DATA = "auto, twin, zenodo, drive:<id> or the path of a file"
ANSI_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def check_settings(config: dict, profiles: Iterable[str]) -> dict:
    """Settings of a run, checked, with defaults filled in and paths made absolute.

    Parameters
    ----------
    config : dict
        Snakemake's configuration.
    profiles : iterable of str
        Names of the profiles there are.

    Returns
    -------
    dict
        ``profile``, ``data``, ``seed``, ``painting``, ``weights`` and ``cycle``.

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
    }
    schema = {"properties": properties, "additionalProperties": False}
    settings = {"profile": "laptop", "data": "auto", "seed": 0, "painting": "", "weights": "train",
                "cycle": 0} | config
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
    return settings


def _absolute(name: str, value: str, expected: str, keywords: tuple[str, ...]) -> str:
    if value in keywords or (name == "data" and re.fullmatch(r"drive:[\w-]+", value)):
        return value
    path = Path(value).expanduser().resolve()
    if not path.is_file():
        raise ValueError(f"{name.upper()}={value}: there is no file {path}; "
                         f"expected {expected}; check the path.")
    if set("{}") & set(str(path)):
        raise ValueError(f"{name.upper()}={value}: the path holds braces, which Snakemake reads as "
                         "wildcards; expected one without; rename the file or its folder.")
    return str(path)


def data_files(data: str, folder: Path = ROOT / "data") -> list[str]:
    """Files whose change makes the loops out of date (for ``auto``, the file in `folder`)."""
    if data == "auto":
        return [str(path) for path in own_scans(folder)[:1]]
    return [data] if Path(data).is_absolute() else []


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
        jobs = [("headline", int(seed)) for seed in sweep["seeds"]]
        jobs += [("twin", int(seed)) for seed in sweep.get("twin", [])]
        jobs += [(f"control.{benchmark}.{model}.{order}", 0)
                 for benchmark, orders in sweep.get("controls", {}).items()
                 for order, models in orders.items() for model in models]
        varied = [(model, name, value) for model, grid in sweep.get("vary", {}).items()
                  for name, values in grid.items() for value in values]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error!r}): expected seeds, controls and vary as in the "
                         "one that came with the project; correct it.") from None
    for model, name, _ in varied:
        if name not in names.get(model, ()):
            raise ValueError(f"{path} varies {model}.{name}: expected {' or '.join(names)}, and a name from "
                             "helpers/profiles.py, or atoms or sparsity; correct the name.")
    return jobs + [(f"vary.{model}.{name}={value}", 0) for model, name, value in varied]


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


def failures(logs: Path, since: float) -> list[str]:
    """One sentence for each notebook left in `logs` after the time `since` (s, epoch)."""
    left = [path for path in sorted(logs.glob("*.ipynb")) if path.stat().st_mtime >= since]
    return [f"{path.stem} failed: {_reason(path)}\nThe notebook as far as it came: {path}"
            for path in left]


def _reason(notebook: Path) -> str:
    log = notebook.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    if "nbclient.exceptions.DeadKernelError" in log:
        return "its kernel was killed, most often for want of memory; free some and run again."
    if "nbclient.exceptions.CellTimeoutError" in log:
        return "a cell ran longer than its profile allows; raise CELL_TIMEOUT_S in the Snakefile."
    outputs = [out for cell in cells(notebook, "code") for out in cell["outputs"]]
    for error in (out for out in outputs if out["output_type"] == "error"):
        return f"{error['ename']}: {error['evalue']}"
    lines = ANSI_COLOUR.sub("", log).strip().splitlines()
    return lines[-1] if lines else "it ended without a message."
