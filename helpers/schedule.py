"""β, λ and latent noise through a training (paper, section 2)."""

from __future__ import annotations

import keras
import numpy as np

from helpers.inference import embedding_size, l1_layers
from helpers.profiles import Training


def scheduled_beta(training: Training, epoch: int, first_beta: float) -> float:
    """β of an epoch, once the first β is known (see `profiles.Training`)."""
    if epoch < training.priming:
        return 0.0
    if training.schedule == "staircase":
        steps = (epoch - training.priming) // training.step_epochs
        return first_beta + steps * training.beta_step
    held_from = 0.8 * training.epochs
    progress = (epoch - training.priming) / max(held_from - training.priming, 1)
    return first_beta * training.end ** min(progress, 1.0)


def linked_lambda(beta: float, latents: int) -> float:
    """λ = 1e-5 × 10^β with the paper's β, which averages KL over latents; 0 while β is 0.

    The paper's β stays below 1; the exponent is held at 1, beyond which λ would explode.
    """
    return 1e-5 * 10 ** min(beta * latents, 1.0) if beta else 0.0


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
        latents = self.model.get_layer("latents")
        self.beta = scheduled_beta(self.training, epoch, self.first_beta)
        latents.beta.assign(self.beta)
        latents.kl_sum.assign(np.zeros(2))
        latents.noise.state.assign(np.array([self.seed, epoch], "uint32"))
        for layer in l1_layers(self.model):
            layer.weight.assign(linked_lambda(self.beta, embedding_size(self.model)))

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
