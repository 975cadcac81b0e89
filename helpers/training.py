"""Training of the β-VAE with scheduled regularisation (paper, section 2)."""

from __future__ import annotations

import time
from dataclasses import dataclass

import keras
import numpy as np

from helpers.models import build_beta_vae, start_from_pca
from helpers.profiles import Network, Training
from helpers.schedule import ScheduledRegularisation
from helpers.watching import KeepSnapshots, ProgressBar, Snapshots

PROBE_SPECTRA = 2000


@dataclass
class Trained:
    """A trained model, its history per epoch, its snapshots and which of them is shown."""

    model: keras.Model
    history: dict[str, np.ndarray]
    snapshots: Snapshots
    chosen: int
    first_beta: float
    seconds: float

    def restore_chosen(self) -> None:
        """Give the model the weights of the chosen snapshot."""
        self.model.set_weights(self.snapshots.weights[self.chosen])

    def arrays(self) -> dict[str, np.ndarray]:
        """History as ``history_…`` and snapshots as ``snapshot_…``, ready to be stored."""
        history = {f"history_{name}": values for name, values in self.history.items()}
        kept = ("epochs", "beta", "mse", "kl", "embeddings")
        snapshots = {f"snapshot_{name}": np.array(getattr(self.snapshots, name)) for name in kept}
        return {**history, **snapshots, "first_beta": np.array(self.first_beta)}


class ShuffledSpectra(keras.utils.PyDataset):
    """Batches whose order is a function of (seed, epoch) alone."""

    def __init__(self, spectra: np.ndarray, batch: int, seed: int):
        super().__init__()
        self.spectra, self.batch, self.seed = spectra, batch, seed
        self.start_epoch(0)

    def __len__(self):
        return -(-len(self.spectra) // self.batch)

    def __getitem__(self, index):
        chosen = self.order[index * self.batch : (index + 1) * self.batch]
        return self.spectra[chosen], self.spectra[chosen]

    def start_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.order = np.random.default_rng((self.seed, epoch)).permutation(len(self.spectra))

    def on_epoch_end(self):
        self.start_epoch(self.epoch + 1)


def train(network: Network, training: Training, spectra: np.ndarray, drive: np.ndarray,
          watched: np.ndarray, seed: int, title: str,
          callbacks: tuple[keras.callbacks.Callback, ...] = ()) -> Trained:
    """Train a β-VAE and keep snapshots on the way.

    Parameters
    ----------
    spectra : ndarray, shape (n, steps, channels)
        Standardised training spectra.
    drive : ndarray, shape (steps, drive channels)
        Known drive of each step.
    watched : ndarray, shape (n_watched, steps, channels)
        Spectra whose embeddings the snapshots keep: the painting, or every pixel.
    seed : int
        Of weights, latent noise and order.

    Raises
    ------
    ValueError
        If there are fewer spectra than a batch.
    FloatingPointError
        If the loss is no longer finite.
    """
    if len(spectra) < training.batch:
        raise ValueError(f"{title}: {len(spectra)} spectra are fewer than a batch of "
                         f"{training.batch}: expected more; lower `batch` in the profile")
    started = time.perf_counter()
    model = build_beta_vae(network, drive, spectra.shape[-1], seed)
    if network.linear_path:
        start_from_pca(model, spectra, training.wanted_active)
    batches = ShuffledSpectra(spectra.astype("float32"), training.batch, seed)
    model.compile(_optimizer(training, len(batches)), "mse", metrics=["mse"])
    probe = batches.spectra[:: -(-len(spectra) // PROBE_SPECTRA)]
    schedule = ScheduledRegularisation(training, probe, seed)
    snapshots = KeepSnapshots(training, probe, watched.astype("float32"))
    bar = ProgressBar(training.epochs, title)
    history = model.fit(batches, epochs=training.epochs, verbose=0,
                        callbacks=[schedule, snapshots, bar, *callbacks]).history
    seconds = time.perf_counter() - started
    history = {name: np.array(values) for name, values in history.items()}
    chosen = snapshots.kept.choose(training.wanted_active)
    return Trained(model, history, snapshots.kept, chosen, schedule.first_beta, seconds)


def _optimizer(training: Training, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    rate = training.learning_rate
    if training.cosine:
        steps = training.epochs * steps_per_epoch
        warm_up = max(1, steps // 20)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, steps - warm_up, alpha=0.01, warmup_target=rate, warmup_steps=warm_up)
    return keras.optimizers.Adam(rate, global_clipnorm=training.clip_norm)
