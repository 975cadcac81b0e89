"""How long the parts of a run take, and how that grows with the work: `make bench`, a few minutes.

A single batch is trained on, so that its time is that of an epoch divided by the batches in it. Each result
carries the size of its work (`extra_info`); ``build/bench/speed.json`` keeps them all.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import DictionaryLearning

from helpers import toy
from helpers.backend import keras
from helpers.beta_vae import build_beta_vae
from helpers.dictionary import learn_dictionary
from helpers.figures.inputs import TOY, Look, ModelOutput, Sweep
from helpers.figures.loops import figure_4
from helpers.figures.movies import sweep_movie
from helpers.figures.style import save_figure
from helpers.profiles import get_profile
from helpers.scans.scan import drive_waveform, simulated_scan
from helpers.sho import fit_sho
from helpers.twin.measurement import raw_spectra

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("group", "of", "name", "steps", "epoch"), [
    ("step, toy", "toy", "laptop", 25, None), ("step, toy", "toy", "paper", 25, None),
    *(("epoch, loops, by pixels", "beps", "laptop", 96, pixels) for pixels in (3600, 14400, 57600)),
    *(("step, loops, by voltage steps", "beps", "laptop", steps, None) for steps in (48, 96, 192))])
def test_a_training_grows_with_its_spectra_and_their_steps(benchmark, group, of, name, steps, epoch):
    """One training step; `epoch` spectra are trained on in as many steps as they need."""
    profile = get_profile(name)
    network, batch = getattr(profile, f"{of}_network"), getattr(profile, f"{of}_training").batch
    voltage_V = 16 * (4 * np.abs(np.arange(steps) / steps - 0.5) - 1)
    drive, channels = (toy.time_steps()[:, None], 1) if of == "toy" else (drive_waveform(voltage_V), 2)
    model = build_beta_vae(network, drive, channels, seed=0)
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    x = RNG.normal(size=(batch, steps, channels)).astype("float32")
    batches = 1 if epoch is None else -(-epoch // batch)

    def work():
        for _ in range(batches):
            model.train_on_batch(x, x)

    benchmark.group = f"training {group}"
    benchmark.extra_info.update(spectra=batches * batch, steps=steps, parameters=model.count_params())
    benchmark.pedantic(work, warmup_rounds=1, rounds=3)


def of_scikit_learn(spectra, atoms, sparsity, iterations, seed):
    return DictionaryLearning(atoms, alpha=sparsity, max_iter=iterations, random_state=seed, fit_algorithm="cd",
                              transform_algorithm="lasso_cd").fit(spectra)


@pytest.mark.benchmark(group="dictionary learning, by spectra, beside scikit-learn's")
@pytest.mark.parametrize("learn", [learn_dictionary, of_scikit_learn])
@pytest.mark.parametrize("count", [500, 2000])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_dictionary_learning_grows_with_the_spectra(benchmark, count, learn):
    spectra = toy.spectra(toy.sample_rgb(count, 0))
    scaled = (spectra - spectra.mean(axis=0)) / spectra.std(axis=0)
    benchmark.extra_info.update(spectra=count)
    benchmark.pedantic(learn, (scaled, 3, 0.57, 20, 0), rounds=3)


@pytest.mark.benchmark(group="oscillator fits, by spectra")
@pytest.mark.parametrize("side", [2, 8])
def test_oscillator_fits_grow_with_the_spectra(benchmark, side):
    scan = simulated_scan(0, (side, side))
    spectra, frequency_kHz = raw_spectra(scan.piezoresponse, scan.resonance_kHz)
    benchmark.extra_info.update(spectra=spectra[..., 0].size)
    benchmark.pedantic(fit_sho, (spectra, frequency_kHz), warmup_rounds=1, rounds=5)


@pytest.mark.benchmark(group="figures and movies")
def test_figure_4_is_drawn_and_written(benchmark, tmp_path):
    scan = simulated_scan(0, (60, 60))
    look, maps = Look.of(scan), RNG.normal(size=(5, 60, 60))
    models = [ModelOutput(name, maps, scan.spectra, RNG.random(3600)) for name in ("DL", "companion's β-VAE", "PCA")]

    def work():
        save_figure(figure_4(scan.voltage_V, scan.spectra, *models, look), tmp_path / "fig4", provenance={})

    benchmark.pedantic(work, rounds=3)


@pytest.mark.benchmark(group="figures and movies")
@pytest.mark.parametrize("frames", [25, 100])
def test_a_movie_grows_with_its_frames(benchmark, tmp_path, frames):
    sweep = Sweep("DL", RNG.normal(size=(1, 60, 60)), np.linspace(-1, 1, frames)[None],
                  RNG.normal(size=(1, frames, 96, 1)))
    benchmark.extra_info.update(frames=frames)
    benchmark.pedantic(sweep_movie, (tmp_path / "s.mp4", sweep, np.arange(96.0), TOY),
                       {"x_label": "step", "loop": False}, rounds=2)
