"""Training of the β-VAE with scheduled regularisation (paper, section 2)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.backend import keras
from helpers.beta_vae import PREDICTION_BATCH, build_beta_vae, embedding_size, load_beta_vae, reconstruct
from helpers.callbacks import (
    KeepCheckpoint,
    KeepSnapshots,
    ProgressBar,
    RestartSteps,
    ScheduledRegularisation,
    Snapshots,
)
from helpers.checkpoints import DAMAGED, WEIGHTS_FOLDER, Checkpoints, configuration_hash, mismatch
from helpers.coordinates import elbow, find_coordinates
from helpers.profiles import WEIGHTS, Network, Training
from helpers.start import start_from_isomap, start_from_pca

PROBE_SPECTRA = 2000


@dataclass
class Trained:
    """A trained model, its history per epoch and its snapshots.

    `coordinate_errors` has shape (candidates,): the error with 1, 2, … coordinates of the
    spectra, from which the number of channels is found (see `helpers.coordinates`).
    `start_mse` is the validation error where the training starts, `start_seconds` the time it
    took to come there; NaN for a random start.
    """

    model: keras.Model
    history: dict[str, np.ndarray]
    snapshots: Snapshots
    coordinate_errors: np.ndarray
    first_beta: float
    checkpoints: Checkpoints | None
    start_mse: float = np.nan
    start_seconds: float = np.nan

    @property
    def found(self) -> int:
        """Number of channels that the spectra need."""
        return elbow(self.coordinate_errors)

    @property
    def chosen(self) -> int:
        """Index of the snapshot that is shown (see `Snapshots.choose`)."""
        return self.snapshots.choose(self.found)

    @property
    def seconds(self) -> float:
        """Time spent on the training, interruptions left out."""
        return float(self.history["seconds"][-1])

    def seconds_to(self, mse: float) -> float:
        """Seconds until the validation error was at most `mse`; NaN if it never was."""
        if self.start_mse <= mse:
            return self.start_seconds
        reached = self.history["val_mse"] <= mse
        return float(self.history["seconds"][np.argmax(reached)]) if reached.any() else np.nan

    def restore_chosen(self) -> None:
        """Give the model the weights of the chosen snapshot; one read from files has no others."""
        if self.checkpoints is None:
            return
        epoch = int(self.snapshots.epochs[self.chosen])
        self.model.set_weights(self.checkpoints.load_snapshot(epoch))

    def arrays(self) -> dict[str, np.ndarray]:
        """History as ``history_…`` and snapshots as ``snapshot_…``, ready to be stored."""
        history = {f"history_{name}": values for name, values in self.history.items()}
        return {**history, **self.snapshots.arrays(), "first_beta": np.array(self.first_beta),
                "coordinate_errors": self.coordinate_errors, "chosen": np.array(self.chosen),
                "start_mse": np.array(self.start_mse), "start_seconds": np.array(self.start_seconds)}


def shuffled_batches(inputs: np.ndarray, targets: np.ndarray, batch: int, seed: int,
                     first_epoch: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches without end; the order is a function of (seed, epoch) alone.

    `inputs` and `targets` have the same length; every epoch visits each entry once.
    """
    for epoch in itertools.count(first_epoch):
        order = np.random.default_rng((seed, epoch)).permutation(len(inputs))
        for start in range(0, len(inputs), batch):
            chosen = order[start : start + batch]
            yield inputs[chosen], targets[chosen]


def train(network: Network, training: Training, spectra: np.ndarray, drive: np.ndarray, *,
          watched: np.ndarray, validation: np.ndarray, seed: int, title: str, folder: Path) -> Trained:
    """Train a β-VAE, or go on with a training that was interrupted.

    The state after every epoch lies in a folder named by a hash of all that decides how the
    training goes, so a killed training started again ends with the same weights, and a
    changed parameter begins another one. A finished training is only read back.

    Parameters
    ----------
    spectra, validation : ndarray, shape (n, steps, channels)
        Standardised spectra to learn from, and those whose error is only recorded.
    drive : ndarray, shape (steps, drive channels)
        Known drive of each step.
    watched : ndarray, shape (n_watched, steps, channels)
        Spectra whose embeddings the snapshots keep: the painting, or every pixel.
    seed : int
        Of weights, latent noise and order.
    title : str
        Name of the training, for the progress bar and the folder.
    folder : Path
        Holds the folder of checkpoints.

    Raises
    ------
    ValueError
        If there are fewer spectra than a batch, or they do not vary.
    FloatingPointError
        If the loss is no longer finite.
    """
    _check(spectra, training.batch, title)
    strategy = mirrored_strategy()
    started = time.perf_counter()
    spectra, validation, watched = (x.astype("float32", copy=False) for x in (spectra, validation, watched))
    name = f"{title}-{configuration_hash(network, training, seed, spectra, drive, watched)[:12]}"
    checkpoints = Checkpoints(folder / name)
    steps_per_epoch = -(-len(spectra) // training.batch)
    with strategy.scope() if strategy else nullcontext():
        model = build_beta_vae(network, drive, spectra.shape[-1], seed)
        model.compile(optimizer(training, steps_per_epoch, replicas(strategy)), "mse", metrics=["mse"])
    probe = spectra[:: -(-len(spectra) // PROBE_SPECTRA)]
    schedule = ScheduledRegularisation(training, seed)
    snapshots = KeepSnapshots(training, probe, watched, checkpoints)
    restart = [RestartSteps(training)] if training.restart_steps else []
    keep = KeepCheckpoint(checkpoints, schedule, snapshots, started, *restart)
    with strategy.scope() if strategy else nullcontext():
        done = keep.go_on(model)
        if not done:
            keep.coordinate_errors = _begin(model, training, spectra, seed, strategy)
            if training.start != "random":
                keep.start_mse = float(np.square(reconstruct(model, validation) - validation).mean())
                keep.start_seconds = time.perf_counter() - started
    if done:
        print(f"{title}: {done} of {training.epochs} epochs are done already ({checkpoints.folder.name})")
    if done < training.epochs:
        model.fit(
            _feed(strategy, spectra, spectra, training.batch, seed, done), steps_per_epoch=steps_per_epoch,
            validation_data=(validation, validation), validation_batch_size=PREDICTION_BATCH,
            initial_epoch=done, epochs=training.epochs, shuffle=False, verbose=0,
            callbacks=[*restart, schedule, *_own_noise(model, strategy, seed), snapshots, keep,
                       ProgressBar(training.epochs, title, done, snapshots)])
    history = {name: np.array(values) for name, values in keep.history.items()}
    return Trained(model, history, snapshots.kept, keep.coordinate_errors, schedule.first_beta, checkpoints,
                   keep.start_mse, keep.start_seconds)


def train_or_load(weights: str, network: Network, training: Training, spectra: np.ndarray, drive: np.ndarray, *,
                  watched: np.ndarray, seed: int, title: str, **options) -> Trained:
    """`train`, or with ``weights="pretrained"`` the training kept in data/weights, where it fits.

    It fits where network, training, seed, training spectra and watched spectra are the same; otherwise a
    sentence says what is not, and the network is trained. Its seconds are those of the machine that trained it.

    Raises
    ------
    ValueError
        If `weights` is neither "train" nor "pretrained", or files are damaged.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"weights is {weights!r}: expected one of {', '.join(WEIGHTS)}; correct WEIGHTS=…")
    if weights == "pretrained":
        reason = mismatch(WEIGHTS_FOLDER / title.lower(), network, training, spectra, watched, seed)
        if not reason:
            print(f"{title}: weights trained in advance are used (data/weights/{title.lower()}.json says how); seconds are "
                  "those of that training")
            return read_back(WEIGHTS_FOLDER / title.lower(), network, drive, spectra.shape[-1])
        print(f"{title}: {reason}, so the network is trained here")
    return train(network, training, spectra, drive, watched=watched, seed=seed, title=title, **options)


def read_back(path: Path, network: Network, drive: np.ndarray, channels: int) -> Trained:
    """Read what `checkpoints.store` wrote.

    Raises
    ------
    ValueError
        If a file is missing, damaged, or of another network.
    """
    model = load_beta_vae(path.with_suffix(".weights.h5"), network, drive, channels)
    try:
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
            arrays = dict(stored)
        few = arrays["snapshot_embeddings"]
        arrays["snapshot_embeddings"] = np.zeros((*few.shape[:2], network.latents), "float32")
        arrays["snapshot_embeddings"][..., arrays["open"]] = few
        snapshots = Snapshots()
        snapshots.restore(arrays)
        history = {name.removeprefix("history_"): values for name, values in arrays.items()
                   if name.startswith("history_")}
        return Trained(model, history, snapshots, arrays["coordinate_errors"], float(arrays["first_beta"]),
                       checkpoints=None, start_mse=float(arrays.get("start_mse", np.nan)),
                       start_seconds=float(arrays.get("start_seconds", np.nan)))
    except DAMAGED as error:
        raise ValueError(f"{path.with_suffix('.npz')} is damaged ({error}): expected the course of a "
                         "training; fetch it again, or use WEIGHTS=train") from error


def mirrored_strategy():
    """TensorFlow's strategy that shares every batch among the GPUs, or None where one device is seen.

    Two logical CPUs count as GPUs do where there is no GPU, so that it can be tried anywhere.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices]) if len(devices) > 1 else None


def replicas(strategy) -> int:
    """Number of devices that share a batch."""
    return strategy.num_replicas_in_sync if strategy else 1


def _feed(strategy, *batches):
    """`shuffled_batches` for `fit`.

    With a strategy Keras looks at a batch beforehand and begins again, which a generator cannot.
    """
    if not strategy:
        return shuffled_batches(*batches)
    import tensorflow as tf

    signature = tuple(tf.TensorSpec((None, *values.shape[1:]), values.dtype) for values in batches[:2])
    return tf.data.Dataset.from_generator(lambda: shuffled_batches(*batches), output_signature=signature)


def _own_noise(model: keras.Model, strategy, seed: int) -> list[keras.callbacks.Callback]:
    """Latent noise of its own for each replica; they would all draw the same."""
    if not strategy:
        return []

    def seed_replicas(epoch, logs=None):
        states = strategy.experimental_local_results(model.get_layer("latents").noise.state.value)
        for replica, state in enumerate(states):
            state.assign(np.array([seed + replica * 2**20, epoch], "uint32"))

    return [keras.callbacks.LambdaCallback(on_epoch_begin=seed_replicas)]


def _begin(model: keras.Model, training: Training, spectra: np.ndarray, seed: int, strategy) -> np.ndarray:
    """Find how many channels are needed and start there; returns the error for each number."""
    kind = "pca" if training.start == "pca" else "isomap"
    coordinates = find_coordinates(spectra, embedding_size(model), kind)
    if training.start == "pca":
        start_from_pca(model, spectra, coordinates.kept)
    elif training.start == "isomap":
        start_from_isomap(model, spectra, coordinates, training,
                          lambda x, y: _feed(strategy, x, y, training.batch, seed))
    return coordinates.errors


def _check(spectra: np.ndarray, batch: int, title: str) -> None:
    if len(spectra) < batch:
        raise ValueError(f"{title}: {len(spectra)} spectra are fewer than a batch of {batch}: "
                         "expected more; lower `batch` in the profile")
    if not np.isfinite(spectra).all():
        raise ValueError(f"{title}: some of the spectra are NaN or infinite: expected finite "
                         "numbers; interpolate or remove them first")
    if np.ptp(spectra, axis=0).max() == 0:
        raise ValueError(f"{title}: all spectra are the same: expected some that differ; "
                         "check that the right data were loaded")


def optimizer(training: Training, steps_per_epoch: int, replicas: int = 1) -> keras.optimizers.Optimizer:
    """Adam; with several replicas each clips its part of the gradient, the sum keeps the bound."""
    clip_norm = training.clip_norm and training.clip_norm / replicas
    rate = training.learning_rate
    if training.cosine:
        steps = training.epochs * steps_per_epoch
        warm_up = max(1, steps // 20)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, steps - warm_up, alpha=0.01, warmup_target=rate, warmup_steps=warm_up)
    return keras.optimizers.Adam(rate, global_clipnorm=clip_norm)
