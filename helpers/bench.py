"""Speed, measured as ratios within one run, and cost: ``python -m helpers.bench``, or `make bench`.

Writes ``build/bench/bench.md`` and what `helpers.cost` writes.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from math import prod
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from helpers import toy
from helpers.cost import FOLDER, measure_cost
from helpers.figures import IMAGE, Channel, Sweep
from helpers.beta_vae import build_beta_vae
from helpers.movies import sweep_movie
from helpers.paper import PAPER, as_markdown
from helpers.paths import ROOT, atomic
from helpers.profiles import get_profile
from helpers.training import train

PAPER_MSE = PAPER["toy.vae.mse_gamut"]
SEEDS = (0, 1, 2)


def median_seconds(work: Callable[[], object], repeats: int = 15) -> float:
    """Median time of `work` after one run that does not count."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def matrix_product_rate(size: int = 1024, repeats: int = 5) -> float:
    """GFLOP/s of the backend's own float32 matrix product."""
    a = keras.random.normal((size, size), seed=0)
    seconds = median_seconds(lambda: keras.ops.convert_to_numpy(keras.ops.sum(keras.ops.matmul(a, a))), repeats)
    return 2 * size**3 / seconds / 1e9


def training_step_gflop(model: keras.Model, batch: int) -> float:
    """GFLOP of the matrix products of one training step, counted from the built layers.

    Every weight of a matrix is used once a step of the sequence, with a multiplication and an
    addition: once forward, and twice backward, for the gradients of inputs and of weights.
    """
    products = 0
    for part in (model.get_layer("encoder"), model.get_layer("decoder")):
        for layer in part.layers:
            matrices = [prod(weights.shape) for weights in layer.trainable_weights if len(weights.shape) == 2]
            if matrices:
                products += prod(layer.input.shape[1:-1]) * sum(matrices)
    return 3 * 2 * products * batch / 1e9


def training_step(profile: str, rounds: int) -> tuple[float, float, float]:
    """Seconds of one step of a profile's toy network, its GFLOP/s, and their share of the product's rate.

    Steps and products take turns, so that another load on the machine slows both.
    """
    network, batch = get_profile(profile).toy_network, get_profile(profile).toy_training.batch
    drive = toy.time_steps()[:, None]
    model = build_beta_vae(network, drive, 1, seed=0)
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    x = np.random.default_rng(0).normal(size=(batch, len(drive), 1)).astype("float32")
    gflop = training_step_gflop(model, batch)
    measured = [(matrix_product_rate(), median_seconds(lambda: model.train_on_batch(x, x), rounds))
                for _ in range(rounds)]
    share = np.median([gflop / seconds / product for product, seconds in measured])
    seconds = np.median([seconds for _, seconds in measured])
    return float(seconds), gflop / float(seconds), float(share)


def torch_step() -> None:
    """Print the seconds of one step of the laptop profile's LSTM layers in stock PyTorch on the CPU."""
    import torch

    profile = get_profile("laptop")
    network, batch = profile.toy_network, profile.toy_training.batch
    width = 2 * network.units
    sizes = [2, width, width, network.latents + 1, width, width]
    layers = torch.nn.ModuleList(
        torch.nn.LSTM(size, network.units, batch_first=True, bidirectional=True) for size in sizes)
    squeeze, out = torch.nn.Linear(width, network.latents + 1), torch.nn.Linear(width, 1)
    optimiser = torch.optim.Adam([*layers.parameters(), *squeeze.parameters(), *out.parameters()])
    x = torch.randn(batch, 25, 2)

    def step():
        h = x
        for i, layer in enumerate(layers):
            h = torch.relu(layer(h)[0])
            if i == 2:
                h = squeeze(h[:, -1:]).expand(-1, 25, -1)
        loss = ((out(h) - x[..., :1]) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    print(median_seconds(step))


def seconds_to_paper_mse(seed: int) -> float:
    """Seconds until the toy network passes the paper's error, graph building included."""
    profile = get_profile("laptop")
    spectra = toy.spectra(toy.sample_rgb(profile.toy_spectra, seed))
    mean, scale = spectra.mean(axis=0), spectra.std(axis=0)
    training, gamut = (((x - mean) / scale)[..., None]
                       for x in (spectra, toy.spectra(toy.sample_rgb(2000, seed, "gamut"))))
    with tempfile.TemporaryDirectory() as folder:
        run = train(profile.toy_network, profile.toy_training, training, toy.time_steps()[:, None],
                    watched=training[:1], validation=gamut, seed=seed, title="toy", folder=Path(folder),
                    stop_at_mse=PAPER_MSE)
        return run.seconds_to(PAPER_MSE)


def movie_seconds_per_frame(frames: int = 60) -> float:
    """Seconds to draw and encode one frame of a sweep movie."""
    rng = np.random.default_rng(0)
    sweep = Sweep("DL", rng.normal(size=(1, 60, 60)), np.linspace(-1, 1, frames)[None],
                  rng.normal(size=(1, frames, 96, 1)))
    with tempfile.TemporaryDirectory() as folder:
        return sweep_movie(Path(folder) / "s.mp4", sweep, np.arange(96), x_label="step", source="toy",
                           channels=(Channel("Spectrum", "s.d."),), loop=True, orientation=IMAGE, progress=False)


def alone(*arguments: str, **environment: str) -> list[float]:
    """Numbers on the last line that this module prints in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "helpers.bench", *arguments], cwd=ROOT, text=True, check=True,
                          stdout=subprocess.PIPE, env=os.environ | environment)
    return [float(word) for word in done.stdout.splitlines()[-1].split()]


def torch_step_seconds() -> float | None:
    """Seconds of `torch_step` if PyTorch is installed; TensorFlow must not be loaded beside it."""
    return alone("torch", KERAS_BACKEND="torch")[0] if importlib.util.find_spec("torch") else None


def main() -> None:
    """Measure all and write the table."""
    cost = measure_cost()
    steps = {profile: training_step(profile, rounds) for profile, rounds in (("laptop", 7), ("paper", 3))}
    torch_seconds = torch_step_seconds()
    reached = [seconds_to_paper_mse(seed) for seed in SEEDS]
    rows = [
        {"measure": f"time to the paper's toy error {PAPER_MSE}, graph building included, seeds {SEEDS}",
         "value": f"{np.median(reached):.0f} s (" + ", ".join(f"{seconds:.0f}" for seconds in reached) + ")"},
        *({"measure": f"training step, toy, {profile} profile",
           "value": f"{1e3 * seconds:.0f} ms, {rate:.0f} GFLOP/s, {share:.2f} of the matrix-product rate"}
          for profile, (seconds, rate, share) in steps.items()),
        {"measure": "the laptop profile's layers in PyTorch", "value": "not installed" if torch_seconds is None
         else f"{torch_seconds / steps['laptop'][0]:.2f} times this step"},
        {"measure": "movie frame", "value": f"{movie_seconds_per_frame():.3f} s"},
    ]
    table = as_markdown(rows + cost)
    with atomic(FOLDER / "bench.md") as temporary:
        temporary.write_text(table + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["torch"]:
            torch_step()
        case _:
            main()
