"""Controls that separate what the paper credits: nonlinear, ordinal and variational.

Every control has as many latents as the full model opens, about as many parameters, the same
spectra, optimiser, batches and epochs. Each is trained on the spectra in order and with the time
steps shuffled by one permutation: a model that gains from order must lose by the shuffle.

`helpers.benchmarks` says why the shuffle is fair.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from pathlib import Path

import keras
import numpy as np
from keras import layers
from sklearn.decomposition import PCA

from helpers.benchmarks import ORDERS, Benchmark
from helpers.inference import (
    PREDICTION_BATCH,
    active_channels,
    encode,
    mean_kl,
    parameter_count,
)
from helpers.metrics import matched_spearman, mean_squared_error_per_spectrum
from helpers.beta_vae import build_beta_vae, build_decoder, build_encoder
from helpers.schedule import ScheduledRegularisation
from helpers.start import start_from_pca
from helpers.training import optimizer, shuffled_batches, train

CONTROLS = {
    "toy": ("pca", "dense", "convolutional", "lstm", "vae", "vae_recipe", "vae_beta0", "vae_random"),
    "beps": ("pca", "dense", "convolutional", "lstm", "vae", "vae_recipe", "vae_beta0", "vae_linear",
             "vae_recurrent"),
}
KERNEL = 5


def run_control(benchmark: Benchmark, model: str, order: str, *, seed: int, folder: Path) -> dict[str, float]:
    """Train one control and score it on the held-out spectra.

    Parameters
    ----------
    benchmark : Benchmark
        With its time steps in order.
    model : str
        One of ``CONTROLS[benchmark.name]``.
        "pca": principal components. "dense", "convolutional": plain autoencoders.
        "lstm": the full network without latent noise and at β = 0.
        "vae": the full model, started at random like all of these; "vae_recurrent": the same
        without the linear path. "vae_recipe": the profile's own network and start. Against it
        stand "vae_beta0", with β = 0 from the same start (what β adds); "vae_random", from a
        random start (what the start adds); and "vae_linear", without the recurrent path from
        the same start (what the recurrent path adds).
    order : str
        "kept", "shuffled" or "paired" (see `helpers.benchmarks`).
    seed : int
        Of the initial weights, the latent noise and the order of the spectra.
    folder : Path
        Holds the checkpoints of the full models, so that a killed job goes on.

    Returns
    -------
    dict of str to float
        ``{benchmark}.control.{model}.{order}.{score}`` with the scores "parameters", "channels"
        (active ones of a VAE), "mse" (held out) and "mse_training" in standard deviations
        squared, "seconds" of training, and for the toy "spearman": mean |Spearman| of the
        colours with the channels matched to them.

    Raises
    ------
    ValueError
        If model or order is unknown.
    FloatingPointError
        If the training ends in numbers that are not finite.
    """
    for name, known in ((model, CONTROLS[benchmark.name]), (order, ORDERS)):
        if name not in known:
            raise ValueError(f"control {name!r} of the {benchmark.name} benchmark is unknown: expected one "
                             f"of {', '.join(known)}; correct the name")
    title = f"{benchmark.name} {model} {order}"
    benchmark = benchmark.ordered(order)
    scores = _scores(benchmark, _fitted(benchmark, model, seed, title, folder))
    if not np.isfinite(scores["mse"]):
        raise FloatingPointError(f"{title}: the error is {scores['mse']}: expected a finite number; "
                                 "lower the learning rate in the profile")
    prefix = f"{benchmark.name}.control.{model}.{order}"
    return {f"{prefix}.{score}": float(value) for score, value in scores.items()}


@dataclass(frozen=True)
class Fitted:
    """A fitted control: spectra (n, steps, channels) to embedding (n, latents) and back."""

    encode: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]
    active: Callable[[np.ndarray], list[int]]
    parameters: int
    seconds: float


def _scores(benchmark: Benchmark, fitted: Fitted) -> dict[str, float]:
    def error(x: np.ndarray) -> float:
        return mean_squared_error_per_spectrum(x, fitted.decode(fitted.encode(x))).mean()

    active = fitted.active(benchmark.heldout)
    scores = {"parameters": fitted.parameters, "channels": len(active), "mse": error(benchmark.heldout),
              "mse_training": error(benchmark.spectra), "seconds": fitted.seconds}
    if benchmark.truth is not None:
        embedding = fitted.encode(benchmark.heldout)[:, active]
        scores["spearman"] = matched_spearman(embedding, benchmark.truth).mean()
    return scores


def _fitted(benchmark: Benchmark, model: str, seed: int, title: str, folder: Path) -> Fitted:
    if model == "pca":
        return _fit_pca(benchmark)
    if model in ("vae", "vae_recurrent", "vae_recipe", "vae_beta0", "vae_random"):
        return _fit_vae(benchmark, model, seed, title, folder)
    builders = {"dense": build_dense, "convolutional": build_convolutional, "lstm": build_lstm,
                "vae_linear": build_linear_vae}
    return _fit(builders[model](benchmark, seed), benchmark, seed)


def _fit_pca(benchmark: Benchmark) -> Fitted:
    started = time.perf_counter()
    shape = benchmark.spectra.shape[1:]
    # In double precision, so that the order of the steps cannot matter beyond rounding.
    pca = PCA(benchmark.channels, svd_solver="full").fit(_flat(benchmark.spectra))
    return Fitted(lambda x: pca.transform(_flat(x)), lambda z: pca.inverse_transform(z).reshape(-1, *shape),
                  lambda x: list(range(benchmark.channels)), pca.components_.size + pca.mean_.size,
                  time.perf_counter() - started)


def _flat(spectra: np.ndarray) -> np.ndarray:
    return spectra.reshape(len(spectra), -1).astype("float64")


def _fit_vae(benchmark: Benchmark, model: str, seed: int, title: str, folder: Path) -> Fitted:
    """The full model or a part of it, with the weights of its last epoch."""
    network, training = benchmark.network, benchmark.training
    if model in ("vae", "vae_recurrent"):
        network = replace(network, latents=benchmark.channels)
    if model == "vae_recurrent":
        network = replace(network, linear_path=False)
    if model == "vae_beta0":
        training = replace(training, first_share=0.0)
    elif model != "vae_recipe":
        training = replace(training, start="random")
    run = train(network, training, benchmark.spectra, benchmark.drive, watched=benchmark.heldout[:10],
                validation=benchmark.heldout[:PREDICTION_BATCH], seed=seed, title=title, folder=folder)
    return _from_keras(run.model, run.seconds)


def _fit(model: keras.Model, benchmark: Benchmark, seed: int) -> Fitted:
    """Train with the optimiser, batches and epochs of the full model, and its β if there is one."""
    started = time.perf_counter()
    x, training = benchmark.spectra, benchmark.training
    steps = -(-len(x) // training.batch)
    callbacks = [ScheduledRegularisation(training, seed)] if model.name == "beta_vae" else []
    model.compile(optimizer(training, steps), "mse", metrics=["mse"])
    model.fit(shuffled_batches(x, x, training.batch, seed), steps_per_epoch=steps, epochs=training.epochs,
              shuffle=False, verbose=0, callbacks=callbacks)
    return _from_keras(model, time.perf_counter() - started)


def _from_keras(model: keras.Model, seconds: float) -> Fitted:
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
    options = {"batch_size": PREDICTION_BATCH, "verbose": 0}
    variational = model.name == "beta_vae"
    return Fitted(
        (lambda x: encode(model, x)[0]) if variational else (lambda x: encoder.predict(x, **options)),
        lambda z: decoder.predict(z, **options),
        (lambda x: active_channels(mean_kl(model, x))) if variational
        else (lambda x: list(range(decoder.input_shape[-1]))),
        parameter_count(model), seconds)


def _chain(name: str, shape: tuple[int, ...], *steps: layers.Layer) -> keras.Model:
    start = keras.Input(shape)
    return keras.Model(start, reduce(lambda x, layer: layer(x), steps, start), name=name)


def _autoencoder(encoder: keras.Model, decoder: keras.Model) -> keras.Model:
    return keras.Model(encoder.input, decoder(encoder(encoder.input)), name="autoencoder")


def _as_large_as_the_full_model(
    build: Callable[[int], keras.Model], benchmark: Benchmark, seed: int
) -> keras.Model:
    """`build` at the width whose number of parameters, quadratic in it, is nearest to that of "vae"."""
    network = replace(benchmark.network, latents=benchmark.channels)
    target = parameter_count(build_beta_vae(network, benchmark.drive, benchmark.spectra.shape[-1], seed))
    quadratic = np.polyfit([1, 2, 3], [parameter_count(build(width)) for width in (1, 2, 3)], 2)
    width = max(np.roots(quadratic - [0, 0, target]).real)
    keras.utils.set_random_seed(seed)
    return build(max(1, round(width)))


def build_dense(benchmark: Benchmark, seed: int) -> keras.Model:
    """Autoencoder of two hidden ReLU layers a side: nonlinear, but without any notion of order.

    It is not given the drive, which would be one more bias.
    """
    shape = benchmark.spectra.shape[1:]

    def build(width: int) -> keras.Model:
        hidden = [layers.Dense(width, activation="relu") for _ in range(4)]
        encoder = _chain("encoder", shape, layers.Flatten(), *hidden[:2], layers.Dense(benchmark.channels))
        decoder = _chain("decoder", (benchmark.channels,), *hidden[2:], layers.Dense(prod(shape)),
                         layers.Reshape(shape))
        return _autoencoder(encoder, decoder)

    return _as_large_as_the_full_model(build, benchmark, seed)


def build_convolutional(benchmark: Benchmark, seed: int) -> keras.Model:
    """Autoencoder of convolutions along the steps: neighbours matter, but there is no memory.

    Three convolutions a side, two of them halving (doubling) the number of steps. The dense
    layers around the latents know the position of each step, so it is not given the drive.
    """
    steps, channels = benchmark.spectra.shape[1:]
    fewest = -(-steps // 4)

    def build(width: int) -> keras.Model:
        options = {"filters": width, "kernel_size": KERNEL, "padding": "same", "activation": "relu"}
        encoder = _chain(
            "encoder", (steps, channels), layers.Conv1D(**options), layers.Conv1D(strides=2, **options),
            layers.Conv1D(strides=2, **options), layers.Flatten(), layers.Dense(benchmark.channels))
        decoder = _chain(
            "decoder", (benchmark.channels,), layers.Dense(fewest * width, activation="relu"),
            layers.Reshape((fewest, width)), layers.Conv1DTranspose(strides=2, **options),
            layers.Conv1DTranspose(strides=2, **options), layers.Cropping1D((0, 4 * fewest - steps)),
            layers.Conv1D(channels, KERNEL, padding="same"))
        return _autoencoder(encoder, decoder)

    return _as_large_as_the_full_model(build, benchmark, seed)


def build_lstm(benchmark: Benchmark, seed: int) -> keras.Model:
    """The full network as a plain autoencoder: no latent noise, β = 0."""
    keras.utils.set_random_seed(seed)
    network = replace(benchmark.network, latents=benchmark.channels)
    channels = benchmark.spectra.shape[-1]
    both = build_encoder(network, benchmark.drive, channels)
    means_only = keras.Model(both.input, both.outputs[0], name="encoder")
    return _autoencoder(means_only, build_decoder(network, benchmark.drive, channels))


def build_linear_vae(benchmark: Benchmark, seed: int) -> keras.Model:
    """The full network with its recurrent path held at zero, where the PCA start leaves it.

    A linear β-VAE, whose optimum is PCA (Lucas et al., NeurIPS 2019). The variances are still
    read off the recurrent layers, which stay as drawn.
    """
    network = replace(benchmark.network, latents=benchmark.channels)
    model = build_beta_vae(network, benchmark.drive, benchmark.spectra.shape[-1], seed)
    start_from_pca(model, benchmark.spectra, np.arange(benchmark.channels))
    for part in ("encoder", "decoder"):
        for layer in model.get_layer(part).layers:
            layer.trainable = layer.name in ("linear_path", "log_variance")
    return model
