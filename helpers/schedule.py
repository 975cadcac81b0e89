"""β, λ and latent noise through a training (paper, section 2)."""

from __future__ import annotations

import keras
import numpy as np

from helpers.checkpoints import numbered, unnumbered
from helpers.inference import embedding_size, l1_layers
from helpers.profiles import Training


def step_number(training: Training, epoch: int) -> int:
    """Which step of the staircase an epoch belongs to: 0 while priming, then 1, 2, …"""
    return 0 if epoch < training.priming else 1 + (epoch - training.priming) // training.step_epochs


def scheduled_beta(training: Training, epoch: int, first_beta: float, latents: int = 16) -> float:
    """β of an epoch, once the first β is known (see `profiles.Training`)."""
    if epoch < training.priming:
        return 0.0
    if training.schedule == "staircase":
        beta_step = training.beta_step / latents if training.kl_mean else training.beta_step
        return first_beta + (step_number(training, epoch) - 1) * beta_step
    held_from = 0.8 * training.epochs
    progress = (epoch - training.priming) / max(held_from - training.priming, 1)
    return first_beta * training.end ** min(progress, 1.0)


def linked_lambda(beta: float, latents: int) -> float:
    """λ = 1e-5 × 10^β with the paper's β, which averages KL over latents; 0 while β is 0.

    The paper's β stays below 1; the exponent is held at 1, beyond which λ would explode.
    """
    return _power_of_ten(beta * latents) if beta else 0.0


def scheduled_lambda(training: Training, epoch: int, first_beta: float, latents: int) -> float:
    """λ of an epoch, once the first β is known (see `profiles.Training`, `l1`)."""
    beta = scheduled_beta(training, epoch, first_beta, latents)
    if training.l1 == "set":
        return _power_of_ten(beta * latents)
    if training.l1 == "linked":
        return linked_lambda(beta, latents)
    total = 0.0
    for step in range(1, step_number(training, epoch) + 1):
        first_epoch = training.priming + (step - 1) * training.step_epochs
        beta = scheduled_beta(training, first_epoch, first_beta, latents)
        total += _power_of_ten(beta * latents * (step if training.l1 == "added_n" else 1))
    return total


def _power_of_ten(exponent: float) -> float:
    return 1e-5 * 10 ** min(exponent, 1.0)


def first_beta(mse: float, kl: float, share: float = 0.6) -> float:
    """β for which β·KL is `share` of MSE + β·KL (the paper's 60 % rule)."""
    return share / (1.0 - share) * mse / kl


class ScheduledRegularisation(keras.callbacks.Callback):
    """Set β, λ and the latent noise at the start of every epoch."""

    def __init__(self, training: Training, seed: int):
        super().__init__()
        self.training, self.seed, self.first_beta = training, seed, 0.0
        self.last = {"mse": 1.0, "kl": 1.0}

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        if epoch == self.training.priming:
            share = self.training.first_share
            self.first_beta = first_beta(self.last["mse"], self.last["kl"], share)
        latents, size = self.model.get_layer("latents"), embedding_size(self.model)
        self.beta = scheduled_beta(self.training, epoch, self.first_beta, size)
        latents.beta.assign(self.beta)
        latents.kl_sum.assign(np.zeros(2))
        latents.noise.state.assign(np.array([self.seed, epoch], "uint32"))
        for layer in l1_layers(self.model):
            layer.weight.assign(scheduled_lambda(self.training, epoch, self.first_beta, size))

    def on_train_batch_end(self, batch, logs=None):
        if not np.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"the loss became {logs['loss']} in epoch {self.epoch + 1}, batch {batch + 1}: "
                "expected finite values; check the spectra for outliers or lower the learning "
                "rate; the state after the epoch before is kept"
            )

    def on_epoch_end(self, epoch, logs=None):
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
                    variable.assign(keras.ops.zeros_like(variable))
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
