"""The LSTM β-variational autoencoder of the paper (Figure 3) as a Keras 3 model.

Only `keras` and `keras.ops` are used, so any Keras backend trains it.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from helpers.backend import keras, layers, ops
from helpers.profiles import Network
from helpers.scores import ACTIVE_KL_NAT

# TensorFlow warns of a new trace for each size of a last batch; three are expected here.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

PREDICTION_BATCH = 1000


@keras.saving.register_keras_serializable("companion")
class GaussianLatents(layers.Layer):
    """Sample z ~ N(mean, exp(log_variance)) of the open channels and add β·KL to the loss.

    KL is summed over latents and averaged over the batch. The original code averages
    it over latents too: its β is this β divided by the number of latents (16).
    Outside training the posterior mean is returned, so embeddings and
    reconstructions are deterministic. A channel whose entry of `open` is 0 passes nothing on.
    """

    def __init__(self, seed: int = 0, **keras_options):
        super().__init__(**keras_options)
        self.seed = seed
        self.noise = keras.random.SeedGenerator(seed)

    def build(self, input_shapes):
        self.beta = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="beta"
        )
        self.open = self.add_weight(
            shape=input_shapes[0][1:], initializer="ones", trainable=False, name="open"
        )
        # Sum of KL over the batches of an epoch, and their number. Not a Keras metric: with
        # JAX a layer can only change its own weights. Each of several devices keeps its own sum, and
        # reading adds them up: adding at once would interrupt the devices within a call.
        self.kl_sum = keras.Variable(np.zeros(2, "float32"), trainable=False, name="kl_sum",
                                     aggregation="sum", synchronization="on_read")

    def call(self, inputs, training=False):
        mean, log_variance = inputs[0] * self.open, inputs[1] * self.open
        kl = ops.mean(ops.sum(kl_divergence(mean, log_variance), axis=-1))
        self.add_loss(self.beta * kl)
        if not training:
            return mean
        self.kl_sum.assign_add(ops.stack([kl, ops.ones_like(kl)]))
        noise = keras.random.normal(ops.shape(mean), seed=self.noise)
        return mean + ops.exp(0.5 * log_variance) * noise * self.open

    def get_config(self):
        return super().get_config() | {"seed": self.seed}


@keras.saving.register_keras_serializable("companion")
class L1Activity(layers.Layer):
    """Pass the input on and add λ·Σ|a| (mean over the batch) to the loss."""

    def build(self, input_shape):
        self.weight = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="lambda"
        )

    def call(self, inputs):
        self.add_loss(self.weight * ops.mean(ops.sum(ops.abs(inputs), axis=-1)))
        return inputs


def kl_divergence(mean, log_variance):
    """KL[N(mean, exp(log_variance)) ‖ N(0, 1)] of each spectrum and latent, in nat.

    Shapes (..., n_latents) in and out; closed form −½(1 + log σ² − µ² − σ²).
    """
    return -0.5 * (1.0 + log_variance - ops.square(mean) - ops.exp(log_variance))


def _recurrent_block(x, network: Network, name: str):
    """Two bidirectional LSTM layers with a shortcut around them (paper, Figure 3).

    One input channel broadcasts over the units, as in the original code; another number
    that differs from the units is projected first.
    """
    shortcut = x
    if x.shape[-1] not in (1, 2 * network.units):
        shortcut = layers.Dense(2 * network.units, name=f"{name}_shortcut")(x)
    for i in (1, 2):
        lstm = layers.LSTM(network.units, return_sequences=True, dropout=network.dropout)
        x = layers.Bidirectional(lstm, name=f"{name}_bilstm{i}")(x)
        x = layers.Activation("relu", name=f"{name}_relu{i}")(x)
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    if network.normalise:
        x = layers.LayerNormalization(axis=1, name=f"{name}_norm")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)


@keras.saving.register_keras_serializable("companion")
class AppendDrive(layers.Layer):
    """Append the known drive (time or voltage and its direction) to every spectrum.

    (batch, steps, channels) becomes (batch, steps, channels + drive channels).
    """

    def __init__(self, drive, **keras_options):
        super().__init__(**keras_options)
        self.drive = np.asarray(drive, "float32")

    def call(self, inputs):
        drive = ops.broadcast_to(self.drive, (ops.shape(inputs)[0], *self.drive.shape))
        return ops.concatenate([inputs, drive], axis=-1)

    def get_config(self):
        return super().get_config() | {"drive": self.drive.tolist()}


def build_encoder(network: Network, drive: np.ndarray, channels: int) -> keras.Model:
    """Spectra (n, steps, channels) to posterior mean and log variance (n, latents) each.

    Source: paper, Figure 3 and section 2. `drive` has shape (steps, drive channels) and
    is used where ``network.drive_input`` is set.
    """
    spectra = x = keras.Input((len(drive), channels), name="spectra")
    if network.interleave:
        x = layers.Reshape((len(drive) * channels, 1), name="interleaved")(x)
    if network.drive_input:
        x = AppendDrive(drive, name="with_drive")(x)
    for block in range(network.blocks):
        x = _recurrent_block(x, network, f"block{block + 1}")
    x = layers.Bidirectional(layers.LSTM(network.units), name="last_step")(x)
    if network.paper_embedding:
        x = _paper_embedding(x, network)
    mean = layers.Dense(network.latents, name="mean")(x)
    log_variance = layers.Dense(network.latents, name="log_variance")(x)
    if network.linear_path:
        linear = layers.Dense(network.latents, name="linear_path")
        mean = layers.Add(name="mean_sum")([mean, linear(layers.Flatten()(spectra))])
    return keras.Model(spectra, [mean, log_variance], name="encoder")


def _paper_embedding(x, network: Network):
    """Dense layer before the two latent layers (original code)."""
    if network.normalise:
        x = layers.BatchNormalization(name="embedding_norm")(x)
    x = layers.Activation("relu", name="last_step_relu")(x)
    x = layers.Dense(network.latents, activation="relu", name="embedding")(x)
    return L1Activity(name="embedding_l1")(x) if network.l1_before_latents else x


def build_decoder(network: Network, drive: np.ndarray, channels: int) -> keras.Model:
    """Latents (n, latents) to spectra (n, steps, channels). Source: paper, Figure 3."""
    latents = x = keras.Input((network.latents,), name="latents")
    x = layers.Dense(network.latents, activation="relu" if network.paper_embedding else None,
                     name="embedding")(x)
    x = L1Activity(name="embedding_l1")(x)
    x = layers.RepeatVector(len(drive), name="repeat")(x)
    if network.drive_input:
        x = AppendDrive(drive, name="with_drive")(x)
    first = layers.LSTM(network.units, return_sequences=True)
    x = layers.Bidirectional(first, name="first_bilstm")(x)
    if network.paper_embedding:
        x = layers.Activation("relu", name="first_relu")(x)
    for block in range(network.blocks):
        x = _recurrent_block(x, network, f"block{block + 1}")
    if network.normalise:
        x = layers.LayerNormalization(axis=1, name="norm")(x)
    x = layers.Dense(channels, name="spectra")(x)
    if network.linear_path:
        linear = layers.Dense(len(drive) * channels, name="linear_path")(latents)
        x = layers.Add(name="sum")([x, layers.Reshape((len(drive), channels))(linear)])
    return keras.Model(latents, x, name="decoder")


def build_beta_vae(network: Network, drive: np.ndarray, channels: int, seed: int) -> keras.Model:
    """Encoder, Gaussian latents and decoder as one model that reconstructs its input.

    Parameters
    ----------
    network : Network
        Sizes and options, from the profile.
    drive : ndarray, shape (steps, drive channels)
        Known drive of each step, scaled to about [-1, 1].
    channels : int
        Measured channels: 1 for the toy, 2 (piezoresponse, resonance) for BEPS.
    seed : int
        Of the initial weights and the latent noise.
    """
    keras.utils.set_random_seed(seed)
    encoder = build_encoder(network, drive, channels)
    decoder = build_decoder(network, drive, channels)
    mean, log_variance = encoder(encoder.input)
    latents = GaussianLatents(seed, name="latents")([mean, log_variance])
    return keras.Model(encoder.input, decoder(latents), name="beta_vae")


def load_beta_vae(path: Path, network: Network, drive: np.ndarray, channels: int) -> keras.Model:
    """Rebuild a network (see `build_beta_vae`) and load its stored weights.

    Raises
    ------
    ValueError
        If the weights belong to a network of other sizes.
    """
    model = build_beta_vae(network, drive, channels, seed=0)
    try:
        model.load_weights(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} does not hold the weights of this network ({error}): expected "
                         "those of the same profile; run notebook 3 again") from error
    return model


def l1_layers(model: keras.Model) -> list[layers.Layer]:
    """The L1 penalties of encoder and decoder."""
    parts = (model.get_layer("encoder"), model.get_layer("decoder"))
    return [layer for part in parts for layer in part.layers if layer.name == "embedding_l1"]


def parameter_count(model: keras.Model) -> int:
    """Trained numbers of the network."""
    return int(sum(np.prod(weights.shape) for weights in model.trainable_weights))


def embedding_size(model: keras.Model) -> int:
    """Number of latents."""
    return model.get_layer("decoder").input_shape[-1]


def encode(model: keras.Model, spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and log variance, (n, latents) each; the mean is the embedding.

    Closed channels carry the prior: mean 0 and log variance 0.
    """
    open_channels = ops.convert_to_numpy(model.get_layer("latents").open)
    encoder = model.get_layer("encoder")
    mean, log_variance = encoder.predict(spectra, batch_size=PREDICTION_BATCH, verbose=0)
    return mean * open_channels, log_variance * open_channels


def mean_kl(model: keras.Model, spectra: np.ndarray) -> np.ndarray:
    """KL of each latent averaged over the spectra (nat), shape (latents,)."""
    return ops.convert_to_numpy(kl_divergence(*encode(model, spectra))).mean(axis=0)


def active_channels(kl: np.ndarray) -> list[int]:
    """Channels whose mean KL exceeds 0.1 nat, the largest first; `kl` has shape (latents,)."""
    return [int(k) for k in np.argsort(kl)[::-1] if kl[k] > ACTIVE_KL_NAT]


def open_channels(model: keras.Model) -> np.ndarray:
    """Indices of the latents that are not closed."""
    return np.flatnonzero(ops.convert_to_numpy(model.get_layer("latents").open))


def keep_open(model: keras.Model, channels: np.ndarray) -> None:
    """Close all latents but `channels`."""
    state = np.isin(np.arange(embedding_size(model)), channels)
    model.get_layer("latents").open.assign(state.astype("float32"))


def decode(model: keras.Model, latents: np.ndarray) -> np.ndarray:
    """Spectra (n, steps, channels) generated from latents (n, latents)."""
    decoder = model.get_layer("decoder")
    return decoder.predict(latents, batch_size=PREDICTION_BATCH, verbose=0)


def reconstruct(model: keras.Model, spectra: np.ndarray) -> np.ndarray:
    """Spectra decoded from their own posterior means."""
    return decode(model, encode(model, spectra)[0])
