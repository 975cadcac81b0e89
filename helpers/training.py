"""Training of both β-VAEs with scheduled regularisation (paper, section 2)."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path

import numpy as np

from helpers.backend import keras
from helpers.beta_vae import build_beta_vae, load_beta_vae
from helpers.callbacks import (
    WARM_UP,
    KeepCheckpoint,
    KeepSnapshots,
    ProgressBar,
    RestartSteps,
    ScheduledRegularisation,
    Snapshots,
)
from helpers.checkpoints import DAMAGED, WEIGHTS_FOLDER, Checkpoints, configuration_hash, mismatch
from helpers.profiles import WEIGHTS, AdditiveNetwork, PaperNetwork, Training
from helpers.schedule import annealed_path

PROBE_SPECTRA = 2000
FEWEST_BATCHES = 8
JUDGED = 5  # epochs over which the loss of a start is averaged


@dataclass
class Trained:
    """A trained model, its history per epoch and its snapshots; `shown` as in `profiles.Training`."""

    model: keras.Model
    history: dict[str, np.ndarray]
    snapshots: Snapshots
    shown: int | None
    checkpoints: Checkpoints | None
    earlier_s: float = 0.0  # of its `seconds`, those of processes that broke off

    @property
    def chosen(self) -> int:
        """Index of the snapshot that is shown (see `Snapshots.choose`)."""
        return self.snapshots.choose(self.shown)

    @property
    def seconds(self) -> float:
        """Time spent on the training and on its other starts, interruptions left out."""
        return float(self.history["seconds"][-1])

    def seconds_to(self, mse: float) -> float:
        """Seconds until a snapshot's error on held-out spectra was at most `mse`; NaN if it never was."""
        reached = np.array(self.snapshots.validation_mse) <= mse
        return float(self.snapshots.seconds[int(np.argmax(reached))]) if reached.any() else np.nan

    def restore_chosen(self) -> None:
        """Give the model the weights of the chosen snapshot; one read from files has no others."""
        if self.checkpoints is not None:
            epoch = int(self.snapshots.epochs[self.chosen])
            self.model.set_weights(self.checkpoints.load_snapshot(epoch))

    def arrays(self) -> dict[str, np.ndarray]:
        """History as ``history_…`` and snapshots as ``snapshot_…``, ready to be stored."""
        history = {f"history_{name}": values for name, values in self.history.items()}
        return {**history, **self.snapshots.arrays(), "chosen": np.array(self.chosen)}


def batch_size(training: Training, spectra: np.ndarray) -> int:
    """Spectra of a batch, so few that an epoch has at least 8 of them."""
    return min(training.batch, len(spectra) // FEWEST_BATCHES)


def epochs_of_batches(spectra: np.ndarray, batch: int, seed: int, latents: int, input_noise: float = 0.0,
                      first_epoch: int = 0) -> Iterator[tuple[tuple[np.ndarray, np.ndarray], np.ndarray]]:
    """Epochs without end, each as ((spectra read, latent noise), target) of shapes (batches, batch, …).

    Order and noise are a function of (seed, epoch) alone. All batches are whole, so that one compiled
    step serves them; what is left over waits for another epoch.
    """
    count = len(spectra) // batch
    for epoch in itertools.count(first_epoch):
        random = np.random.default_rng((seed, epoch))
        order = random.permutation(len(spectra))[: count * batch]
        target = read = spectra[order].reshape(count, batch, *spectra.shape[1:])
        noise = random.standard_normal((count, batch, latents), "float32")
        if input_noise:
            read = target + np.float32(input_noise) * random.standard_normal(target.shape, "float32")
        yield (read, noise), target


def train(network: PaperNetwork | AdditiveNetwork, training: Training, spectra: np.ndarray, drive: np.ndarray, *,
          watched: np.ndarray, validation: np.ndarray, seed: int, title: str, folder: Path,
          path: np.ndarray | None = None) -> Trained:
    """Train a β-VAE, or go on with a training that was interrupted.

    The state of every other second lies in a folder named by a hash of all that decides how the training goes, so a
    killed training started again ends with the same weights, and a changed parameter begins another one. A finished
    training is only read back.

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
        Holds the folders of checkpoints.
    path : ndarray, shape (epochs,), optional
        β of every epoch of an annealing, where it is not the one that these spectra set.

    Raises
    ------
    ValueError
        If there are fewer than 16 spectra, or they do not vary.
    FloatingPointError
        If the loss is no longer finite.
    """
    _check(spectra, title)
    spectra, validation, watched = (x.astype("float32", copy=False) for x in (spectra, validation, watched))
    given = () if path is None else (path,)
    name = f"{title}-{configuration_hash(network, training, seed, spectra, drive, watched, *given)[:12]}"
    path = annealed_path(spectra, network.latents, training.epochs) if path is None else path
    starts = _Starts(network, training, spectra, drive, watched, validation, seed, title, folder / name, path)
    short = max(1, training.epochs // 4) if training.starts > 1 else training.epochs
    tried = [starts.fit(number, short) for number in range(training.starts)]
    best = int(np.argmin([np.mean(keep.history["loss"][max(0, short - JUDGED):short]) for keep in tried]))
    others_s = sum(keep.history["seconds"][short - 1] for n, keep in enumerate(tried) if n != best)
    keep = starts.fit(best, training.epochs) if training.starts > 1 else tried[0]
    history = {name: np.array(values) for name, values in keep.history.items()}
    history["seconds"] += others_s
    kept = keep.snapshots.kept
    kept.seconds = [seconds + others_s for seconds in kept.seconds]
    earlier_s = sum(keep.earlier_s for keep in tried)
    return Trained(starts.model, history, kept, training.shown, keep.checkpoints, earlier_s)


class _Starts:
    """One compiled network, trained from one or several random weights."""

    def __init__(self, network, training, spectra, drive, watched, validation, seed, title, folder, path):
        self.network, self.training, self.title, self.folder, self.path = network, training, title, folder, path
        self.spectra, self.watched, self.validation = spectra, watched, validation
        self.seeds = [seed + 2**16 * number for number in range(training.starts)]
        self.batch = batch_size(training, spectra)
        self.steps = len(spectra) // self.batch
        self.strategy = mirrored_strategy()
        weights = [build_beta_vae(network, drive, spectra.shape[-1], own).get_weights() for own in self.seeds[1:]]
        with self.strategy.scope() if self.strategy else nullcontext():
            self.model = build_beta_vae(network, drive, spectra.shape[-1], seed)
            # One call an epoch. XLA halves the time of the companion's network, which has no loops, but takes half a
            # minute for it: worth it where the training is long.
            long = training.epochs * self.steps > 2000 and not self.strategy
            compiled = long and isinstance(network, AdditiveNetwork)
            self.model.compile(
                optimizer(training, self.steps, replicas(self.strategy)), "mse", metrics=["mse"],
                steps_per_execution=1 if self.strategy else self.steps,
                jit_compile=compiled or keras.backend.backend() != "tensorflow")
            self.model.optimizer.build(self.model.trainable_variables)
        self.weights = [self.model.get_weights(), *weights]
        self.fitted = [0] * len(self.seeds)  # epochs, in this process

    def fit(self, number: int, until: int) -> KeepCheckpoint:
        """Train from the weights of one start, or from its last checkpoint, to the end of an epoch."""
        training, seed = self.training, self.seeds[number]
        several = f", start {number + 1} of {len(self.seeds)}" if until < training.epochs else ""
        place = self.folder if len(self.seeds) == 1 else self.folder.with_name(f"{self.folder.name}-{number + 1}")
        checkpoints = Checkpoints(place)
        schedule = ScheduledRegularisation(training, self.path)
        probe = self.spectra[:: -(-len(self.spectra) // PROBE_SPECTRA)]
        snapshots = KeepSnapshots(training, probe, self.watched, self.validation, checkpoints)
        restart = RestartSteps(training) if training.restart_steps else None
        keep = KeepCheckpoint(checkpoints, schedule, snapshots, restart)
        with self.strategy.scope() if self.strategy else nullcontext():
            self.model.set_weights(self.weights[number])
            for variable in self.model.optimizer.variables:
                if variable.name != "learning_rate":
                    variable.assign(np.zeros(variable.shape, variable.dtype))
            done = keep.go_on(self.model)
        if done > self.fitted[number]:
            print(f"{self.title}{several}: {min(done, until)} of {until} epochs are done already ({place.name})",
                  file=sys.stderr)
        if done < until:
            self.model.fit(
                feed(partial(epochs_of_batches, self.spectra, self.batch, seed, self.network.latents,
                              getattr(self.network, "input_noise", 0.0), done)),
                steps_per_epoch=self.steps, initial_epoch=done, epochs=until, shuffle=False, verbose=0,
                callbacks=[*([restart] if restart else []), schedule, snapshots, keep,
                           ProgressBar(until, self.title + several, done, snapshots)])
        self.fitted[number] = until
        return keep


def train_or_load(weights: str, network: PaperNetwork | AdditiveNetwork, training: Training, spectra: np.ndarray,
                  drive: np.ndarray, *, watched: np.ndarray, seed: int, title: str, **options) -> Trained:
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
        path = WEIGHTS_FOLDER / title.lower().replace(" ", "_")
        reason = mismatch(path, network, training, spectra, watched, seed)
        if not reason:
            print(f"{title}: weights trained in advance are used (data/weights/{path.name}.json says how); seconds are "
                  "those of that training")
            return read_back(path, network, training, drive, spectra.shape[-1])
        print(f"{title}: {reason}, so the network is trained here")
    return train(network, training, spectra, drive, watched=watched, seed=seed, title=title, **options)


def read_back(path: Path, network: PaperNetwork | AdditiveNetwork, training: Training, drive: np.ndarray,
              channels: int) -> Trained:
    """Read what `checkpoints.store` wrote; a ValueError if a file is missing, damaged, or of another network."""
    model = load_beta_vae(path.with_suffix(".weights.h5"), network, drive, channels)
    try:
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
            arrays = dict(stored)
        arrays["snapshot_embeddings"] = arrays["snapshot_embeddings"].astype("float32")
        snapshots = Snapshots()
        snapshots.restore(arrays)
    except DAMAGED as error:
        raise ValueError(f"{path.with_suffix('.npz')} is damaged ({error}): expected the course of a "
                         "training; fetch it again, or use WEIGHTS=train") from error
    history = {name.removeprefix("history_"): values for name, values in arrays.items() if name.startswith("history_")}
    return Trained(model, history, snapshots, training.shown, checkpoints=None)


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


def feed(epochs: Callable[[], Iterator]):
    """Batch after batch of epochs such as those of `epochs_of_batches`, for `fit`.

    TensorFlow takes a whole epoch at a time: asking Python for every batch takes half as long as a step.
    """
    if keras.backend.backend() != "tensorflow":
        return (keras.tree.map_structure(itemgetter(n), epoch)
                for epoch in epochs() for n in range(len(epoch[1])))
    import tensorflow as tf

    signature = keras.tree.map_structure(lambda array: tf.TensorSpec(array.shape, array.dtype), next(epochs()))
    return tf.data.Dataset.from_generator(epochs, output_signature=signature).unbatch()


def _check(spectra: np.ndarray, title: str) -> None:
    if len(spectra) < 2 * FEWEST_BATCHES:
        raise ValueError(f"{title}: {len(spectra)} spectra: expected {2 * FEWEST_BATCHES} or more; take a larger scan")
    if not np.isfinite(spectra).all():
        raise ValueError(f"{title}: some of the spectra are NaN or infinite: expected finite numbers; remove them")
    if np.ptp(spectra, axis=0).max() == 0:
        raise ValueError(f"{title}: all spectra are the same: expected some that differ; check the data")


def optimizer(training: Training, steps_per_epoch: int, replicas: int = 1) -> keras.optimizers.Optimizer:
    """Adam, or AdamW where weights decay; with several replicas each clips its part of the gradient."""
    options = {"use_ema": True, "ema_momentum": training.average} if training.average else {}
    options["global_clipnorm"] = training.clip_norm and training.clip_norm / replicas
    rate = training.learning_rate
    if training.cosine:
        steps = training.epochs * steps_per_epoch
        warm_up = max(1, int(WARM_UP * steps))
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, steps - warm_up, alpha=0.01, warmup_target=rate, warmup_steps=warm_up)
    if training.weight_decay:
        return keras.optimizers.AdamW(rate, weight_decay=training.weight_decay, **options)
    return keras.optimizers.Adam(rate, **options)
