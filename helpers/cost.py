"""Time and memory of the BEPS training as the work grows: ``python -m helpers.cost``, about half an hour.

Every case is measured in a process of its own, on loops of the simulated twin. Writes
``build/bench/cost.json``, ``cost.md``, ``cost.png`` and ``cost.pdf``, with straight lines through the
measured cases drawn on to a scan of 1024 × 1024 pixels; that scan is then trained on as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from scipy.interpolate import make_interp_spline

from helpers.scans.scan import drive_waveform, simulated_scan, standardised
from helpers.figures import figure_cost
from helpers.paths import ROOT, atomic, hardware, peak_memory_GiB, write_json
from helpers.profiles import get_profile
from helpers.paper import as_markdown, number
from helpers.training import train

FOLDER = ROOT / "build/bench"
PIXELS, STEPS, LATENTS = (3600, 14400, 57600), (48, 96, 192), (4, 16, 64)
LARGE = 1024**2
SCANS = 1000


@dataclass(frozen=True)
class Case:
    """One training of so many spectra of so many steps, two channels each, and what it took.

    `seconds` is that of one epoch, `memory_GiB` the peak of the process.
    """

    pixels: int
    steps: int = 96
    latents: int = 16
    seconds: float = np.nan
    memory_GiB: float = np.nan


def train_briefly(case: Case) -> None:
    """Train the laptop BEPS network for two epochs or three; print seconds an epoch and peak GiB."""
    profile, scan = get_profile("laptop"), simulated_scan(0)
    position = np.linspace(0, 95, case.steps)
    loops = make_interp_spline(range(96), standardised(scan)[0], k=1, axis=1)(position).astype("float32")
    voltage_V = np.interp(position, range(96), scan.voltage_V)
    # Noise, so that no two spectra are the same.
    spectra = np.random.default_rng(0).standard_normal((case.pixels, *loops.shape[1:]), "float32")
    spectra *= 0.05
    for start in range(0, case.pixels, len(loops)):
        part = spectra[start : start + len(loops)]
        part += loops[: len(part)]
    epochs = 3 if case.pixels <= max(PIXELS) else 2
    training = replace(profile.beps_training, epochs=epochs, snapshots=1)
    with tempfile.TemporaryDirectory() as folder:
        run = train(replace(profile.beps_network, latents=case.latents), training, spectra,
                    drive_waveform(voltage_V), watched=spectra[:1], validation=spectra[:100], seed=0,
                    title="BEPS", folder=Path(folder))
    print(np.diff(run.history["seconds"]).mean(), peak_memory_GiB())


def measure(*cases: Case) -> list[Case]:
    """Train in a process for each case, all at the same time.

    Comes before everything large: a new process inherits the peak memory of the one that starts it.

    Raises
    ------
    RuntimeError
        If a training fails.
    """
    running = [subprocess.Popen(
        [sys.executable, "-m", "helpers.cost", str(case.pixels), str(case.steps), str(case.latents)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True) for case in cases]
    printed = [process.communicate()[0] for process in running]
    for case, process in zip(cases, running, strict=True):
        if process.returncode:
            raise RuntimeError(f"training on {case.pixels} pixels ended with status {process.returncode}: "
                               "expected two numbers; its own message stands above, 137 or -9 is lack of memory")
    found = [map(float, lines.splitlines()[-1].split()) for lines in printed]
    return [replace(case, seconds=seconds, memory_GiB=memory)
            for case, (seconds, memory) in zip(cases, found, strict=True)]


def line(cases: list[Case], what: str) -> tuple[float, float]:
    """Slope per pixel and intercept of `what` against the pixels of the measured cases."""
    slope, intercept = np.polyfit([case.pixels for case in cases], [getattr(case, what) for case in cases], 1)
    return float(slope), float(intercept)


def summary(cases: dict[str, list[Case]]) -> list[dict[str, str]]:
    """What the measured cases say about large scans and many scans.

    Parameters
    ----------
    cases : dict of str to list of Case
        "pixels", "steps" and "latents": those in which this grows; "largest": the scan of
        1024 × 1024 pixels; "pair": two at the same time, each as the first of "pixels".
    """
    [largest] = cases["largest"]
    pixels, epochs = cases["pixels"], get_profile("laptop").beps_training.epochs
    slope_s, start_s = line(pixels, "seconds")
    slope_GiB, start_GiB = line(pixels, "memory_GiB")
    slower = np.mean([case.seconds for case in cases["pair"]]) / pixels[0].seconds
    hours = SCANS * epochs * pixels[0].seconds / 3600

    def growth(what: str) -> str:
        first, last = cases[what][0], cases[what][-1]
        return (f"{number(last.seconds / first.seconds)} times the epoch, "
                f"{number(last.memory_GiB / first.memory_GiB)} times the memory")

    values = {
        "an epoch": f"{1e3 * slope_s:.3f} s for 1000 pixels and {start_s:.1f} s besides",
        "memory": f"{slope_GiB * 1024**2:.1f} KiB a pixel and {start_GiB:.2f} GiB besides",
        f"steps, {STEPS[0]} to {STEPS[-1]}": growth("steps"),
        f"latents, {LATENTS[0]} to {LATENTS[-1]}": growth("latents"),
        "1024 × 1024 pixels, by the lines": f"{start_s + slope_s * LARGE:.0f} s an epoch, "
                                            f"{start_GiB + slope_GiB * LARGE:.1f} GiB",
        "1024 × 1024 pixels, run": f"{largest.seconds:.0f} s an epoch, {largest.memory_GiB:.1f} GiB; "
                                   f"{epochs} epochs: {epochs * largest.seconds / 3600:.1f} h",
        "two trainings side by side": f"each epoch {slower:.2f} times as long: {2 / slower:.2f} times the trainings "
                                      "an hour; more seeds are more of the same",
        f"{SCANS} scans of 60 × 60 pixels": f"{hours:.0f} h one by one, {hours * slower / 2:.0f} h in pairs; "
                                            "time is the bound, memory stays that of one or two scans",
    }
    return [{"measure": what, "value": value} for what, value in values.items()]


def measure_cost() -> list[dict[str, str]]:
    """Measure all cases, write them, draw them and return their `summary`."""
    base = measure(Case(PIXELS[0]))
    grown = {"pixels": base + [case for n in PIXELS[1:] for case in measure(Case(n))]}
    for name, values in (("steps", STEPS), ("latents", LATENTS)):
        cases = [replace(Case(PIXELS[0]), **{name: value}) for value in values]
        grown[name] = [found for case in cases for found in (base if case == Case(PIXELS[0]) else measure(case))]
    pair = measure(Case(PIXELS[0]), Case(PIXELS[0]))
    [largest] = measure(Case(LARGE))
    FOLDER.mkdir(parents=True, exist_ok=True)
    cases = {**grown, "pair": pair, "largest": [largest]}
    write_json(FOLDER / "cost.json", {"hardware": hardware(), "cases": {
        name: [asdict(case) for case in found] for name, found in cases.items()}})
    draw(FOLDER)
    with atomic(FOLDER / "cost.md") as temporary:
        temporary.write_text(page(FOLDER), encoding="utf-8")
    return summary(cases)


def _stored(folder: Path) -> tuple[str, dict[str, list[Case]]]:
    """Hardware and cases of ``cost.json``."""
    stored = json.loads((folder / "cost.json").read_text(encoding="utf-8"))
    return stored["hardware"], {name: [Case(**case) for case in found] for name, found in stored["cases"].items()}


def page(folder: Path) -> str:
    """``cost.json`` of a folder as a sentence and a table."""
    on, cases = _stored(folder)
    return (f"Cost of training on loops with the network of the laptop profile, {on} (`make bench`).\n\n"
            f"{as_markdown(summary(cases))}\n")


def draw(folder: Path) -> None:
    """Draw ``cost.json`` of a folder as ``cost.png`` and ``cost.pdf`` beside it."""
    _, cases = _stored(folder)
    lines = {what: line(cases["pixels"], what) for what in ("seconds", "memory_GiB")}
    figure = figure_cost(cases, lines)
    for kind in ("png", "pdf"):
        with atomic(folder / f"cost.{kind}") as temporary:
            figure.savefig(temporary, format=kind, dpi=200)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train_briefly(Case(*map(int, sys.argv[1:])))
    else:
        print(as_markdown(measure_cost()))
