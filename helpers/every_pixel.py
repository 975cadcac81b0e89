"""Every pixel of a scan that was too large for the notebooks, read a few rows at a time.

`make every-pixel DATA=my.h5`, or ``python -m helpers.every_pixel build/<profile>/seed<seed>`` on a finished run.
The linear models are fitted to every training pixel by `partial_fit`, the network is that of the run.
Writes ``results/every_pixel.h5``, maps and errors at full resolution, ``results/every_pixel.json``
and ``figures/every_pixel.png`` and ``.pdf``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import h5py
import numpy as np
from sklearn.decomposition import IncrementalPCA, MiniBatchDictionaryLearning
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from helpers.cleaning import Cleaning, NothingLeftError
from helpers.data import (
    Choice,
    DataError,
    Scan,
    drive_waveform,
    heldout_blocks,
    load_scan,
    stack_channels,
    standardised,
    training_pixels,
    unstack_channels,
)
from helpers.figures import figure_every_pixel, orientation_of, save_figure
from helpers.formats import every_nth, read, sha256_of
from helpers.inference import active_channels, decode, encode, mean_kl
from helpers.metrics import mean_squared_error_per_spectrum
from helpers.models import load_beta_vae
from helpers.paths import atomic, write_json
from helpers.profiles import get_profile
from helpers.record import load_arrays, require
from helpers.sweep import DICTIONARY
from helpers.tables import as_markdown, number

BLOCK_VALUES = 2**22  # of one channel read at once: 32 MiB
DICTIONARY_BATCH = 1024  # spectra between two updates of the atoms
MODELS = ("pca", "dl", "vae")


@dataclass(frozen=True)
class Source:
    """A file that is read a few rows at a time, as the run read it.

    Attributes
    ----------
    path : Path
    grid : (int, int)
        Rows and columns of the whole scan.
    steps : int
    scaler : StandardScaler
        Of the run, so that errors are in its standard deviations.
    choice, cleaning : Choice, Cleaning
        Of the run. A rule that compares pixels compares those of the same block of rows.
    """

    path: Path
    grid: tuple[int, int]
    steps: int
    scaler: StandardScaler
    choice: Choice = field(default_factory=Choice)
    cleaning: Cleaning = field(default_factory=Cleaning)

    def blocks(self, shuffled: bool = False) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Rows, standardised spectra (pixels, steps, channels) and which of them are usable.

        Shuffled, so that what is fitted along the way does not remember the last rows best.
        """
        height = max(1, BLOCK_VALUES // (self.grid[1] * self.steps))
        firsts = np.arange(0, self.grid[0], height)
        for first in np.random.default_rng(0).permutation(firsts) if shuffled else firsts:
            rows = slice(int(first), int(min(first + height, self.grid[0])))
            try:
                part = load_scan(self.path, replace(self.choice, rows=(rows.start, rows.stop)), self.cleaning)
            except DataError as error:
                if not isinstance(error.__cause__, NothingLeftError):
                    raise
                pixels = (rows.stop - rows.start) * self.grid[1]
                yield rows, np.zeros((pixels, self.steps, self.scaler.n_features_in_)), np.zeros(pixels, bool)
                continue
            yield rows, standardised(part, self.scaler)[0], part.usable


def source_of(scan: Scan, parameters: dict) -> Source:
    """The file that a run's scan was read from, by the parameters of notebook 0.

    Raises
    ------
    DataError
        If the scan was simulated, or its file is not there or has changed since.
    """
    path = Path(scan.path)
    if scan.source == "twin" and not path.is_file():
        raise DataError(f"the scan of this run is simulated ({scan.path}): expected a file with more pixels than were "
                        "used; name one with DATA=")
    if not path.is_file() or sha256_of(path) != scan.sha256:
        raise DataError(f"{path} is not the file that the run was made from (sha256 {scan.sha256[:12]}…): expected it "
                        "unchanged; put it back, or run make figures again")
    choice = Choice(cycle=parameters.get("cycle") or None, field=parameters.get("field", "off"))
    cleaning = Cleaning(valid_range=parameters.get("valid_range", {}), outlier_sd=parameters.get("outlier_sd", 0.0))
    loops = read(path, choice)
    grid = loops.grid or scan.shape
    return Source(path, grid, len(scan.voltage_V), standardised(scan)[1],
                  replace(choice, theta_rad=loops.theta_rad), cleaning)


def on_whole_grid(used: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Values (rows, columns) of the used pixels on the grid of the whole scan.

    Every pixel takes the value of the used one at the corner of its cell.
    """
    every = every_nth((*grid, 1))
    row, column = (np.arange(n) // every for n in grid)
    return used[np.ix_(row, column)]


def fit_linear(batches: Iterable[np.ndarray], atoms: np.ndarray, sparsity: float
               ) -> tuple[IncrementalPCA, MiniBatchDictionaryLearning, int]:
    """PCA and dictionary of as many components as `atoms` has rows, fitted batch by batch.

    Parameters
    ----------
    batches : iterable of ndarray, shape (n, features)
        Standardised and stacked; a batch with fewer spectra than components waits for the next.
    atoms : ndarray, shape (components, features)
        Where the dictionary starts.
    sparsity : float
        λ of the fit and of the codes.

    Returns
    -------
    IncrementalPCA, MiniBatchDictionaryLearning
    int
        Number of spectra fitted to.

    Raises
    ------
    DataError
        If there are fewer spectra than components.
    """
    pca = IncrementalPCA(len(atoms))
    dictionary = MiniBatchDictionaryLearning(
        len(atoms), alpha=sparsity, fit_algorithm="cd", transform_algorithm="lasso_cd", transform_alpha=sparsity,
        dict_init=atoms, random_state=0)
    fitted, waiting = 0, np.empty((0, atoms.shape[1]))
    for batch in batches:
        waiting = np.concatenate([waiting, batch])
        if len(waiting) >= len(atoms):
            pca.partial_fit(waiting)
            for some in np.array_split(waiting, -(-len(waiting) // DICTIONARY_BATCH)):
                dictionary.partial_fit(some)
            fitted, waiting = fitted + len(waiting), waiting[:0]
    if not fitted:
        raise DataError(f"{len(waiting)} spectra are fewer than {len(atoms)} components: expected more; "
                        "hold fewer pixels out")
    return pca, dictionary, fitted


def describe(folder: Path) -> list[dict[str, str]]:
    """Fit the linear models to every training pixel and map all models over every pixel.

    Parameters
    ----------
    folder : Path
        Build folder of a finished run, ``build/<profile>/seed<seed>``.

    Returns
    -------
    list of dict
        A row a model: its mean squared error over every pixel, over those learned from and over those
        held out, in standard deviations squared.

    Raises
    ------
    DataError
        If the file of the run is not as it was, or the scan was simulated.
    FileNotFoundError
        If the run is not finished.
    """
    results = folder / "results"
    scan = load_scan(require(results / "scan.h5"))
    parameters = json.loads(require(results / "0_measured_data.json").read_text(encoding="utf-8"))["parameters"]
    source, profile = source_of(scan, parameters), get_profile(parameters["profile"])
    held = heldout_blocks(scan.shape, profile.heldout_every).reshape(scan.shape)
    held = on_whole_grid(held, source.grid)

    def learned_from() -> Iterator[np.ndarray]:
        for rows, spectra, usable in source.blocks(shuffled=True):
            yield stack_channels(spectra[usable & ~held[rows].ravel()])

    atoms = load_arrays(results / "dictionary.npz")["beps_atoms"]
    pca, dictionary, fitted = fit_linear(tqdm(learned_from(), "linear models", unit="block"), atoms,
                                         DICTIONARY["sparsity"])
    print(f"PCA and dictionary are fitted to {fitted} pixels of {source.grid[0]} × {source.grid[1]}, the network to "
          f"{training_pixels(scan, heldout_blocks(scan.shape, profile.heldout_every)).sum()}")
    network = load_beta_vae(results / "weights/beps.weights.h5", profile.beps_network,
                            drive_waveform(scan.voltage_V), len(scan.channels))
    active = active_channels(mean_kl(network, standardised(scan)[0][scan.usable]))
    with atomic(results / "every_pixel.h5") as temporary, h5py.File(temporary, "w") as maps:
        maps["heldout"] = held
        write_maps(maps, source, _codings(pca, dictionary, network, active, len(scan.channels)))
        rows = _errors(maps)
        errors = {name: maps[f"{name}/mse"][:] for name in MODELS}
        figure = figure_every_pixel(np.moveaxis(maps["vae/codes"][:], -1, 0), [f"z{k + 1}" for k in active], errors,
                                    source=scan.source, orientation=orientation_of(scan))
    write_json(results / "every_pixel.json", rows)
    save_figure(figure, folder / "figures/every_pixel", provenance={"source": scan.source, "sha256": scan.sha256})
    return rows


def _codings(pca: IncrementalPCA, dictionary: MiniBatchDictionaryLearning, network, active: list[int], channels: int
             ) -> dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    """By model, a function from spectra to what its maps show and to the spectra it makes of that."""
    def linear(model) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
        def code(spectra):
            codes = model.transform(stack_channels(spectra))
            mean = getattr(model, "mean_", 0.0)
            return codes, unstack_channels(codes @ model.components_ + mean, channels)

        return code

    def variational(spectra):
        means = encode(network, spectra)[0]
        return means[:, active], decode(network, means)

    return dict(zip(MODELS, (linear(pca), linear(dictionary), variational), strict=True))


def write_maps(maps: h5py.File, source: Source, codings: Mapping[str, Callable]) -> None:
    """Fill ``<model>/codes`` (rows, columns, components) and ``<model>/mse`` (rows, columns), NaN where unusable."""
    for rows, spectra, usable in tqdm(source.blocks(), "maps", unit="block"):
        for name, code in codings.items():
            codes, made = code(spectra)
            codes, errors = codes.astype("float32"), mean_squared_error_per_spectrum(spectra, made).astype("float32")
            codes[~usable], errors[~usable] = np.nan, np.nan
            for what, values in (("codes", codes), ("mse", errors)):
                at = maps.require_dataset(f"{name}/{what}", (*source.grid, *values.shape[1:]), "float32")
                at[rows] = values.reshape(-1, source.grid[1], *values.shape[1:])


def _errors(maps: h5py.File) -> list[dict[str, str]]:
    """Mean errors of every model over every pixel, those learned from and those held out."""
    held = maps["heldout"][:]
    parts = {"every pixel": np.ones_like(held), "learned from": ~held, "held out": held}
    names = {"pca": "PCA", "dl": "dictionary, lasso codes", "vae": "β-VAE"}
    return [{"MSE (s.d.²)": names[model]} | {
        part: number(float(np.nanmean(maps[f"{model}/mse"][:][pixels]))) for part, pixels in parts.items()
        if pixels.any()} for model in MODELS]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m helpers.every_pixel build/<profile>/seed<seed>")
    try:
        print(as_markdown(describe(Path(sys.argv[1]))))
    except (ValueError, OSError) as error:
        sys.exit(str(error))
