"""What the loop explorer shows: loops of every pixel, maps, generated loops and the training of one run.

`explorer.mjs` draws all of it in the reader's browser, from the arrays of `explorer_data`.
"""

import base64
import gzip
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.colors import to_hex
from sklearn.decomposition import PCA

from helpers.dictionary import stack_channels, unstack_channels
from helpers.figures.inputs import QUANTITIES, Look, Orientation
from helpers.figures.maps import UNUSABLE, lay_out, signed_norm
from helpers.figures.snapshots import Snapshots
from helpers.figures.style import DATA, MODEL_COLOURS, SIGNED
from helpers.generate import generate_sweeps
from helpers.paths import load_arrays, require
from helpers.profiles import get_profile
from helpers.scans.reading import load_scan
from helpers.scans.scan import Scan, heldout_blocks, in_physical_units, standardised, training_pixels

# Values of one cube of loops, so that the page loads less than 8 MiB: the published scan has 691 200.
MOST_VALUES = 700_000
SWEPT_VALUES = 41
# Cells of the drawn grid along a pixel, where a map is turned: edges of pixels look straight.
CELLS = 3
MODELS = ("DL", "PCA", "companion's β-VAE")  # in the order of their lines
TRAININGS = ("the paper's β-VAE, small, on the toy", "the companion's β-VAE on the toy",
             "the companion's β-VAE on the loops")
NO_VALUE = -128
BAR_LENGTHS = np.outer(10.0 ** np.arange(-3, 3), (1, 2, 5)).ravel()


class Modelled(NamedTuple):
    """What one model makes of a scan, in standard deviations."""

    names: list[str]  # of its channels
    codes: np.ndarray  # (n_pixels, n)
    loops: np.ndarray  # (n_pixels, n_steps, n_channels)
    values: np.ndarray  # (n, n_values): of each channel, swept
    generated: np.ndarray  # (n, n_values, n_steps, n_channels): loops at these values


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
    cells = CELLS if orientation.angle_deg else 1
    fine = np.kron(np.arange(shape[0] * shape[1]).reshape(shape), np.ones((cells, cells), int))
    return np.nan_to_num(lay_out(fine, orientation, order=0), nan=-1).astype(np.int32)


def modelled(scan: Scan, results: Path, profile: str) -> dict[str, Modelled]:
    """What three models make of a scan, by the model's name, in the order of the maps.

    Parameters
    ----------
    scan : Scan
    results : Path
        Of the run.
    profile : str
        Of the run; decides which pixels PCA is fitted to, as in ``beps.pca5.mse``.

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
    scores, numbers, active = pca.transform(stacked), range(pca.n_components_), sweeps["beps_active"]

    def of_pca(latents: np.ndarray) -> np.ndarray:
        return unstack_channels(pca.inverse_transform(latents), n_channels)

    return {
        "companion's β-VAE": Modelled([f"companion's β-VAE, z{k + 1}" for k in active], vae["embedding"][:, active],
                                      vae["reconstructed"], sweeps["beps_values"], sweeps["beps_sweep"]),
        "DL": Modelled([f"DL {k + 1}" for k in numbers], linear["beps_codes"],
                       unstack_channels(linear["beps_codes"] @ linear["beps_atoms"], n_channels),
                       linear["beps_values"], linear["beps_sweep"]),
        "PCA": Modelled([f"PCA {k + 1}" for k in numbers], scores, of_pca(scores), *generate_sweeps(
            scores[scan.usable], list(numbers), of_pca, linear["beps_values"].shape[1])),
    }


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
    scan, results = load_scan(require(folder / "results/scan.h5")), folder / "results"
    size, every = scan.spectra[0].size, np.arange(np.prod(scan.shape)).reshape(scan.shape)
    stride = next(n for n in count(1) if size * every[::n, ::n].size <= MOST_VALUES)
    pixels, look = every[::stride, ::stride], Look.of(scan)
    return {
        "voltage": scan.voltage_V.tolist(),
        "channels": [channel.label.replace("\n", " ") for channel in look.channels],
        "shape": list(pixels.shape), "stride": stride, "turned": scan.turned,
        "usable": scan.usable[pixels.ravel()].astype(np.int8),
        "models": ["measured", *MODELS], "colours": [DATA, *(MODEL_COLOURS[name] for name in MODELS)],
        **model_data(scan, modelled(scan, results, profile), pixels.ravel(), look),
        "palette": [to_hex(colour) for colour in SIGNED(np.linspace(0, 1, 256))],
        "grey": to_hex(UNUSABLE),
        # Uncropped, so that every pixel can be reached.
        "scan": layout(pixels.shape, replace(look.orientation, crop=0.0)),
        "trainings": {name: training_data(kept) for name, kept in trainings(results, scan, stride).items()},
    }


def model_data(scan: Scan, models: dict[str, Modelled], pixels: np.ndarray, look: Look) -> dict[str, object]:
    """Loops and maps of some pixels, and loops generated along each channel: a part of `explorer_data`."""
    scaler, scale = standardised(scan)[1], np.array([channel.scale for channel in look.channels])
    loops = [scan.spectra, *(in_physical_units(models[name].loops, scaler) for name in MODELS)]
    maps = np.concatenate([scan.masked(model.codes)[pixels].T for model in models.values()]).astype(np.float32)
    values, generated = (np.concatenate([getattr(model, name) for model in models.values()])
                         for name in ("values", "generated"))
    kept = np.unique(np.linspace(0, values.shape[1] - 1, SWEPT_VALUES).round().astype(int))
    return {
        "deviation": (scaler.scale_ * scale).tolist(),
        "loops": whole_numbers(np.stack([made[pixels] for made in loops]) * scale),
        "maps": maps, "halves": [float(signed_norm(drawn).vmax) for drawn in maps],
        "names": [name for model in models.values() for name in model.names],
        "quantities": [QUANTITIES.get(name, "score") for name, model in models.items() for _ in model.names],
        "atoms": len(models["DL"].names),
        "swept": values[:, kept].astype(np.float32),
        "generated": whole_numbers(in_physical_units(generated[:, kept], scaler) * scale),
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
