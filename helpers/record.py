"""What a notebook reports: figures, movies, numbers, versions, time and memory."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile
from pathlib import Path

import numpy as np
from IPython.display import HTML, Markdown, display

from helpers.figures.style import PageFigure, panel_letters, save_figure
from helpers.notebooks import NOTEBOOKS
from helpers.paper import PLACES, as_markdown, caption_of, full_name
from helpers.paths import ROOT, Build, hardware, peak_memory_GiB, read_json, require, write_json
from helpers.profiles import Profile, get_profile

PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "h5py", "matplotlib", "papermill", "snakemake")


@dataclass
class Record:
    """The record of one notebook, written to ``results/<notebook>.json`` by `finish`."""

    notebook: str
    profile: Profile
    build: Build
    parameters: dict[str, object]
    started: float = field(default_factory=time.perf_counter)
    metrics: dict[str, object] = field(default_factory=dict)
    manifest: list[dict[str, object]] = field(default_factory=list)
    earlier_s: float = 0.0  # that runs which broke off spent on what this one went on with

    def numbers(self, subject: str, **values: float | str) -> None:
        """Record numbers of ``metrics.json``, each as ``<subject>.<name>``."""
        self.metrics |= {f"{subject}.{name}": value.item() if isinstance(value, np.generic) else value
                         for name, value in values.items()}

    def training(self, subject: str, run) -> None:
        """Record the course of a `helpers.training.Trained`: its seconds, and what its snapshots tell."""
        kept = run.snapshots
        self.numbers(subject, seconds=run.seconds, epochs=len(run.history["beta"]), found=kept.found,
                     plateau_decades=kept.plateau_decades, shown_epoch=kept.epochs[run.chosen])
        self.earlier_s += run.earlier_s

    def figure(self, drawn: PageFigure, identifier: str, source: str) -> None:
        """Save a figure as ``figures/<identifier>.png`` and ``.pdf`` and show it above its caption."""
        origin = {**self.parameters, "notebook": self.notebook, "source": source}
        png, _ = save_figure(drawn, self.build.figures / identifier,
                             provenance={name: str(value) for name, value in origin.items()})
        drawn.alt = caption_of(identifier).alt
        display(drawn)
        self._made(identifier, "figure", png, panel_letters(drawn), source)

    def movie(self, identifier: str, path: Path, frame: bytes, channels: Sequence[str], source: str) -> None:
        """Show a frame of a movie (JPEG), linked to its file, above the caption; `channels` are those it shows."""
        # Executed notebooks lie in the folder beside that of the movies.
        display(HTML(f'<a href="../movies/{path.name}"><img alt="{escape(caption_of(identifier).alt)}" '
                     f'src="data:image/jpeg;base64,{b64encode(frame).decode()}"></a>'))
        self._made(identifier, "movie", path, channels, source)

    def table(self, identifier: str, rows: list[dict[str, str]], source: str) -> None:
        """Save a table as ``results/<identifier>.json`` and show it above its caption."""
        path = self.build.results / f"{identifier}.json"
        write_json(path, rows)
        display(Markdown(as_markdown(rows)))
        self._made(identifier, "table", path, [next(iter(row.values())) for row in rows], source)

    def _made(self, identifier: str, kind: str, file: Path, panels: Sequence[str], source: str) -> None:
        """List what was made in ``manifest.json`` and show its caption.

        `identifier` (such as "fig4", "figS4", "table1" or "movieS4") has texts in ``paper.yml``; `panels` are letters
        of a figure, rows of a table or channels of a movie; `source` is a key of ``places`` in ``paper.yml``.
        """
        texts = caption_of(identifier)
        self.manifest.append({
            "id": identifier, "kind": kind, "file": str(file.relative_to(self.build.folder)),
            "notebook": self.notebook, "panels": list(panels), "source": source, "caption": texts.caption,
            "alt": texts.alt})
        display(Markdown(f'<a id="{identifier}"></a>**{full_name(identifier)} ({PLACES[source]}).** {texts.caption}'))

    def finish(self) -> None:
        """Write the record; call it in the last cell."""
        write_json(self.build.results / f"{self.notebook}.json", {
            "notebook": self.notebook, "parameters": self.parameters,
            "seconds": time.perf_counter() - self.started + self.earlier_s, "peak_memory_GiB": peak_memory_GiB(),
            "metrics": {name: _finite(value) for name, value in self.metrics.items()}, "manifest": self.manifest})


def _finite(value: object) -> object:
    """JSON has no NaN and no infinity: None in their place."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


def start(notebook: str, *, profile: str, seed: int, build: str, **parameters) -> Record:
    """Open the record of a notebook and make its build folders.

    `parameters` are further ones to keep; a relative `build` counts from the top level of the project.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed!r}: expected a whole number from 0 to {2**32 - 1}; correct SEED=…")
    if not Path(os.path.normpath(ROOT / build)).is_relative_to(ROOT) and not Path(build).is_absolute():
        raise ValueError(f"build is {build!r}, which leads out of the project: expected an absolute path, or a folder "
                         f"below {ROOT}; correct `build`")
    folders = Build(ROOT / build, profile, seed)
    record = Record(notebook, get_profile(profile), folders, {"profile": profile, "seed": seed, **parameters})
    folders.make_folders()
    return record


def earlier_metrics(record: Record) -> dict[str, object]:
    """Metrics of all notebooks before this one, of the same profile and seed."""
    return _merged(_parts(record, takewhile(lambda notebook: notebook != record.notebook, NOTEBOOKS)), "metrics")


def _parts(record: Record, notebooks: Iterable[str]) -> list[dict]:
    """What notebooks have recorded."""
    return [read_json(require(record.build.results / f"{name}.json")) for name in notebooks]


def _merged(parts: list[dict], key: str) -> dict[str, object]:
    return {name: value for part in parts for name, value in part[key].items()}


def collect(record: Record, scan) -> dict[str, object]:
    """Merge the notebooks' records into metrics.json, manifest.json and run.json; returns the merged metrics.

    `scan` has ``source``, ``path`` and ``sha256``.
    """
    record.finish()
    parts = _parts(record, NOTEBOOKS)
    seconds = {part["notebook"]: round(part["seconds"], 1) for part in parts}
    metrics = _merged(parts, "metrics") | {"run.seconds": sum(seconds.values())}
    folder = record.build.folder
    write_json(folder / "metrics.json", dict(sorted(metrics.items())))
    write_json(folder / "manifest.json", [entry for part in parts for entry in part["manifest"]])
    write_json(folder / "run.json", {
        "parameters": _merged(parts, "parameters"),
        "settings": asdict(record.profile),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "git_commit": _git_commit(),
        "data": {"source": scan.source, "file": Path(scan.path).name, "sha256": scan.sha256},
        "seconds": seconds,
        "peak_memory_GiB": max(part["peak_memory_GiB"] for part in parts),
        "hardware": hardware(),
    })
    return metrics


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # Snakemake, where notebooks run without it
        return "not installed"


def _git_commit() -> str:
    command = ["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown (not a git checkout)"
