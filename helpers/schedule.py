"""β and λ as functions of the epoch (paper, section 2)."""

from __future__ import annotations

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
