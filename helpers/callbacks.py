"""What is set, kept and shown while a network trains."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from helpers.backend import keras
from helpers.beta_vae import decode, embedding_size, encode, kl_divergence, part_layer
from helpers.checkpoints import Checkpoints, numbered, unnumbered
from helpers.profiles import Training
from helpers.schedule import first_beta, scheduled_lambda, staircase_beta, step_number
from helpers.scores import ACTIVE_KL_NAT, mean_squared_error_per_spectrum, plateau

WARM_UP = 0.05  # share of the steps in which the learning rate rises to its peak
SAVE_EVERY_S = 2.0  # a state is tens of MB, and an epoch takes a fraction of a second


class ScheduledRegularisation(keras.callbacks.Callback):
    """Set β, λ and the joint term at the start of every epoch.

    Parameters
    ----------
    path : ndarray, shape (epochs,)
        β of every epoch, where the schedule is an annealing.
    """

    def __init__(self, training: Training, path: np.ndarray):
        super().__init__()
        self.training, self.path = training, path
        self.first_beta = 0.0
        self.last = {"mse": 1.0, "kl": 1.0}

    def beta_of(self, epoch: int) -> float:
        """β of an epoch; the first of a staircase is set by the loss at the end of priming."""
        if self.training.schedule == "none":
            return 0.0
        if self.training.schedule == "annealing":
            return float(self.path[epoch])
        if epoch == self.training.priming:
            self.first_beta = first_beta(self.training, self.last["mse"], self.last["kl"], embedding_size(self.model))
        return staircase_beta(self.training, epoch, self.first_beta, embedding_size(self.model))

    def on_epoch_begin(self, epoch, logs=None):
        self.beta = self.beta_of(epoch)
        latents = self.model.get_layer("latents")
        latents.beta.assign(self.beta)
        latents.kl_sum.assign(np.zeros(2))
        for layer in part_layer(self.model, "joint"):
            layer.open.assign(float(epoch >= self.training.joint_from * self.training.epochs))
        if self.training.l1 != "none":
            for layer in part_layer(self.model, "embedding_l1"):
                layer.weight.assign(scheduled_lambda(self.training, epoch, self.first_beta, embedding_size(self.model)))

    def on_epoch_end(self, epoch, logs=None):
        if not np.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"the loss became {logs['loss']} in epoch {epoch + 1}: expected finite values; check the spectra for "
                "outliers or lower the learning rate; the last state kept stays")
        total, batches = keras.ops.convert_to_numpy(self.model.get_layer("latents").kl_sum)
        logs.update(kl=float(total / batches), beta=self.beta)
        self.last = logs

    def restore(self, first_beta: float, history: dict[str, list[float]]) -> None:
        """Go on from where `history` ends."""
        self.first_beta = first_beta
        self.last = {name: values[-1] for name, values in history.items()}


class RestartSteps(keras.callbacks.Callback):
    """Begin every step with a new Adam, at the best weights of the step before (original code).

    Best are those after the epoch with the lowest training loss; priming is the step before
    the first. Comes before `ScheduledRegularisation`, which sets what depends on the epoch.
    """

    def __init__(self, training: Training):
        super().__init__()
        self.training, self.lowest = training, np.inf
        self.best: list[np.ndarray] = []

    def on_epoch_begin(self, epoch, logs=None):
        if self.best and step_number(self.training, epoch) > step_number(self.training, epoch - 1):
            self.model.set_weights(self.best)
            for variable in self.model.optimizer.variables:
                if variable.name != "learning_rate":
                    variable.assign(np.zeros(variable.shape, variable.dtype))
            self.lowest = np.inf

    def on_epoch_end(self, epoch, logs=None):
        if logs["loss"] < self.lowest:
            self.lowest = logs["loss"]
            self.best = self.model.get_weights()

    def state(self) -> dict[str, np.ndarray]:
        """All that is needed to go on."""
        return {"lowest": np.array(self.lowest), **numbered("best", self.best)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Undo `state`."""
        self.lowest, self.best = float(state["lowest"]), unnumbered("best", state)


@dataclass
class Snapshots:
    """What was kept at some epochs of a training; lists run over the snapshots.

    `embeddings` holds posterior means (n_watched, latents), `kl` the mean KL of each
    latent (latents,), `mse` the error of posterior-mean reconstructions on a fixed
    part of the training spectra, `validation_mse` that on the spectra held out.
    """

    epochs: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    beta: list[float] = field(default_factory=list)
    mse: list[float] = field(default_factory=list)
    validation_mse: list[float] = field(default_factory=list)
    kl: list[np.ndarray] = field(default_factory=list)
    embeddings: list[np.ndarray] = field(default_factory=list)

    @property
    def active(self) -> np.ndarray:
        """Number of channels whose mean KL exceeds 0.1 nat, at each snapshot."""
        return (np.array(self.kl) > ACTIVE_KL_NAT).sum(axis=1)

    @property
    def found(self) -> int:
        """Number of channels on the plateau of the path of β (see `scores.plateau`)."""
        return plateau(np.array(self.beta), self.active)[0]

    @property
    def plateau_decades(self) -> float:
        """Width of that plateau in decades of β."""
        return plateau(np.array(self.beta), self.active)[1]

    def choose(self, shown: int | None) -> int:
        """Index of the snapshot that is shown.

        The rule: of the snapshots whose number of active channels is nearest to `shown`, or to
        the number found, the one with the lowest error on training spectra. Where there are others, those
        with β = 0 do not count, nor those with a channel within a factor of 2 of the 0.1 nat that make it active.
        """
        beta, kl = np.array(self.beta), np.array(self.kl)
        counted = beta > 0 if beta.any() else np.ones(len(beta), bool)
        distance = np.where(counted, np.abs(self.active - (shown or self.found)), np.inf)
        decided = ~((kl > ACTIVE_KL_NAT / 2) & (kl < 2 * ACTIVE_KL_NAT)).any(axis=1)
        nearest = distance == distance.min()
        nearest = nearest & decided if (nearest & decided).any() else nearest
        return int(np.argmin(np.where(nearest, self.mse, np.inf)))

    def arrays(self) -> dict[str, np.ndarray]:
        """Every list as one array ``snapshot_<name>``."""
        return {f"snapshot_{name}": np.array(values) for name, values in vars(self).items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Undo `arrays`: plain numbers again, and one array per snapshot."""
        for name in vars(self):
            values = arrays[f"snapshot_{name}"]
            setattr(self, name, values.tolist() if values.ndim == 1 else list(values))


class KeepSnapshots(keras.callbacks.Callback):
    """Keep embeddings, KL, errors and weights at evenly spaced epochs."""

    def __init__(self, training: Training, probe: np.ndarray, watched: np.ndarray, validation: np.ndarray,
                 checkpoints: Checkpoints):
        super().__init__()
        count = min(training.snapshots, training.epochs)
        self.averaged_from = WARM_UP * training.epochs if training.average else None
        self.at = set(np.linspace(0, training.epochs - 1, count).round().astype(int))
        self.judged = np.concatenate([probe, validation])
        self.probe, self.watched, self.checkpoints = len(probe), watched, checkpoints
        self.kept = Snapshots()

    def on_epoch_end(self, epoch, logs=None):
        if epoch not in self.at:
            return
        own = [keras.ops.convert_to_numpy(variable) for variable in self.model.trainable_variables]
        if self.averaged_from is not None and epoch >= self.averaged_from:
            self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        self.keep(epoch, logs)
        for variable, values in zip(self.model.trainable_variables, own, strict=True):
            variable.assign(values)

    def keep(self, epoch: int, logs: dict[str, float]) -> None:
        """Judge and keep the weights that the model has."""
        kept = self.kept
        kept.epochs.append(epoch + 1)
        kept.beta.append(logs["beta"])
        mean, log_variance = encode(self.model, np.concatenate([self.judged, self.watched]))
        judged = len(self.judged)
        errors = mean_squared_error_per_spectrum(self.judged, decode(self.model, mean[:judged]))
        kept.mse.append(float(errors[: self.probe].mean()))
        kept.validation_mse.append(float(errors[self.probe :].mean()))
        kl = keras.ops.convert_to_numpy(kl_divergence(mean[: self.probe], log_variance[: self.probe]))
        kept.kl.append(kl.mean(axis=0))
        kept.embeddings.append(mean[judged:])
        self.checkpoints.save_snapshot(epoch + 1, self.model.get_weights())


class KeepCheckpoint(keras.callbacks.Callback):
    """Keep the history, and every other second and at the end all that is needed to go on from there."""

    def __init__(self, checkpoints: Checkpoints, schedule: ScheduledRegularisation, snapshots: KeepSnapshots,
                 restart: RestartSteps | None):
        super().__init__()
        self.checkpoints, self.schedule, self.snapshots, self.restart = checkpoints, schedule, snapshots, restart
        self.started = self.saved = time.perf_counter()
        self.earlier_s = 0.0  # that another process spent on it
        self.history: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.started
        for name, value in {**logs, "seconds": seconds}.items():
            self.history.setdefault(name, []).append(float(value))
        kept = self.snapshots.kept
        kept.seconds += [seconds] * (len(kept.epochs) - len(kept.seconds))
        if time.perf_counter() - self.saved >= SAVE_EVERY_S or epoch + 1 == self.params["epochs"]:
            self.save(epoch + 1)
            self.saved = time.perf_counter()

    def save(self, done: int) -> None:
        """Write the state after so many epochs."""
        self.checkpoints.save(done, {
            "epochs_done": np.array(done),
            "first_beta": np.array(self.schedule.first_beta),
            **{f"history_{name}": np.array(values) for name, values in self.history.items()},
            **self.snapshots.kept.arrays(),
            **(self.restart.state() if self.restart else {}),
            **numbered("variable", self.model.variables),
            **numbered("optimizer", self.model.optimizer.variables),
        })

    def go_on(self, model: keras.Model) -> int:
        """Restore the last checkpoint, if there is one; returns the epochs done."""
        state = self.checkpoints.load()
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
        self.earlier_s = self.history["seconds"][-1]
        self.started -= self.earlier_s
        return int(state["epochs_done"])


class ProgressBar(keras.callbacks.Callback):
    """One bar over the epochs with loss, MSE, KL, β and the active channels of the last snapshot."""

    def __init__(self, epochs: int, title: str, done: int, snapshots: KeepSnapshots):
        super().__init__()
        self.snapshots, self.compiled = snapshots, False
        self.bar = tqdm(total=epochs, initial=done, desc=title, unit="epoch", mininterval=1.0)

    def on_epoch_end(self, epoch, logs=None):
        shown = {name: f"{logs[name]:.3g}" for name in ("loss", "mse", "kl", "beta")}
        self.bar.set_postfix(shown | {"active": self.snapshots.kept.active[-1]}, refresh=False)
        if self.compiled:
            self.bar.update()
            return
        self.compiled = True
        # The first epoch compiles the model and is left out of the time per epoch.
        self.bar.initial = self.bar.n = self.bar.last_print_n = self.bar.n + 1
        self.bar.start_t = self.bar.last_print_t = time.time()
        self.bar.refresh()

    def on_train_end(self, logs=None):
        self.bar.close()
