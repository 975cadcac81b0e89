"""How well the models of a finished run describe another cycle of the same scan.

``python -m workflow.cycles build/laptop/seed0 FILE CYCLE`` trains nothing: it takes the models that
`make figures DATA=FILE CYCLE=…` made of one cycle and shows them another, measured at the same pixels.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from helpers.scans.blocks import read_as
from helpers.scans.formats import DataError
from helpers.scans.reading import load_scan, read
from helpers.scans.scan import Scan, drive_waveform, heldout_blocks, standardised, training_pixels
from helpers.beta_vae import load_beta_vae, reconstruct
from helpers.dictionary import stack_channels, unstack_channels
from helpers.profiles import Profile, get_profile
from helpers.record import load_arrays, require

COMPONENTS = 5  # as many as the paper's dictionary has atoms


def errors_on_cycles(folder: Path, other: Scan) -> dict[str, tuple[float, float]]:
    """Mean squared error of each model on the cycle it was trained on and on another.

    Parameters
    ----------
    folder : Path
        Build folder of a finished run, ``build/<profile>/seed<seed>``.
    other : Scan
        Another cycle of the scan of that run.

    Returns
    -------
    dict of str to (float, float)
        By model, over the pixels usable in both cycles, in the standard deviations of the trained
        cycle. Dictionary atoms are fitted by least squares. The last entry is the
        error of taking one cycle for the other.

    Raises
    ------
    DataError
        If `other` has not the pixels, steps and channels of the run's scan.
    FileNotFoundError
        If the run is not finished.
    """
    results = folder / "results"
    scan = load_scan(require(results / "scan.h5"))
    _check_same_pixels(scan, other)
    record = json.loads(require(results / "3_beta_vae_training.json").read_text(encoding="utf-8"))
    profile = get_profile(record["parameters"]["profile"])
    spectra, scaler = standardised(scan)
    training = training_pixels(scan, heldout_blocks(scan.shape, profile.heldout_every))
    usable = scan.usable & other.usable
    cycles = [cycle[usable] for cycle in (spectra, standardised(other, scaler)[0])]
    errors = {}
    for name, describe in _models(results, profile, scan, spectra[training]).items():
        errors[name] = tuple(float(np.square(describe(cycle) - cycle).mean()) for cycle in cycles)
    return errors | {"the trained cycle itself": (0.0, float(np.square(cycles[1] - cycles[0]).mean()))}


def _check_same_pixels(scan: Scan, other: Scan) -> None:
    alike = scan.piezoresponse.shape == other.piezoresponse.shape and set(scan.channels) == set(other.channels)
    if not alike or not np.allclose(scan.voltage_V, other.voltage_V):
        raise DataError(f"{other.path} has loops of shape {other.piezoresponse.shape} with {', '.join(other.channels)}: "
                        f"expected {scan.piezoresponse.shape} with {', '.join(scan.channels)} at the same voltages, "
                        "as the run; name the file that the run was made from")


def _models(results: Path, profile: Profile, scan: Scan, training: np.ndarray
            ) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Functions from spectra (n, steps, channels) to what each model makes of them."""
    channels = training.shape[-1]
    pca = PCA(COMPONENTS).fit(stack_channels(training))
    atoms = load_arrays(results / "dictionary.npz")["beps_atoms"]
    network = load_beta_vae(results / "weights/beps.weights.h5", profile.beps_network,
                            drive_waveform(scan.voltage_V), channels)

    def linear(spectra: np.ndarray, project) -> np.ndarray:
        return unstack_channels(project(stack_channels(spectra)), channels)

    return {
        f"PCA, {COMPONENTS} components": lambda x: linear(x, lambda s: pca.inverse_transform(pca.transform(s))),
        f"dictionary, {len(atoms)} atoms": lambda x: linear(x, lambda s: s @ np.linalg.pinv(atoms) @ atoms),
        "β-VAE": lambda x: reconstruct(network, x),
    }


def report(folder: Path, path: Path, cycle: int) -> str:
    """The errors of `errors_on_cycles` as a table."""
    stored = require(folder / "results/0_measured_data.json")
    choice, cleaning = read_as(json.loads(stored.read_text(encoding="utf-8"))["parameters"])
    choice = replace(choice, cycle=cycle, theta_rad=read(path, choice).theta_rad)  # field and rotation as in the run
    errors = errors_on_cycles(folder, load_scan(path, choice, cleaning))
    lines = [f"{'mean squared error':26}{'trained cycle':>16}{f'cycle {cycle}':>16}"]
    lines += [f"{name:26}{trained:16.5f}{shown:16.5f}" for name, (trained, shown) in errors.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 4 or not sys.argv[3].isdecimal():
        sys.exit("usage: python -m workflow.cycles build/<profile>/seed<seed> FILE CYCLE")
    try:
        print(report(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
    except (ValueError, OSError) as error:
        sys.exit(str(error))
