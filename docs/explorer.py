"""What the loop explorer shows: loops of every pixel, maps, generated loops and the training of one run.

`explorer.mjs` draws all of it in the reader's browser, from the arrays of `explorer_data`.
"""

from __future__ import annotations

import base64
import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.colors import to_hex
from scipy.ndimage import rotate
from sklearn.decomposition import PCA

from helpers.dictionary import stack_channels, unstack_channels
from helpers.figures.inputs import QUANTITIES, Look, Orientation, channels_of
from helpers.figures.maps import UNUSABLE, signed_norm
from helpers.figures.snapshots import Snapshots
from helpers.figures.style import BOUND, DATA, DL, SIGNED, VAE
from helpers.generate import generate_sweeps
from helpers.profiles import get_profile
from helpers.record import load_arrays, require
from helpers.scans.reading import load_scan
from helpers.scans.scan import Scan, heldout_blocks, in_physical_units, standardised, training_pixels

# Values of one cube of loops, so that the page loads less than 8 MiB: the published scan has 691 200.
MOST_VALUES = 700_000
SWEPT_VALUES = 41
# Cells of the drawn grid along a pixel, where a map is turned: edges of pixels look straight.
CELLS = 3
TRAININGS = ("the paper's β-VAE, small, on the toy", "the companion's β-VAE on the toy",
             "the companion's β-VAE on the loops")
NO_VALUE = -128
BAR_LENGTHS = np.outer(10.0 ** np.arange(-3, 3), (1, 2, 5)).ravel()


def packed(value):
    """The same value with every array in it as JSON holds one: compressed bytes, which `explorer.mjs` unpacks."""
    if isinstance(value, dict):
        return {name: packed(part) for name, part in value.items()}
    if isinstance(value, np.ndarray):
        data = base64.b64encode(gzip.compress(value.tobytes(), mtime=0)).decode()
        return {"kind": f"{value.dtype.name.capitalize()}Array", "bytes": data}
    return value


def whole_numbers(values: np.ndarray) -> dict[str, object]:
    """Spectra as integers of 14 bits, finer than a screen shows.

    Parameters
    ----------
    values : ndarray, shape (..., n_steps, n_channels)
        Finite.

    Returns
    -------
    dict
        ``zero + scale * np.cumsum(changes, axis=-2)`` leads back to within half of ``scale``. Both have one
        number a channel; ``changes`` from step to step take a quarter less room than the values themselves.
    """
    axes = tuple(range(values.ndim - 1))
    low, high = values.min(axis=axes), values.max(axis=axes)
    scale = np.where(high > low, (high - low) / 16382, 1.0)
    zero = (high + low) / 2
    changes = np.diff(((values - zero) / scale).round(), axis=-2, prepend=0).astype(np.int16)
    return {"changes": changes, "scale": scale.tolist(), "zero": zero.tolist()}


def shades(maps: np.ndarray, half: float) -> np.ndarray:
    """Maps as 8-bit integers, in hundredths of `half`: `NO_VALUE` at NaN, cut at 1.27 of it.

    Parameters
    ----------
    maps : ndarray
    half : float
        Where the colour scale ends.
    """
    steps = np.clip(100 * np.nan_to_num(maps) / half, -127, 127).round()
    return np.where(np.isnan(maps), NO_VALUE, steps).astype(np.int8)


def drawn_pixels(shape: tuple[int, int], orientation: Orientation) -> np.ndarray:
    """Which pixel each cell of a drawn map shows.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the scan.
    orientation : Orientation

    Returns
    -------
    ndarray of int32, shape (rows', columns')
        From the top down; -1 outside the scan. A turned map has `CELLS` cells along a pixel, another one.
    """
    pixels = np.arange(shape[0] * shape[1], dtype=np.int32).reshape(shape)
    if orientation.angle_deg == 0.0:
        return pixels
    fine = np.kron(pixels, np.ones((CELLS, CELLS), np.int32))
    turned = rotate(fine, orientation.angle_deg, order=0, cval=-1, prefilter=False)
    rows, columns = (round(n * orientation.crop) for n in turned.shape)
    return turned[rows:turned.shape[0] - rows, columns:turned.shape[1] - columns]


def modelled(scan: Scan, results: Path, profile: str) -> tuple[dict, dict, dict]:
    """What three models make of a scan, in standard deviations, by the model's name.

    Parameters
    ----------
    scan : Scan
    results : Path
        Of the run.
    profile : str
        Of the run; decides which pixels PCA is fitted to, as in ``beps.pca5.mse``.

    Returns
    -------
    loops : dict of str to ndarray, shape (n_pixels, n_steps, n_channels)
    codes : dict of str to ndarray, shape (n_pixels, n)
    swept : dict of str to (ndarray, ndarray)
        Values (n, n_values) and the loops (n, n_values, n_steps, n_channels) generated at them.

    Raises
    ------
    FileNotFoundError
        If a notebook has not run.
    """
    linear, vae, sweeps = (load_arrays(results / f"{name}.npz") for name in ("dictionary", "vae_beps", "sweeps"))
    spectra = standardised(scan)[0]
    stacked, n_channels = stack_channels(spectra), spectra.shape[-1]
    heldout = heldout_blocks(scan.shape, get_profile(profile).heldout_every)
    pca = PCA(len(linear["beps_atoms"])).fit(stacked[training_pixels(scan, heldout)])
    scores = pca.transform(stacked)

    def of_pca(latents: np.ndarray) -> np.ndarray:
        return unstack_channels(pca.inverse_transform(latents), n_channels)

    loops = {"DL": unstack_channels(linear["beps_codes"] @ linear["beps_atoms"], n_channels),
             "PCA": of_pca(scores), "companion's β-VAE": vae["reconstructed"]}
    codes = {"companion's β-VAE": vae["embedding"][:, sweeps["beps_active"]], "DL": linear["beps_codes"], "PCA": scores}
    swept = {"companion's β-VAE": (sweeps["beps_values"], sweeps["beps_sweep"]),
             "DL": (linear["beps_values"], linear["beps_sweep"]),
             "PCA": generate_sweeps(scores[scan.usable], list(range(pca.n_components_)), of_pca,
                                    linear["beps_values"].shape[1])}
    return loops, codes, swept


def explorer_data(folder: Path, profile: str) -> dict[str, object]:
    """Everything that the explorer draws, from the results of a finished run.

    Parameters
    ----------
    folder : Path
        ``build/<profile>/seed<seed>``.
    profile : str
        Of the run.

    Returns
    -------
    dict
        Arrays, lists and words, as `explorer.mjs` reads them once they are `packed`. Spectra are in the units
        of the axes: ``loops`` of shape (4, n_pixels, n_steps, n_channels) for ``models``, ``generated`` of
        shape (n_maps, n_values, n_steps, n_channels). ``maps`` is (n_maps, n_pixels), NaN at unusable pixels.

    Raises
    ------
    FileNotFoundError
        If a notebook has not run.
    """
    scan, stride = load_scan(require(folder / "results/scan.h5")), 1
    while scan.spectra[0].size * np.prod([-(-n // stride) for n in scan.shape]) > MOST_VALUES:
        stride += 1
    rows, columns = np.arange(0, scan.shape[0], stride), np.arange(0, scan.shape[1], stride)
    pixels = (scan.shape[1] * rows[:, None] + columns).ravel()
    loops, codes, swept = modelled(scan, folder / "results", profile)
    channels, scaler = channels_of(scan.piezoresponse, scan.resonance_kHz), standardised(scan)[1]
    scale = np.array([channel.scale for channel in channels])
    maps = np.concatenate([scan.masked(code)[pixels].T for code in codes.values()]).astype(np.float32)
    values, generated = (np.concatenate(parts) for parts in zip(*map(_thinned, swept.values()), strict=True))
    loops = [scan.spectra, *(in_physical_units(made, scaler) for made in loops.values())]
    active = load_arrays(folder / "results/sweeps.npz")
    return {
        "voltage": scan.voltage_V.tolist(),
        "channels": [channel.label.replace("\n", " ") for channel in channels],
        "deviation": (scaler.scale_ * scale).tolist(),
        "shape": [len(rows), len(columns)], "stride": stride, "turned": scan.turned,
        "usable": scan.usable[pixels].astype(np.int8),
        "models": ["measured", "DL", "PCA", "companion's β-VAE"], "colours": [DATA, DL, BOUND, VAE],
        "loops": whole_numbers(np.stack([made[pixels] for made in loops]) * scale),
        "maps": maps, "halves": [float(signed_norm(drawn).vmax) for drawn in maps],
        "names": [*(f"companion's β-VAE, z{k + 1}" for k in active["beps_active"]),
                  *(f"{model} {k + 1}" for model in ("DL", "PCA") for k in range(codes[model].shape[1]))],
        "quantities": [QUANTITIES.get(model, "score") for model, code in codes.items() for _ in code.T],
        "atoms": codes["DL"].shape[1],
        "swept": values.astype(np.float32), "generated": whole_numbers(in_physical_units(generated, scaler) * scale),
        "palette": [to_hex(colour) for colour in SIGNED(np.linspace(0, 1, 256))],
        "grey": to_hex(UNUSABLE),
        # Uncropped, so that every pixel can be reached.
        "scan": layout((len(rows), len(columns)), replace(Look.of(scan).orientation, crop=0.0)),
        "trainings": {name: training_data(kept) for name, kept in trainings(folder / "results", scan, stride).items()},
    }


def trainings(results: Path, scan: Scan, stride: int) -> dict[str, Snapshots]:
    """Both β-VAEs through their trainings, by what stands in the list; of those on the toy every second snapshot."""
    toy, paper, beps = (load_arrays(results / f"vae_{name}.npz") for name in ("toy", "paper_toy", "beps"))
    shape = load_arrays(results / "toy.npz")["picture"].shape[:2]
    of_toy = (_every_second(Snapshots.of_picture(shape, stored)) for stored in (paper, toy))
    return dict(zip(TRAININGS, (*of_toy, Snapshots.of(scan, beps, stride)), strict=True))


def _every_second(kept: Snapshots) -> Snapshots:
    lists = ("maps", "kl", "epochs", "beta", "mse")
    return replace(kept, **{name: getattr(kept, name)[::-2][::-1] for name in lists})


def _thinned(swept: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    values, loops = swept
    kept = np.unique(np.linspace(0, values.shape[1] - 1, SWEPT_VALUES).round().astype(int))
    return values[:, kept], loops[:, kept]


def layout(shape: tuple[int, int], orientation: Orientation) -> dict[str, object]:
    """Cells of a drawn map, and the length of its scale bar (µm and share of the width), if it has one."""
    pixel = drawn_pixels(shape, orientation)
    laid = {"pixel": pixel, "width": pixel.shape[1]}
    if orientation.size_um:
        width_um = orientation.size_um * pixel.shape[1] / shape[1] / (CELLS if orientation.angle_deg else 1)
        bar_um = BAR_LENGTHS[BAR_LENGTHS <= width_um / 3].max()
        laid["bar"] = {"um": float(bar_um), "share": float(bar_um / width_um)}
    return laid


def training_data(kept: Snapshots) -> dict[str, object]:
    """Maps of the training, (n_snapshots, n_channels, n_pixels), and what stands beside each snapshot."""
    half = float(kept.norm.vmax)
    return {
        "maps": shades(kept.maps.reshape(*kept.maps.shape[:2], -1), half), "half": half,
        "names": kept.names, "kl": kept.kl.tolist(), "titles": [kept.title(i) for i in range(len(kept.maps))],
        "quantity": QUANTITIES["companion's β-VAE"], "scan": layout(kept.maps.shape[2:], kept.look.orientation),
    }
