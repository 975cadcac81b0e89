"""The two benchmarks as models see them: spectra to train on, spectra held out, and the order of their steps.

What is fair about the shuffle: the spectra are shuffled and the drive is not, as if the shuffled
spectrum had been measured along that drive. The drive still tells the network which step it is
at, but no longer which steps are neighbours. Shuffled along with the spectra it would hand the
order back to the network, each value keeping its own time or voltage: that is the third order,
"paired", which takes away only the order of reading. The coordinates a training may start from
depend on distances between spectra alone, and so carry no order either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from helpers import toy
from helpers.scans.scan import Scan, drive_waveform, heldout_blocks, standardised, training_pixels
from helpers.profiles import Network, Profile, Training

ORDERS = ("kept", "shuffled", "paired")
# Channels that the full model opens: the colours, and the components at the elbow of the loops.
CHANNELS = {"toy": 3, "beps": 5}


@dataclass(frozen=True)
class Benchmark:
    """What all controls of a benchmark share.

    Attributes
    ----------
    name : str
        "toy" or "beps".
    spectra, heldout : ndarray, shape (n, steps, measured channels)
        Standardised: to train on, and to take the error on.
    drive : ndarray, shape (steps, drive channels)
    network, training : Network, Training
        Of the full model.
    truth : ndarray, shape (n heldout, factors), or None
        Known factors of the held-out spectra.
    """

    name: str
    spectra: np.ndarray
    heldout: np.ndarray
    drive: np.ndarray
    network: Network
    training: Training
    truth: np.ndarray | None = None

    def __post_init__(self):
        if not (np.isfinite(self.spectra).all() and np.isfinite(self.heldout).all()):
            raise ValueError(f"{self.name}: some of the spectra are NaN or infinite: expected finite "
                             "numbers; interpolate or remove them first")

    @property
    def channels(self) -> int:
        """Latents of every control."""
        return CHANNELS[self.name]

    def ordered(self, order: str) -> Benchmark:
        """The benchmark with its time steps in one of ORDERS (see the module)."""
        if order == "kept":
            return self
        steps = step_permutation(len(self.drive))
        drive = self.drive[steps] if order == "paired" else self.drive
        return replace(self, spectra=self.spectra[:, steps], heldout=self.heldout[:, steps], drive=drive)


def toy_benchmark(profile: Profile, seed: int) -> Benchmark:
    """Uniform colours to train on, the gamut held out, standardised at each time step."""
    spectra = toy.spectra(toy.sample_rgb(profile.toy_spectra, seed))
    rgb = toy.sample_rgb(profile.gamut_spectra, seed, "gamut")
    mean, deviation = spectra.mean(axis=0), spectra.std(axis=0)
    scaled = [((x - mean) / deviation)[..., None].astype("float32") for x in (spectra, toy.spectra(rgb))]
    return Benchmark("toy", *scaled, toy.time_steps()[:, None], profile.toy_network,
                     profile.toy_training, rgb)


def beps_benchmark(profile: Profile, scan: Scan) -> Benchmark:
    """Loops of a scan with blocks held out; the training loops where the profile holds none out."""
    spectra = standardised(scan)[0].astype("float32")
    held = heldout_blocks(scan.shape, profile.heldout_every)
    training = spectra[training_pixels(scan, held)]
    heldout = spectra[held & scan.usable] if held.any() else training
    return Benchmark("beps", training, heldout, drive_waveform(scan.voltage_V), profile.beps_network,
                     profile.beps_training)


def step_permutation(steps: int) -> np.ndarray:
    """The one permutation of the time steps, shape (steps,); the same for every seed and model."""
    return np.random.default_rng(0).permutation(steps)
