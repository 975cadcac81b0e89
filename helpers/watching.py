"""Callbacks that look on while a network trains."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import keras
import numpy as np
from tqdm import tqdm

from helpers.inference import ACTIVE_KL_NAT, encode, mean_kl, reconstruct
from helpers.profiles import Training


@dataclass
class Snapshots:
    """What was kept at some epochs of a training; lists run over the snapshots.

    `embeddings` holds posterior means (n_watched, latents), `kl` the mean KL of each
    latent (latents,), `mse` the error of posterior-mean reconstructions on a fixed
    part of the training spectra.
    """

    epochs: list[int] = field(default_factory=list)
    beta: list[float] = field(default_factory=list)
    mse: list[float] = field(default_factory=list)
    kl: list[np.ndarray] = field(default_factory=list)
    embeddings: list[np.ndarray] = field(default_factory=list)
    weights: list[list[np.ndarray]] = field(default_factory=list)

    @property
    def active(self) -> np.ndarray:
        """Number of channels whose mean KL exceeds 0.1 nat, at each snapshot."""
        return (np.array(self.kl) > ACTIVE_KL_NAT).sum(axis=1)

    def choose(self, wanted_active: int) -> int:
        """Index of the snapshot that is shown.

        The rule: of the snapshots whose number of active channels is nearest to the
        wanted number, the one with the lowest error on training spectra.
        """
        distance = np.abs(self.active - wanted_active)
        nearest = np.flatnonzero(distance == distance.min())
        return int(nearest[np.argmin(np.array(self.mse)[nearest])])


class KeepSnapshots(keras.callbacks.Callback):
    """Keep embeddings, KL, error and weights at evenly spaced epochs."""

    def __init__(self, training: Training, probe: np.ndarray, watched: np.ndarray):
        super().__init__()
        count = min(training.snapshots, training.epochs)
        self.at = set(np.linspace(0, training.epochs - 1, count).round().astype(int))
        self.probe, self.watched = probe, watched
        self.kept = Snapshots()

    def on_epoch_end(self, epoch, logs=None):
        if epoch not in self.at:
            return
        error = reconstruct(self.model, self.probe) - self.probe
        kept = self.kept
        kept.epochs.append(epoch + 1)
        kept.beta.append(logs["beta"])
        kept.mse.append(float(np.mean(error**2)))
        kept.kl.append(mean_kl(self.model, self.probe))
        kept.embeddings.append(encode(self.model, self.watched)[0])
        kept.weights.append(self.model.get_weights())


class ProgressBar(keras.callbacks.Callback):
    """One bar over the epochs with loss, MSE, KL and β."""

    def __init__(self, epochs: int, title: str):
        super().__init__()
        self.bar = tqdm(total=epochs, desc=title, unit="epoch", mininterval=1.0)

    def on_epoch_end(self, epoch, logs=None):
        shown = {name: f"{logs[name]:.3g}" for name in ("loss", "mse", "kl", "beta")}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()

    def on_train_end(self, logs=None):
        self.bar.close()


class TimeToReach(keras.callbacks.Callback):
    """Seconds until the error on `spectra` is at most `mse`, looked at once an epoch."""

    def __init__(self, spectra: np.ndarray, mse: float):
        super().__init__()
        self.spectra, self.mse, self.started = spectra, mse, time.perf_counter()
        self.seconds = float("nan")

    def on_epoch_end(self, epoch, logs=None):
        if np.isfinite(self.seconds):
            return
        error = reconstruct(self.model, self.spectra) - self.spectra
        if np.mean(error**2) <= self.mse:
            self.seconds = time.perf_counter() - self.started
