"""Trained weights kept beside the project, for those who do not want to wait."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from helpers.checkpoints import DAMAGED
from helpers.inference import open_channels
from helpers.beta_vae import load_beta_vae
from helpers.paths import ROOT, atomic
from helpers.profiles import WEIGHTS, Network, Training
from helpers.training import Trained, train
from helpers.watching import Snapshots

FOLDER = ROOT / "data/weights"


class Pretrained(Trained):
    """A training read from files; its model has the weights of the chosen snapshot."""

    def restore_chosen(self) -> None:
        """Nothing is to be done."""


def fingerprint(*arrays: np.ndarray) -> str:
    """Hash of arrays to three decimals, the same wherever they were computed."""
    digest = hashlib.sha256()
    for values in arrays:
        digest.update(repr(values.shape).encode())
        digest.update((np.round(values, 3) + 0.0).astype("float32").tobytes())
    return digest.hexdigest()


def train_or_load(weights: str, network: Network, training: Training, spectra: np.ndarray, drive: np.ndarray, *,
                  watched: np.ndarray, seed: int, title: str, **options) -> Trained:
    """`train`, or with ``weights="pretrained"`` the training kept in data/weights, where it fits.

    It fits where network, recipe, seed, training spectra and watched spectra are the same; otherwise a
    sentence says what is not, and the network is trained. Its seconds are those of the machine that trained it.

    Raises
    ------
    ValueError
        If `weights` is neither "train" nor "pretrained", or files are damaged.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"weights is {weights!r}: expected one of {', '.join(WEIGHTS)}; correct WEIGHTS=…")
    if weights == "pretrained":
        reason = mismatch(FOLDER / title.lower(), network, training, spectra, watched, seed)
        if not reason:
            print(f"{title}: weights trained in advance are used (data/weights/{title.lower()}.json says how); seconds are "
                  "those of that training")
            return load(FOLDER / title.lower(), network, drive, spectra.shape[-1])
        print(f"{title}: {reason}, so the network is trained here")
    return train(network, training, spectra, drive, watched=watched, seed=seed, title=title, **options)


def store(path: Path, run: Trained, network: Network, training: Training, spectra: np.ndarray,
          watched: np.ndarray, **about) -> None:
    """Write the model as ``<path>.weights.h5``, its course as ``.npz`` and its origin as ``.json``.

    Parameters
    ----------
    run : Trained
        With the chosen snapshot restored.
    about : str or number
        What a reader wants to know: seed, source of the data, metrics.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = run.arrays()
    kept = open_channels(run.model)
    arrays["snapshot_embeddings"] = arrays["snapshot_embeddings"][..., kept].astype("float16")
    with atomic(path.with_suffix(".weights.h5")) as temporary:
        run.model.save_weights(temporary)
    with atomic(path.with_suffix(".npz")) as temporary:
        np.savez_compressed(temporary, **arrays, open=kept)
    origin = {**about, "network": asdict(network), "training": asdict(training),
              "spectra": fingerprint(spectra), "watched": fingerprint(watched)}
    with atomic(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")


def mismatch(path: Path, network: Network, training: Training, spectra: np.ndarray, watched: np.ndarray,
             seed: int) -> str:
    """Why the files of `store` cannot stand for a training; empty if they can."""
    about = path.with_suffix(".json")
    try:
        origin = json.loads(about.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"there are no weights trained in advance ({about.name} is missing)"
    except ValueError as error:
        raise ValueError(f"{about} is damaged ({error}): expected the record of a training; "
                         "fetch it again, or use WEIGHTS=train") from error
    for part, settings in (("network", network), ("training", training)):
        given = json.loads(json.dumps(asdict(settings)))
        different = [name for name in given if origin[part].get(name) != given[name]]
        if different:
            return (f"the weights trained in advance are of a {part} with other {', '.join(different)} "
                    "(profile laptop has theirs)")
    if origin["seed"] != seed:
        return f"the weights trained in advance are of seed {origin['seed']}"
    if origin["spectra"] != fingerprint(spectra):
        return "the weights trained in advance learned other spectra (another scan, seed or number of them)"
    if origin["watched"] != fingerprint(watched):
        return "the weights trained in advance were shown another picture"
    return ""


def load(path: Path, network: Network, drive: np.ndarray, channels: int) -> Pretrained:
    """Read what `store` wrote.

    Raises
    ------
    ValueError
        If a file is missing, damaged, or of another network.
    """
    model = load_beta_vae(path.with_suffix(".weights.h5"), network, drive, channels)
    try:
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
            arrays = dict(stored)
        few = arrays["snapshot_embeddings"]
        arrays["snapshot_embeddings"] = np.zeros((*few.shape[:2], network.latents), "float32")
        arrays["snapshot_embeddings"][..., arrays["open"]] = few
        snapshots = Snapshots()
        snapshots.restore(arrays)
        history = {name.removeprefix("history_"): values for name, values in arrays.items()
                   if name.startswith("history_")}
        return Pretrained(model, history, snapshots, arrays["coordinate_errors"],
                          float(arrays["first_beta"]), checkpoints=None,
                          start_mse=float(arrays.get("start_mse", np.nan)),
                          start_seconds=float(arrays.get("start_seconds", np.nan)))
    except DAMAGED as error:
        raise ValueError(f"{path.with_suffix('.npz')} is damaged ({error}): expected the course of a "
                         "training; fetch it again, or use WEIGHTS=train") from error
