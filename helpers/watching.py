"""Callbacks that look on while a network trains, and keep what is needed later."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import keras
import numpy as np
from tqdm import tqdm

from helpers.checkpoints import Checkpoints, numbered, unnumbered
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

    @property
    def active(self) -> np.ndarray:
        """Number of channels whose mean KL exceeds 0.1 nat, at each snapshot."""
        return (np.array(self.kl) > ACTIVE_KL_NAT).sum(axis=1)

    def choose(self, found: int) -> int:
        """Index of the snapshot that is shown.

        The rule: of the snapshots whose number of active channels is nearest to the
        number found, the one with the lowest error on training spectra.
        """
        distance = np.abs(self.active - found)
        nearest = np.flatnonzero(distance == distance.min())
        return int(nearest[np.argmin(np.array(self.mse)[nearest])])

    def arrays(self) -> dict[str, np.ndarray]:
        """Every list as one array ``snapshot_<name>``."""
        return {f"snapshot_{name}": np.array(values) for name, values in vars(self).items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Undo `arrays`: plain numbers again, and one array per snapshot."""
        for name in vars(self):
            values = arrays[f"snapshot_{name}"]
            setattr(self, name, values.tolist() if values.ndim == 1 else list(values))


class KeepSnapshots(keras.callbacks.Callback):
    """Keep embeddings, KL, error and weights at evenly spaced epochs."""

    def __init__(self, training: Training, probe: np.ndarray, watched: np.ndarray,
                 checkpoints: Checkpoints):
        super().__init__()
        count = min(training.snapshots, training.epochs)
        self.at = set(np.linspace(0, training.epochs - 1, count).round().astype(int))
        self.probe, self.watched, self.checkpoints = probe, watched, checkpoints
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
        self.checkpoints.save_snapshot(epoch + 1, self.model.get_weights())


class KeepCheckpoint(keras.callbacks.Callback):
    """Keep the history, and after every epoch all that is needed to go on from there."""

    def __init__(self, checkpoints: Checkpoints, schedule, snapshots: KeepSnapshots, started: float,
                 restart=None):
        super().__init__()
        self.checkpoints, self.schedule, self.snapshots = checkpoints, schedule, snapshots
        self.restart = restart
        self.started = started
        self.history: dict[str, list[float]] = {}
        self.coordinate_errors = np.array([])
        self.start_mse = self.start_seconds = np.nan

    def on_epoch_end(self, epoch, logs=None):
        for name, value in {**logs, "seconds": time.perf_counter() - self.started}.items():
            self.history.setdefault(name, []).append(float(value))
        self.checkpoints.save(epoch + 1, {
            "epochs_done": np.array(epoch + 1),
            "first_beta": np.array(self.schedule.first_beta),
            "coordinate_errors": self.coordinate_errors,
            "start": np.array([self.start_mse, self.start_seconds]),
            **{f"history_{name}": np.array(values) for name, values in self.history.items()},
            **self.snapshots.kept.arrays(),
            **(self.restart.state() if self.restart else {}),
            **numbered("variable", self.model.variables),
            **numbered("optimizer", self.model.optimizer.variables),
        })

    def go_on(self, model: keras.Model) -> int:
        """Restore the last checkpoint, if there is one; returns the epochs done."""
        state = self.checkpoints.load()
        model.optimizer.build(model.trainable_variables)
        if state is None:
            return 0
        for variables, name in ((model.variables, "variable"), (model.optimizer.variables, "optimizer")):
            for variable, value in zip(variables, unnumbered(name, state), strict=True):
                variable.assign(value)
        self.history = {name.removeprefix("history_"): list(values)
                        for name, values in state.items() if name.startswith("history_")}
        self.schedule.restore(float(state["first_beta"]), self.history)
        self.snapshots.kept.restore(state)
        if self.restart:
            self.restart.restore(state)
        self.coordinate_errors = state["coordinate_errors"]
        self.start_mse, self.start_seconds = map(float, state["start"])
        self.started -= self.history["seconds"][-1]
        return int(state["epochs_done"])


class ProgressBar(keras.callbacks.Callback):
    """One bar over the epochs with loss, MSE, KL, β and the active channels of the last snapshot."""

    def __init__(self, epochs: int, title: str, done: int, snapshots: KeepSnapshots):
        super().__init__()
        self.snapshots = snapshots
        self.bar = tqdm(total=epochs, initial=done, desc=title, unit="epoch", mininterval=1.0)

    def on_epoch_end(self, epoch, logs=None):
        shown = {name: f"{logs[name]:.3g}" for name in ("loss", "mse", "kl", "beta")}
        self.bar.set_postfix(shown | {"active": self.snapshots.kept.active[-1]}, refresh=False)
        self.bar.update()

    def on_train_end(self, logs=None):
        self.bar.close()
