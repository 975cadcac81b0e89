"""The network of the companion's β-VAE: a recurrent encoder, and a decoder that adds up what each channel contributes.

Additive decoders are identifiable up to the order of the channels and a map of each alone
(Lachapelle et al., NeurIPS 2023): a spectrum is the sum of what its mechanisms contribute.
"""

from __future__ import annotations

import numpy as np

from helpers.backend import keras, layers, ops
from helpers.profiles import AdditiveNetwork

# Of the first units of a branch, per s.d. of its channel: edges that are steeper take long to learn.
SLOPE = 2.0


def build_encoder(network: AdditiveNetwork, drive: np.ndarray, channels: int) -> keras.Model:
    """q(z | x) = N(µ, σ²): spectra (n, steps, channels) to µ and log σ², (n, latents) each.

    `drive` has shape (steps, drive channels).
    """
    spectra = keras.Input((len(drive), channels), name="spectra")
    x = Patches(network.patch, drive, name="patches")(spectra)
    for number in range(1, network.layers + 1):
        lstm = layers.LSTM(network.units, return_sequences=True, unroll=True)
        read = layers.Bidirectional(lstm, name=f"bilstm{number}")(x)
        x = read if number == 1 else layers.Add(name=f"add{number}")([x, read])
    if not network.layers:
        x = layers.Dense(4 * network.units, activation=gelu, name="dense1")(layers.Flatten(name="all_steps")(x))
        x = x + layers.Dense(4 * network.units, activation=gelu, name="dense2")(x)
    # Every patch is read out: from the last states alone a third colour wakes a hundred epochs later, or never.
    h = layers.Flatten(name="states")(x)
    mean = layers.Dense(network.latents, kernel_initializer=normal(2.0, h.shape[-1]), name="mean")(h)
    if network.linear:
        start = normal(0.3, len(drive) * channels)
        mean = mean + layers.Dense(network.latents, use_bias=False, kernel_initializer=start,
                                   name="linear_mean")(layers.Flatten(name="values")(spectra))
    log_variance = layers.Dense(network.latents, kernel_initializer=normal(0.1, h.shape[-1]),
                                name="log_variance")(h)
    return keras.Model(spectra, [mean, ops.clip(log_variance, -12.0, 4.0)], name="encoder")


def build_decoder(network: AdditiveNetwork, drive: np.ndarray, channels: int) -> keras.Model:
    """x̂ = b + Σₖ gₖ(zₖ) + f(z): latents (n, latents) to spectra (n, steps, channels).

    Where ``network.linear``, each gₖ has a linear part of its own.

    The joint term f is left out where ``network.joint`` is 0, and the sum over channels where
    ``network.branch`` is: what is left is then an ordinary decoder.
    """
    z, values, terms = keras.Input((network.latents,), name="latents"), len(drive) * channels, []
    if network.branch:
        terms.append(Branches(network.branch, values, name="branches")(z))
    if network.branch and network.linear:
        terms.append(layers.Dense(values, use_bias=False, kernel_initializer=normal(0.5, network.latents),
                                  name="linear")(z))
    if network.joint:
        f = layers.Dense(network.joint, activation=gelu, name="joint1")(z)
        f = f + layers.Dense(network.joint, activation=gelu, name="joint2")(f)
        start = "zeros" if network.branch else "glorot_uniform"
        f = layers.Dense(values, kernel_initializer=start, name="joint3")(f)
        terms.append(Gate(name="joint")(f) if network.branch else f)
    x = layers.Reshape((len(drive), channels), name="spectra")(sum(terms[1:], terms[0]))
    return keras.Model(z, x, name="decoder")


@keras.saving.register_keras_serializable("companion")
class Branches(layers.Layer):
    """b + Σₖ gₖ(zₖ): for each channel a network of its own, of two hidden layers."""

    def __init__(self, units: int, values: int, **keras_options):
        super().__init__(**keras_options)
        self.units, self.values = units, values

    def build(self, shape):
        n, h = shape[-1], self.units
        self.first = self.add_weight(shape=(n, 1, h), initializer=normal(SLOPE, 1), name="first")
        self.first_bias = self.add_weight(shape=(n, 1, h), initializer=normal(0.75 * SLOPE, 1), name="first_bias")
        self.second = self.add_weight(shape=(n, h, h), initializer=normal(1.0, h), name="second")
        self.second_bias = self.add_weight(shape=(n, 1, h), initializer="zeros", name="second_bias")
        self.last = self.add_weight(shape=(n, h, self.values), initializer=normal(1.0, n * h), name="last")
        self.mean = self.add_weight(shape=(self.values,), initializer="zeros", name="mean")

    def call(self, z):
        h = gelu(ops.transpose(z)[:, :, None] * self.first + self.first_bias)
        h = gelu(ops.matmul(h, self.second) + self.second_bias)
        return ops.einsum("knh,khv->nv", h, self.last) + self.mean

    def get_config(self):
        return super().get_config() | {"units": self.units, "values": self.values}


@keras.saving.register_keras_serializable("companion")
class Gate(layers.Layer):
    """Pass the input on while `open` is 1, and nothing while it is 0."""

    def build(self, shape):
        self.open = self.add_weight(shape=(), initializer="ones", trainable=False, name="open")

    def call(self, inputs):
        return inputs * self.open


@keras.saving.register_keras_serializable("companion")
class Patches(layers.Layer):
    """Spectra with their known drive, several steps at a time.

    (batch, steps, channels) becomes (batch, patches, steps a patch × (channels + drive channels)); a last
    patch that is not full is filled with zeros.
    """

    def __init__(self, steps: int, drive, **keras_options):
        super().__init__(**keras_options)
        self.steps, self.drive = steps, np.asarray(drive, "float32")

    def call(self, spectra):
        drive = ops.broadcast_to(self.drive, (ops.shape(spectra)[0], *self.drive.shape))
        both = ops.concatenate([spectra, drive], axis=-1)
        both = ops.pad(both, ((0, 0), (0, -both.shape[1] % self.steps), (0, 0)))
        return ops.reshape(both, (-1, both.shape[1] // self.steps, self.steps * both.shape[2]))

    def get_config(self):
        return super().get_config() | {"steps": self.steps, "drive": self.drive.tolist()}


def gelu(x):
    """The approximation by tanh: the exact one takes longer than all matrix products together."""
    return ops.gelu(x, approximate=True)


def normal(scale: float, inputs: int) -> keras.initializers.Initializer:
    """Gaussian weights whose sum over so many inputs has variance `scale`²."""
    return keras.initializers.RandomNormal(stddev=scale / np.sqrt(inputs))
