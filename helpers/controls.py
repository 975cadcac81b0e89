"""Controls that separate what the paper credits: nonlinear, ordinal and variational.

Variants of the companion's β-VAE have its spectra, optimiser, batches, epochs and path of β, and the snapshot is chosen
by its rule. Plain autoencoders have as many latents as it shows, its batches, noise on what they read and about as many
parameters as its network with so few latents, and train until their error on the training spectra no longer falls.
Each is trained on the spectra in order and with the time steps shuffled by one permutation: a model that gains from
order must lose by the shuffle.

What is fair about the shuffle: the spectra are shuffled and the drive is not, as if the shuffled spectrum had been
measured along that drive. The drive still tells the network which step it is at, but no longer which steps are
neighbours. Shuffled along with the spectra it would hand the order back to the network, each value keeping its own time
or voltage: that is the third order, "paired", which takes away only the order of reading.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from helpers import toy
from helpers.autoencoders import build_dense, build_lstm
from helpers.backend import keras
from helpers.beta_vae import PREDICTION_BATCH, active_channels, decode, encode, mean_kl, parameter_count
from helpers.profiles import AdditiveNetwork, Profile, Training
from helpers.scans.scan import Scan, drive_waveform, heldout_blocks, standardised, training_pixels
from helpers.schedule import annealed_path
from helpers.scores import matched_spearman, mean_squared_error_per_spectrum
from helpers.training import batch_size, epochs_of_batches, feed, train

ORDERS = ("kept", "shuffled", "paired")
# Latents of the controls that choose none themselves: the colours, and as many as the paper shows of the loops.
CHANNELS = {"toy": 3, "beps": 5}
AUTOENCODERS = {"dense": build_dense, "lstm": build_lstm}
CONTROLS = ("pca", *AUTOENCODERS, "vae_full", "vae_few_latents", "vae_mixed", "vae_beta0", "vae_dense_encoder")
PATIENCE = 10  # epochs without a lower loss after which a plain autoencoder halves its learning rate
LEAST_GAIN = 1e-6  # in the loss (s.d.²), less than which is none
LONGEST = 2  # times the epochs of the β-VAE, at most
MIXED_UNITS = 128  # of the ordinary decoder where the network has no joint term


@dataclass(frozen=True)
class Benchmark:
    """What all controls of a benchmark share."""

    name: str  # "toy" or "beps"
    spectra: np.ndarray  # to train on, standardised, (n, steps, measured channels)
    heldout: np.ndarray  # the same, to take the error on
    drive: np.ndarray  # (steps, drive channels)
    network: AdditiveNetwork  # of the companion's β-VAE, as its training
    training: Training
    truth: np.ndarray | None = None  # known factors of the held-out spectra, (n heldout, factors)

    def __post_init__(self):
        if not (np.isfinite(self.spectra).all() and np.isfinite(self.heldout).all()):
            raise ValueError(f"{self.name}: some of the spectra are NaN or infinite: expected finite "
                             "numbers; interpolate or remove them first")

    @property
    def channels(self) -> int:
        """Latents of every control."""
        return CHANNELS[self.name]

    def ordered(self, order: str) -> Benchmark:
        """The benchmark with its time steps in one of ORDERS (see the module)."""
        if order == "kept":
            return self
        steps = step_permutation(len(self.drive))
        drive = self.drive[steps] if order == "paired" else self.drive
        return replace(self, spectra=self.spectra[:, steps], heldout=self.heldout[:, steps], drive=drive)


def toy_benchmark(profile: Profile, seed: int) -> Benchmark:
    """Uniform colours to train on, the gamut held out, standardised at each time step."""
    spectra = toy.spectra(toy.sample_rgb(profile.toy_spectra, seed))
    rgb = toy.sample_rgb(profile.gamut_spectra, seed, "gamut")
    mean, deviation = spectra.mean(axis=0), spectra.std(axis=0)
    scaled = [((x - mean) / deviation)[..., None].astype("float32") for x in (spectra, toy.spectra(rgb))]
    return Benchmark("toy", *scaled, toy.time_steps()[:, None], profile.toy_network,
                     profile.toy_training, rgb)


def beps_benchmark(profile: Profile, scan: Scan) -> Benchmark:
    """Loops of a scan with blocks held out; the training loops where the profile holds none out."""
    spectra = standardised(scan)[0].astype("float32")
    held = heldout_blocks(scan.shape, profile.heldout_every)
    training = spectra[training_pixels(scan, held)]
    heldout = spectra[held & scan.usable] if held.any() else training
    return Benchmark("beps", training, heldout, drive_waveform(scan.voltage_V), profile.beps_network,
                     profile.beps_training)


def step_permutation(steps: int) -> np.ndarray:
    """The one permutation of the time steps, shape (steps,); the same for every seed and model."""
    return np.random.default_rng(0).permutation(steps)


def run_control(benchmark: Benchmark, model: str, order: str, *, seed: int, folder: Path) -> dict[str, float]:
    """Train one control and score it on the held-out spectra.

    Parameters
    ----------
    benchmark : Benchmark
        With its time steps in order.
    model : str
        One of `CONTROLS`.
        "pca": principal components. "dense": a plain autoencoder. "lstm": the companion's network without latent noise
        and at β = 0.
        "vae_full": the companion's β-VAE as the profile has it. Against it stand "vae_few_latents", with no more
        latents than it shows (what the spare ones do); "vae_mixed", with an ordinary decoder (what adding up does);
        "vae_beta0", with β = 0 throughout (what β does); and "vae_dense_encoder" (what recurrence does).
    order : str
        One of `ORDERS` (see the module).
    seed : int
        Of weights, latent noise and order of the spectra.
    folder : Path
        Holds the checkpoints of the β-VAEs, so that a killed job goes on.

    Returns
    -------
    dict of str to float
        ``{benchmark}.control.{model}.{order}.{score}`` with the scores "parameters", "channels" (active ones of a
        VAE), "mse" (held out) and "mse_training" (s.d.²), "seconds" and "epochs" of training, "converged" (0 where a
        plain autoencoder came to the limit of epochs before its error stopped falling), and for the toy "spearman":
        mean |Spearman| of the colours with the channels matched to them.

    Raises
    ------
    ValueError
        If model or order is unknown.
    FloatingPointError
        If the training ends in numbers that are not finite.
    """
    for name, known in ((model, CONTROLS), (order, ORDERS)):
        if name not in known:
            raise ValueError(f"control {name!r} of the {benchmark.name} benchmark is unknown: expected one "
                             f"of {', '.join(known)}; correct the name")
    title = f"{benchmark.name} {model} {order}"
    ordered = benchmark.ordered(order)
    if model == "pca":
        fitted = _fit_pca(ordered)
    elif model in AUTOENCODERS:
        fitted = _fit_autoencoder(ordered, AUTOENCODERS[model], seed)
    else:
        # The noise at which β ends is read off neighbouring steps: shuffled spectra would be taken for noise.
        path = None if order == "kept" else annealed_path(benchmark.spectra, benchmark.network.latents,
                                                          benchmark.training.epochs)
        fitted = _fit_vae(ordered, model, seed, title, folder, path)
    scores = _scores(ordered, fitted)
    if not np.isfinite(scores["mse"]):
        raise FloatingPointError(f"{title}: the error is {scores['mse']}: expected a finite number; "
                                 "lower the learning rate in the profile")
    prefix = f"{benchmark.name}.control.{model}.{order}"
    return {f"{prefix}.{score}": float(value) for score, value in scores.items()}


@dataclass(frozen=True)
class Fitted:
    """A fitted control: spectra (n, steps, channels) to embedding (n, latents) and back, and its active channels."""

    encode: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]
    active: list[int]
    parameters: int
    seconds: float
    epochs: int = 1
    converged: bool = True


def _scores(benchmark: Benchmark, fitted: Fitted) -> dict[str, float]:
    def error(x: np.ndarray) -> float:
        return mean_squared_error_per_spectrum(x, fitted.decode(fitted.encode(x))).mean()

    scores = {"parameters": fitted.parameters, "channels": len(fitted.active), "mse": error(benchmark.heldout),
              "mse_training": error(benchmark.spectra), "seconds": fitted.seconds, "epochs": fitted.epochs,
              "converged": fitted.converged}
    if benchmark.truth is not None:
        embedding = fitted.encode(benchmark.heldout)[:, fitted.active]
        scores["spearman"] = matched_spearman(embedding, benchmark.truth).mean()
    return scores


def _fit_pca(benchmark: Benchmark) -> Fitted:
    started = time.perf_counter()
    shape = benchmark.spectra.shape[1:]
    # In double precision, so that the order of the steps cannot matter beyond rounding.
    pca = PCA(benchmark.channels, svd_solver="full").fit(_flat(benchmark.spectra))
    return Fitted(lambda x: pca.transform(_flat(x)), lambda z: pca.inverse_transform(z).reshape(-1, *shape),
                  list(range(benchmark.channels)), pca.components_.size + pca.mean_.size,
                  time.perf_counter() - started)


def _flat(spectra: np.ndarray) -> np.ndarray:
    return spectra.reshape(len(spectra), -1).astype("float64")


def _fit_vae(benchmark: Benchmark, model: str, seed: int, title: str, folder: Path,
             path: np.ndarray | None) -> Fitted:
    """The companion's β-VAE or a variant of it, with the weights of the snapshot that is shown."""
    changes = {"vae_few_latents": {"latents": benchmark.channels}, "vae_dense_encoder": {"layers": 0},
               "vae_mixed": {"branch": 0, "joint": benchmark.network.joint or MIXED_UNITS}}
    network, training = replace(benchmark.network, **changes.get(model, {})), benchmark.training
    if model == "vae_beta0":
        training = replace(training, schedule="none", shown=network.latents)  # no path of β along which to choose
    run = train(network, training, benchmark.spectra, benchmark.drive, watched=benchmark.heldout[:10],
                validation=benchmark.heldout[:PREDICTION_BATCH], seed=seed, title=title, folder=folder, path=path)
    run.restore_chosen()
    return Fitted(lambda x: encode(run.model, x)[0], lambda z: decode(run.model, z),
                  active_channels(mean_kl(run.model, benchmark.heldout)), parameter_count(run.model), run.seconds,
                  training.epochs)


def _fit_autoencoder(benchmark: Benchmark, build: Callable[..., keras.Model], seed: int) -> Fitted:
    network = replace(benchmark.network, latents=benchmark.channels)
    model = build(network, benchmark.drive, benchmark.spectra.shape[-1], seed)
    started = time.perf_counter()
    converged = _fit(model, benchmark, seed)
    return Fitted(lambda x: model.get_layer("encoder").predict(x, batch_size=PREDICTION_BATCH, verbose=0),
                  lambda z: decode(model, z), list(range(benchmark.channels)), parameter_count(model),
                  time.perf_counter() - started, len(model.history.epoch), converged)


def _fit(model: keras.Model, benchmark: Benchmark, seed: int) -> bool:
    """Train with the batches, noise and first learning rate of the companion's β-VAE until the loss no longer falls.

    The rate is halved where the training loss has not fallen by `LEAST_GAIN` for `PATIENCE` epochs; the training ends
    where it has not for three times as many (True), or after `LONGEST` times the epochs of the β-VAE (False).
    """
    training = benchmark.training
    batch = batch_size(training, benchmark.spectra)
    steps = len(benchmark.spectra) // batch

    def epochs():
        for (reads, _), targets in epochs_of_batches(benchmark.spectra, batch, seed, 1, benchmark.network.input_noise):
            yield reads, targets

    model.compile(keras.optimizers.Adam(training.learning_rate, global_clipnorm=training.clip_norm), "mse",
                  steps_per_execution=steps, jit_compile=training.epochs * steps > 2000)
    lower = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=PATIENCE, min_delta=LEAST_GAIN)
    stop = keras.callbacks.EarlyStopping("loss", patience=3 * PATIENCE, min_delta=LEAST_GAIN, restore_best_weights=True)
    model.fit(feed(epochs), steps_per_epoch=steps, epochs=LONGEST * training.epochs, shuffle=False, verbose=0,
              callbacks=[lower, stop])
    return stop.stopped_epoch > 0
