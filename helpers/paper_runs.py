"""The paper's β-VAE, its own network and schedule, run to their end at a fraction of their epochs.

``python -m helpers.paper_runs toy 25 --seed 1``, or ``beps 125 --scan loops.h5``, on a GPU: minutes instead of hours.
Writes ``build/paper_runs/<benchmark>-<part>-seed<seed>.json`` and beside it, as ``.npz``, the maps and the KL of
every channel through the training. A run that was killed goes on from its last checkpoint.
``data/reference/paper_runs.json`` keeps such runs by these names. There "at_once" counts the trainings that shared
the GPU; "last" of the toy at 1/25 was taken with weights kept in half precision, which moves the error by 0.1 %.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from helpers import toy
from helpers.backend import keras
from helpers.beta_vae import active_channels, encode, mean_kl, parameter_count, reconstruct
from helpers.controls import Benchmark, beps_benchmark, toy_benchmark
from helpers.dictionary import pca_errors
from helpers.disentanglement import disentanglement
from helpers.paper import number
from helpers.paths import ROOT, atomic, hardware, peak_memory_GiB, write_json
from helpers.profiles import PAPER_BEPS, PAPER_BEPS_TRAINING, PAPER_TOY, PAPER_TOY_TRAINING, Training, get_profile
from helpers.scans.reading import load_scan
from helpers.scans.scan import Scan, standardised
from helpers.training import Trained, train

ENDS = ("mse", "active", "pca_mse", "over_pca", "spearman", "informativeness", "hours")


def shortened(training: Training, by: int) -> Training:
    """The same staircase of β in a fraction of the epochs, the learning rate raised as much.

    Adam moves a weight by about the learning rate a step, so that the way it can go stays the same.

    Raises
    ------
    ValueError
        If `by` does not divide the epochs of a step and of priming.
    """
    if by < 1 or training.step_epochs % by or training.priming % by or training.epochs % by:
        raise ValueError(f"a schedule with steps of {training.step_epochs} epochs cannot be shortened by {by}: "
                         f"expected a divisor of {training.step_epochs}; choose one")
    return replace(training, epochs=training.epochs // by, priming=training.priming // by,
                   step_epochs=training.step_epochs // by, learning_rate=training.learning_rate * by)


def run_shortened(benchmark: Benchmark, watched: np.ndarray, by: int, seed: int, folder: Path) -> dict[str, object]:
    """Train and score; errors are on the held-out spectra, in standard deviations squared.

    Parameters
    ----------
    benchmark : Benchmark
        With the paper's network, and a staircase to be shortened.
    watched : ndarray, shape (n_watched, steps, channels)
        Spectra whose embeddings are kept through the training: the painting, or every pixel.
    by : int
        Part of the epochs: 10 for a tenth.
    seed : int
        Of weights, latent noise and order.
    folder : Path
        Holds the checkpoints, and takes the maps.

    Returns
    -------
    dict
        Sizes, pace and the hours that all epochs would take, `scores` of the snapshot that `helpers.callbacks`
        chooses ("shown") and of the last one ("last"), PCA's errors, and the course of the training.
    """
    training = shortened(benchmark.training, by)
    run = train(benchmark.network, training, benchmark.spectra, benchmark.drive, watched=watched,
                validation=benchmark.heldout[:2000], seed=seed, title=f"paper {benchmark.name} {by}", folder=folder)
    with atomic(folder / f"{benchmark.name}-{by}-seed{seed}.npz") as temporary:
        np.savez_compressed(temporary, **{name: values.astype("float16" if "embed" in name else values.dtype)
                                          for name, values in run.snapshots.arrays().items()})
    kept, seconds = run.snapshots, run.history["seconds"]
    pace_s = float(seconds[-1] - seconds[0]) / (len(seconds) - 1)
    flat, heldout = (x.reshape(len(x), -1) for x in (benchmark.spectra, benchmark.heldout))
    return {
        "hardware": hardware(), "keras": keras.__version__, "backend": keras.backend.backend(),
        "peak_memory_GiB": peak_memory_GiB(), "seed": seed, "shortened_by": by,
        "parameters": parameter_count(run.model), "epochs_done": len(seconds),
        "network": asdict(benchmark.network), "training": asdict(training),
        "seconds": run.seconds, "seconds_per_epoch": pace_s,
        "hours_of_all_epochs": pace_s * benchmark.training.epochs / 3600,
        "shown": scores(run, benchmark, run.chosen), "last": scores(run, benchmark, len(kept.epochs) - 1),
        "pca_mse": pca_errors(flat, heldout).tolist(),
        "course": {"epoch": kept.epochs, "beta": kept.beta, "mse": kept.mse, "active": kept.active.tolist(),
                   "kl": np.sort(kept.kl, axis=1)[:, ::-1].tolist()},
    }


def papers_benchmark(seed: int, scan: Scan | None) -> tuple[Benchmark, np.ndarray]:
    """The toy, or the loops of a scan, for the paper's own network, and the spectra that are watched."""
    profile = get_profile("paper")
    if scan is not None:
        loops = replace(beps_benchmark(profile, scan), network=PAPER_BEPS, training=PAPER_BEPS_TRAINING)
        return loops, standardised(scan)[0]
    spectra = toy.spectra(toy.sample_rgb(profile.toy_spectra, seed))
    painting = toy.spectra(toy.load_painting(ROOT / "data/painting.png", profile.painting_side**2).reshape(-1, 3))
    watched = (painting - spectra.mean(axis=0)) / spectra.std(axis=0)
    return replace(toy_benchmark(profile, seed), network=PAPER_TOY, training=PAPER_TOY_TRAINING), watched[..., None]


def scores(run: Trained, benchmark: Benchmark, snapshot: int) -> dict[str, float]:
    """Error, active channels and, where the truth is known, what they say of it at a snapshot.

    "spearman" is the mean matched |Spearman|, "informativeness" the R² with which all active channels
    together predict the factors (`helpers.disentanglement`).
    """
    epoch = int(run.snapshots.epochs[snapshot])
    run.model.set_weights(run.checkpoints.load_snapshot(epoch))
    active = active_channels(mean_kl(run.model, benchmark.heldout))
    mse = float(np.square(reconstruct(run.model, benchmark.heldout) - benchmark.heldout).mean())
    found = {"epoch": epoch, "beta": float(run.snapshots.beta[snapshot]), "mse": mse, "active": len(active)}
    if benchmark.truth is not None:
        found |= {"spearman": 0.0, "informativeness": 0.0}
        if active:
            of_truth = disentanglement(encode(run.model, benchmark.heldout)[0][:, active], benchmark.truth)
            found |= {"spearman": of_truth["spearman"], "informativeness": of_truth["dci_informativeness"]}
    return found


def stored_runs() -> dict[str, dict]:
    """The runs kept in ``data/reference``, by ``<benchmark>-<part>-seed<seed>``, as `run_shortened` returns them."""
    return json.loads((ROOT / "data/reference/paper_runs.json").read_text(encoding="utf-8"))


def by_part(runs: Mapping[str, Mapping]) -> dict[tuple[str, int], list[Mapping]]:
    """Runs of all seeds together, by benchmark and part of the epochs."""
    parts: dict[tuple[str, int], list[Mapping]] = {}
    for name, run in runs.items():
        parts.setdefault((name.split("-")[0], run["shortened_by"]), []).append(run)
    return parts


def ends(benchmark: str) -> dict[str, float]:
    """Where the stored runs of a benchmark ended: ``<benchmark>.paper_shortened_<part>.<what>`` of metrics.json.

    The median over the seeds of what `scores` takes, "pca_mse" with as many components as active channels, "over_pca",
    the ratio of the two errors, and "hours", those of all epochs at this pace; each with its extremes ("….min",
    "….max") over "….n" seeds.
    """
    found = {}
    for (of, part), runs in by_part(stored_runs()).items():
        if of != benchmark:
            continue
        every = [_end(run) for run in runs]
        for what in (what for what in ENDS if what in every[0]):
            values = [end[what] for end in every]
            found |= {f"{benchmark}.paper_shortened_{part}.{what}{name}": value for name, value in (
                ("", float(np.median(values))), (".min", min(values)), (".max", max(values)), (".n", len(values)))}
    return found


def sentence(name: str) -> str:
    """Where a stored run ended, and what PCA does with as many components."""
    run = stored_runs()[name]
    end = _end(run)
    text = (f"{name.split('-')[0]}, 1/{run['shortened_by']} of the epochs, seed {run['seed']}: {end['active']} active "
            f"channels, error {number(end['mse'])}, PCA of as many components {number(end['pca_mse'])}")
    if "spearman" in end:
        text += f", mean |Spearman| with the colours {end['spearman']:.2f}"
    if "informativeness" in end:
        text += f", the colours from all of them together with R² {end['informativeness']:.2f}"
    return text


def _end(run: Mapping) -> dict[str, float]:
    """The last scores of a run, beside PCA of as many components as active channels, and the hours of all epochs."""
    linear = run["pca_mse"][max(run["last"]["active"], 1) - 1]
    return run["last"] | {"pca_mse": linear, "over_pca": run["last"]["mse"] / linear,
                          "hours": run["hours_of_all_epochs"]}


def main() -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(prog="python -m helpers.paper_runs", description=__doc__)
    parser.add_argument("benchmark", choices=["toy", "beps"])
    parser.add_argument("by", type=int, help="part of the epochs: 10 for a tenth")
    parser.add_argument("--scan", type=Path, help="measured loops, for beps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=ROOT / "build/paper_runs")
    given = parser.parse_args()
    if given.benchmark == "beps" and not given.scan:
        parser.error("beps needs --scan FILE")
    given.folder.mkdir(parents=True, exist_ok=True)
    benchmark, watched = papers_benchmark(given.seed, load_scan(given.scan) if given.benchmark == "beps" else None)
    found = run_shortened(benchmark, watched, given.by, given.seed, given.folder)
    write_json(given.folder / f"{given.benchmark}-{given.by}-seed{given.seed}.json", found)
    print({name: found[name] for name in ("seconds_per_epoch", "hours_of_all_epochs", "shown", "last")})


if __name__ == "__main__":
    main()
