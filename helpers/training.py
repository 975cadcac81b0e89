"""Training of the β-VAE with scheduled regularisation (paper, section 2)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import keras
import numpy as np
from tqdm.auto import tqdm

from helpers.models import build_beta_vae, kl_divergence
from helpers.profiles import Network, Training

ACTIVE_KL_NAT = 0.1
PREDICTION_BATCH = 1000


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


@dataclass
class Trained:
    """A trained model, its history per epoch and its snapshots."""

    model: keras.Model
    history: dict[str, np.ndarray]
    snapshots: Snapshots
    first_beta: float
    seconds: float


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


def scheduled_beta(training: Training, epoch: int, first_beta: float) -> float:
    """β of an epoch, once the first β is known (see `profiles.Training`)."""
    if epoch < training.priming:
        return 0.0
    if training.schedule == "staircase":
        steps = (epoch - training.priming) // training.step_epochs
        return first_beta + steps * training.beta_step
    held_from = 0.8 * training.epochs
    progress = (epoch - training.priming) / max(held_from - training.priming, 1)
    return first_beta * training.peak * (training.end / training.peak) ** min(progress, 1.0)


def linked_lambda(beta: float, latents: int) -> float:
    """λ = 1e-5 × 10^β with the paper's β, which averages KL over latents; 0 while β is 0."""
    return 1e-5 * 10 ** (beta * latents) if beta else 0.0


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
        if epoch == self.training.priming:
            share = self.training.first_share
            self.first_beta = first_beta(self.last["mse"], self.last["kl"], share)
        latents = self.model.get_layer("latents")
        self.beta = scheduled_beta(self.training, epoch, self.first_beta)
        latents.beta.assign(self.beta)
        latents.noise.state.assign(np.array([self.seed, epoch], "uint32"))
        for layer in l1_layers(self.model):
            layer.weight.assign(linked_lambda(self.beta, embedding_size(self.model)))

    def on_epoch_end(self, epoch, logs=None):
        self.last = logs
        if not np.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"the loss became {logs['loss']} in epoch {epoch}: expected finite values; "
                "check the spectra for outliers or lower the learning rate"
            )
        logs["beta"] = self.beta


class KeepSnapshots(keras.callbacks.Callback):
    """Keep embeddings, KL, error and weights at evenly spaced epochs."""

    def __init__(self, training: Training, spectra: np.ndarray, watched: np.ndarray):
        super().__init__()
        count = min(training.snapshots, training.epochs)
        self.at = set(np.linspace(0, training.epochs - 1, count).round().astype(int))
        self.probe, self.watched = spectra[:: max(1, len(spectra) // 2000)], watched
        self.kept = Snapshots()

    def on_epoch_end(self, epoch, logs=None):
        if epoch not in self.at:
            return
        mean, log_variance = encode(self.model, self.probe)
        error = decode(self.model, mean) - self.probe
        kept = self.kept
        kept.epochs.append(epoch + 1)
        kept.beta.append(logs["beta"])
        kept.mse.append(float(np.mean(error**2)))
        kept.kl.append(np.asarray(kl_divergence(mean, log_variance)).mean(axis=0))
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
    batches = ShuffledSpectra(spectra.astype("float32"), training.batch, seed)
    model.compile(_optimizer(training, len(batches)), "mse", metrics=["mse"])
    schedule = ScheduledRegularisation(training, seed)
    snapshots = KeepSnapshots(training, batches.spectra, watched.astype("float32"))
    bar = ProgressBar(training.epochs, title)
    history = model.fit(batches, epochs=training.epochs, verbose=0,
                        callbacks=[schedule, snapshots, bar, *callbacks]).history
    seconds = time.perf_counter() - started
    history = {name: np.array(values) for name, values in history.items()}
    return Trained(model, history, snapshots.kept, schedule.first_beta, seconds)


def _optimizer(training: Training, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    rate = training.learning_rate
    if training.cosine:
        steps = training.epochs * steps_per_epoch
        warm_up = max(1, steps // 20)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, steps - warm_up, alpha=0.01, warmup_target=rate, warmup_steps=warm_up)
    return keras.optimizers.Adam(rate, global_clipnorm=training.clip_norm)


def l1_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The L1 penalties of encoder and decoder."""
    parts = (model.get_layer("encoder"), model.get_layer("decoder"))
    return [layer for part in parts for layer in part.layers if layer.name == "embedding_l1"]


def embedding_size(model: keras.Model) -> int:
    """Number of latents."""
    return model.get_layer("decoder").input_shape[-1]


def encode(model: keras.Model, spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and log variance, (n, latents) each; the mean is the embedding."""
    encoder = model.get_layer("encoder")
    return encoder.predict(spectra, batch_size=PREDICTION_BATCH, verbose=0)


def decode(model: keras.Model, latents: np.ndarray) -> np.ndarray:
    """Spectra (n, steps, channels) generated from latents (n, latents)."""
    decoder = model.get_layer("decoder")
    return decoder.predict(latents, batch_size=PREDICTION_BATCH, verbose=0)


def reconstruct(model: keras.Model, spectra: np.ndarray) -> np.ndarray:
    """Spectra decoded from their own posterior means."""
    return decode(model, encode(model, spectra)[0])
