"""The network of the paper's β-VAE (Figure 3): recurrent layers on both sides, as the original code builds them."""

from __future__ import annotations

import numpy as np

from helpers.backend import keras, layers, ops
from helpers.profiles import PaperNetwork


def build_encoder(network: PaperNetwork, drive: np.ndarray, channels: int) -> keras.Model:
    """Spectra (n, steps, channels) to posterior mean and log variance, (n, latents) each.

    Source: paper, Figure 3 and section 2. Of `drive` only the number of steps is used: the paper's network
    is not told the time or voltage.
    """
    spectra = x = keras.Input((len(drive), channels), name="spectra")
    if network.interleave:
        x = layers.Reshape((len(drive) * channels, 1), name="interleaved")(x)
    for block in range(network.blocks):
        x = _recurrent_block(x, network, f"block{block + 1}")
    x = layers.Bidirectional(layers.LSTM(network.units), name="last_step")(x)
    if network.normalise:
        x = layers.BatchNormalization(name="embedding_norm")(x)
    x = layers.Activation("relu", name="last_step_relu")(x)
    x = layers.Dense(network.latents, activation="relu", name="embedding")(x)
    if network.l1_before_latents:
        x = L1Activity(name="embedding_l1")(x)
    mean = layers.Dense(network.latents, name="mean")(x)
    log_variance = layers.Dense(network.latents, name="log_variance")(x)
    return keras.Model(spectra, [mean, log_variance], name="encoder")


def build_decoder(network: PaperNetwork, drive: np.ndarray, channels: int) -> keras.Model:
    """Latents (n, latents) to spectra (n, steps, channels). Source: paper, Figure 3."""
    latents = keras.Input((network.latents,), name="latents")
    x = layers.Dense(network.latents, activation="relu", name="embedding")(latents)
    x = L1Activity(name="embedding_l1")(x)
    x = layers.RepeatVector(len(drive), name="repeat")(x)
    x = layers.Bidirectional(layers.LSTM(network.units, return_sequences=True), name="first_bilstm")(x)
    x = layers.Activation("relu", name="first_relu")(x)
    for block in range(network.blocks):
        x = _recurrent_block(x, network, f"block{block + 1}")
    if network.normalise:
        x = layers.LayerNormalization(axis=1, name="norm")(x)
    return keras.Model(latents, layers.Dense(channels, name="spectra")(x), name="decoder")


def _recurrent_block(x, network: PaperNetwork, name: str):
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
class L1Activity(layers.Layer):
    """Pass the input on and add λ·Σ|a| (mean over the batch) to the loss."""

    def build(self, input_shape):
        self.weight = self.add_weight(shape=(), initializer="zeros", trainable=False, name="lambda")

    def call(self, inputs):
        self.add_loss(self.weight * ops.mean(ops.sum(ops.abs(inputs), axis=-1)))
        return inputs
