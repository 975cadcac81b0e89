"""The models of a finished run, applied to more than they were trained on.

`make every-pixel DATA=my.h5`, or ``python -m workflow.apply build/<profile>/seed<seed>``: every pixel of a scan that
was too large for the notebooks, read a few rows at a time. PCA is fitted to every training pixel and the dictionary to
many of each block of rows, both by `partial_fit`; the network is that of the run.
Writes ``results/every_pixel.h5``, maps and errors at full resolution, ``results/every_pixel.json``
and ``figures/every_pixel.png`` and ``.pdf``.

``python -m workflow.apply build/<profile>/seed<seed> FILE CYCLE``: another cycle of the scan of that run, measured at
the same pixels. Nothing is trained.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from sklearn.decomposition import PCA, IncrementalPCA, MiniBatchDictionaryLearning
from tqdm import tqdm

from helpers.beta_vae import active_channels, decode, encode, load_beta_vae, mean_kl, reconstruct
from helpers.dictionary import PASSES, stack_channels, unstack_channels
from helpers.figures.inputs import Look
from helpers.figures.loops import figure_every_pixel
from helpers.figures.style import save_figure
from helpers.paper import as_markdown, number
from helpers.paths import atomic, load_arrays, read_json, require, write_json
from helpers.profiles import DICTIONARY, get_profile
from helpers.scans.blocks import Source, on_whole_grid, read_as, source_of
from helpers.scans.formats import DataError
from helpers.scans.reading import load_scan, read
from helpers.scans.scan import Scan, drive_waveform, heldout_blocks, standardised, training_pixels
from helpers.scores import mean_squared_error_per_spectrum

# Spectra between two updates of the atoms, and updates for each block. Codes that solve the lasso cost
# a hundred times what PCA does, and atoms settle on a part of the spectra.
DICTIONARY_BATCH, DICTIONARY_UPDATES = 512, 4


def fit_linear(batches: Iterable[np.ndarray], atoms: np.ndarray, sparsity: float
               ) -> tuple[IncrementalPCA, MiniBatchDictionaryLearning, int]:
    """PCA and dictionary of as many components as `atoms` has rows, fitted batch by batch, and the spectra PCA took.

    Batches, shape (n, features), are standardised and stacked; one with fewer spectra than components waits for the
    next. The dictionary starts at `atoms`; `sparsity` is λ of its fit and of its codes. A DataError tells that there
    are fewer spectra than components.
    """
    pca = IncrementalPCA(len(atoms))
    dictionary = MiniBatchDictionaryLearning(
        len(atoms), alpha=sparsity, fit_algorithm="cd", transform_algorithm="lasso_cd", transform_alpha=sparsity,
        transform_max_iter=PASSES, dict_init=atoms, random_state=0)
    fitted, waiting = 0, np.empty((0, atoms.shape[1]))
    for batch in batches:
        waiting = np.concatenate([waiting, batch])
        if len(waiting) >= len(atoms):
            pca.partial_fit(waiting)
            updates = min(DICTIONARY_UPDATES, -(-len(waiting) // DICTIONARY_BATCH))
            few = waiting[:: -(-len(waiting) // (updates * DICTIONARY_BATCH))]
            for part in range(updates):
                dictionary.partial_fit(few[part::updates])
            fitted, waiting = fitted + len(waiting), waiting[:0]
    if not fitted:
        raise DataError(f"{len(waiting)} spectra are fewer than {len(atoms)} components: expected more; "
                        "hold fewer pixels out")
    return pca, dictionary, fitted


def _finished(folder: Path) -> tuple:
    """Scan, parameters, profile, dictionary atoms and network of a finished run."""
    results = folder / "results"
    scan = load_scan(require(results / "scan.h5"))
    parameters = read_json(require(results / "0_measured_data.json"))["parameters"]
    profile = get_profile(parameters["profile"])
    network = load_beta_vae(results / "weights/beps.weights.h5", profile.beps_network, drive_waveform(scan.voltage_V),
                            len(scan.channels))
    return scan, parameters, profile, load_arrays(results / "dictionary.npz")["beps_atoms"], network


def describe(folder: Path) -> list[dict[str, str]]:
    """Fit the linear models to every training pixel and map all models over every pixel.

    `folder` is that of a finished run, ``build/<profile>/seed<seed>``. Returns a row a model: its mean squared error
    over every pixel, over those learned from and over those held out, in standard deviations squared. A DataError tells
    that the file of the run is not as it was, or that the scan was simulated; a FileNotFoundError, that the run is not
    finished.
    """
    scan, parameters, profile, atoms, network = _finished(folder)
    source = source_of(scan, parameters)
    blocks = heldout_blocks(scan.shape, profile.heldout_every)
    held = on_whole_grid(blocks.reshape(scan.shape), source.grid)

    def learned_from() -> Iterator[np.ndarray]:
        for rows, spectra, usable in source.blocks(shuffled=True):
            yield stack_channels(spectra[usable & ~held[rows].ravel()])

    pca, dictionary, fitted = fit_linear(tqdm(learned_from(), "linear models", unit="block"), atoms,
                                         DICTIONARY["sparsity"])
    print(f"PCA is fitted to {fitted} pixels of {source.grid[0]} × {source.grid[1]}, the network to "
          f"{training_pixels(scan, blocks).sum()}")
    active = active_channels(mean_kl(network, standardised(scan)[0][scan.usable]))
    with atomic(folder / "results/every_pixel.h5") as temporary, h5py.File(temporary, "w") as maps:
        maps["heldout"] = held
        codings = _codings(pca, dictionary, network, active, len(scan.channels))
        write_maps(maps, source, codings)
        errors = {name: maps[f"{name}/mse"][:] for name in codings}
        rows = _rows(errors, held)
        figure = figure_every_pixel(np.moveaxis(maps["vae/codes"][:], -1, 0), [f"z{k + 1}" for k in active], errors,
                                    Look.of(scan))
    write_json(folder / "results/every_pixel.json", rows)
    save_figure(figure, folder / "figures/every_pixel", provenance={"source": scan.source, "sha256": scan.sha256})
    return rows


def _codings(pca, dictionary, network, active: list[int], channels: int) -> dict[str, Callable]:
    """By model, a function from spectra to what its maps show and to the spectra it makes of that."""
    def linear(model, spectra):
        codes = model.transform(stack_channels(spectra))
        return codes, unstack_channels(codes @ model.components_ + getattr(model, "mean_", 0.0), channels)

    def variational(spectra):
        means = encode(network, spectra)[0]
        return means[:, active], decode(network, means)

    return {"pca": partial(linear, pca), "dl": partial(linear, dictionary), "vae": variational}


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


def _rows(errors: Mapping[str, np.ndarray], held: np.ndarray) -> list[dict[str, str]]:
    """Mean errors of every model over every pixel, those learned from and those held out."""
    parts = {"every pixel": np.ones_like(held), "learned from": ~held, "held out": held}
    names = {"pca": "PCA", "dl": "dictionary, lasso codes", "vae": "companion's β-VAE"}
    return [{"MSE (s.d.²)": names[model]} | {part: number(float(np.nanmean(mse[pixels])))
                                             for part, pixels in parts.items() if pixels.any()}
            for model, mse in errors.items()]


# another cycle


def errors_on_cycles(folder: Path, other: Scan) -> dict[str, tuple[float, float]]:
    """Mean squared error of each model on the cycle it was trained on and on another, by model.

    `folder` is that of a finished run, ``build/<profile>/seed<seed>``, `other` another cycle of its scan. Errors are
    over the pixels usable in both, in the standard deviations of the trained cycle; dictionary atoms are fitted by
    least squares. The last entry is the error of taking one cycle for the other. A DataError tells that `other` has
    not the pixels, steps and channels of the run's scan; a FileNotFoundError, that the run is not finished.
    """
    scan, _, profile, atoms, network = _finished(folder)
    _check_same_pixels(scan, other)
    spectra, scaler = standardised(scan)
    usable, channels = scan.usable & other.usable, len(scan.channels)
    trained, shown = (stack_channels(cycle[usable]) for cycle in (spectra, standardised(other, scaler)[0]))
    training = training_pixels(scan, heldout_blocks(scan.shape, profile.heldout_every))
    pca = PCA(DICTIONARY["atoms"]).fit(stack_channels(spectra[training]))
    models = {
        f"PCA, {DICTIONARY['atoms']} components": lambda x: pca.inverse_transform(pca.transform(x)),
        f"dictionary, {len(atoms)} atoms": lambda x: x @ np.linalg.pinv(atoms) @ atoms,
        "companion's β-VAE": lambda x: stack_channels(reconstruct(network, unstack_channels(x, channels))),
        "the trained cycle itself": lambda x: trained,
    }
    return {name: tuple(float(np.square(made(x) - x).mean()) for x in (trained, shown))
            for name, made in models.items()}


def _check_same_pixels(scan: Scan, other: Scan) -> None:
    alike = scan.piezoresponse.shape == other.piezoresponse.shape and set(scan.channels) == set(other.channels)
    if not alike or not np.allclose(scan.voltage_V, other.voltage_V):
        raise DataError(f"{other.path} has loops of shape {other.piezoresponse.shape} with "
                        f"{', '.join(other.channels)}: "
                        f"expected {scan.piezoresponse.shape} with {', '.join(scan.channels)} at the same voltages, "
                        "as the run; name the file that the run was made from")


def report(folder: Path, path: Path, cycle: int) -> str:
    """The errors of `errors_on_cycles` as a table."""
    choice, cleaning = read_as(read_json(require(folder / "results/0_measured_data.json"))["parameters"])
    choice = replace(choice, cycle=cycle, theta_rad=read(path, choice).theta_rad)  # field and rotation as in the run
    errors = errors_on_cycles(folder, load_scan(path, choice, cleaning))
    lines = [f"{'mean squared error':26}{'trained cycle':>16}{f'cycle {cycle}':>16}"]
    lines += [f"{name:26}{trained:16.5f}{shown:16.5f}" for name, (trained, shown) in errors.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 2 and (len(sys.argv) != 4 or not sys.argv[3].isdecimal()):
        sys.exit("usage: python -m workflow.apply build/<profile>/seed<seed> [FILE CYCLE]")
    try:
        if len(sys.argv) == 2:
            print(as_markdown(describe(Path(sys.argv[1]))))
        else:
            print(report(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
    except (ValueError, OSError) as error:
        sys.exit(str(error))
