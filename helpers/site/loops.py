"""What the loop explorer shows: measured, reconstructed and generated loops, and maps, of one run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from helpers.dictionary import stack_channels, unstack_channels
from helpers.scans.reading import load_scan
from helpers.scans.scan import Scan, heldout_blocks, standardised, training_pixels
from helpers.figures.inputs import Channel, channels_of
from helpers.generate import generate_sweeps
from helpers.profiles import get_profile
from helpers.record import load_arrays, require

# Values of one cube of loops, so that a page stays below 8 MiB: the published scan has 691 200.
MOST_VALUES = 700_000
SWEPT_VALUES = 41


@dataclass(frozen=True)
class Linear:
    """A model whose loops are ``offset + codes @ atoms``, in the units of the axes.

    Attributes
    ----------
    codes : ndarray, shape (n_pixels, n)
    atoms : ndarray, shape (n, steps, channels)
    offset : ndarray, shape (steps, channels)
    """

    codes: np.ndarray
    atoms: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True)
class Explored:
    """Loops and maps of a run; spectra have shape (n_pixels, steps, channels), in the units of the axes.

    Attributes
    ----------
    scan : Scan
    channels : tuple of Channel
        Labels of the axes.
    deviation : ndarray, shape (channels,)
        Standard deviation of each channel, in which errors are counted.
    stride : int
        Every so manieth row and column is on the page.
    shape : tuple of int
        Rows and columns on the page.
    usable : ndarray of bool, shape (n_pixels,)
    measured, vae : ndarray, shape (n_pixels, steps, channels)
    linear : dict of str to Linear
        "DL" and "PCA".
    maps : dict of str to ndarray, shape (n_maps, n_pixels)
        Embeddings of "β-VAE", "DL" and "PCA"; NaN at unusable pixels.
    names : dict of str to list of str
        Of these maps.
    swept : dict of str to (ndarray, ndarray)
        Values (n_maps, n_values) and loops (n_maps, n_values, steps, channels) generated at them.
    """

    scan: Scan
    channels: tuple[Channel, ...]
    deviation: np.ndarray
    stride: int
    shape: tuple[int, int]
    usable: np.ndarray
    measured: np.ndarray
    vae: np.ndarray
    linear: dict[str, Linear]
    maps: dict[str, np.ndarray]
    names: dict[str, list[str]]
    swept: dict[str, tuple[np.ndarray, np.ndarray]]


def explored(folder: Path, profile: str) -> Explored:
    """Read a finished run, thinned where its scan is too large for a page.

    Parameters
    ----------
    folder : Path
        ``build/<profile>/seed<seed>``.
    profile : str
        Of the run; decides which pixels PCA is fitted to, as in ``beps.pca5.mse``.

    Raises
    ------
    FileNotFoundError
        If a notebook has not run.
    """
    results = folder / "results"
    scan = load_scan(require(results / "scan.h5"))
    linear, vae = load_arrays(results / "dictionary.npz"), load_arrays(results / "vae_beps.npz")
    sweeps = load_arrays(results / "sweeps.npz")
    spectra, scaler = standardised(scan)
    channels = channels_of(scan.piezoresponse, scan.resonance_kHz)
    stride = _stride(scan)
    chosen = np.arange(spectra.shape[0]).reshape(scan.shape)[::stride, ::stride]
    pixels, units = chosen.ravel(), _Units(scaler, np.array([channel.scale for channel in channels]))
    heldout = heldout_blocks(scan.shape, get_profile(profile).heldout_every)
    pca = PCA(len(linear["beps_atoms"])).fit(stack_channels(spectra)[training_pixels(scan, heldout)])
    codes = {"β-VAE": vae["embedding"][:, sweeps["beps_active"]], "DL": linear["beps_codes"],
             "PCA": pca.transform(stack_channels(spectra))}
    swept = {"β-VAE": (sweeps["beps_values"], sweeps["beps_sweep"]),
             "DL": (linear["beps_values"], linear["beps_sweep"]),
             "PCA": generate_sweeps(
                 codes["PCA"][scan.usable], list(range(pca.n_components_)),
                 lambda z: unstack_channels(pca.inverse_transform(z), len(channels)),
                 linear["beps_values"].shape[1])}
    return Explored(
        scan, channels, scaler.scale_ * units.scale, stride, chosen.shape, scan.usable[pixels],
        (scan.spectra * units.scale)[pixels], units.of(vae["reconstructed"][pixels]),
        {"DL": units.linear(codes["DL"][pixels], linear["beps_atoms"], 0 * pca.mean_),
         "PCA": units.linear(codes["PCA"][pixels], pca.components_, pca.mean_)},
        {name: scan.masked(values)[pixels].T for name, values in codes.items()},
        {"β-VAE": [f"β-VAE, z{k + 1}" for k in sweeps["beps_active"]],
         **{name: [f"{name} {k + 1}" for k in range(codes[name].shape[1])] for name in ("DL", "PCA")}},
        {name: units.thinned(*found) for name, found in swept.items()},
    )


def _stride(scan: Scan) -> int:
    stride = 1
    while scan.spectra[0].size * np.prod([-(-n // stride) for n in scan.shape]) > MOST_VALUES:
        stride += 1
    return stride


@dataclass(frozen=True)
class _Units:
    """From standard deviations to the units of the axes."""

    scaler: StandardScaler
    scale: np.ndarray

    def of(self, scaled: np.ndarray) -> np.ndarray:
        return (scaled * self.scaler.scale_ + self.scaler.mean_) * self.scale

    def linear(self, codes: np.ndarray, atoms: np.ndarray, mean: np.ndarray) -> Linear:
        n = len(self.scale)
        return Linear(codes, unstack_channels(atoms, n) * self.scaler.scale_ * self.scale,
                      self.of(unstack_channels(mean[None], n)[0]))

    def thinned(self, values: np.ndarray, loops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Some of the swept values, and their loops."""
        kept = np.unique(np.linspace(0, values.shape[1] - 1, SWEPT_VALUES).round().astype(int))
        return values[:, kept], self.of(loops[:, kept])
