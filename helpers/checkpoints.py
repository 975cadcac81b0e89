"""Checkpoints of a training, and weights kept beside the project for those who do not want to wait."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from helpers.backend import keras
from helpers.paths import ROOT, atomic, read_json, write_json
from helpers.profiles import AdditiveNetwork, PaperNetwork, Training

KEPT = 2
# Of the files that `store` writes; those of earlier releases have another or none.
FORMAT = 3
WEIGHTS_FOLDER = ROOT / "data/weights"
# The modules that decide how a training goes: after a change in one, no checkpoint is gone on from.
CODE = ("backend", "beta_vae", "additive", "paper_network", "schedule", "callbacks", "training")
DAMAGED = (OSError, ValueError, KeyError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)


def configuration_hash(network: PaperNetwork | AdditiveNetwork, training: Training, seed: int,
                       *arrays: np.ndarray) -> str:
    """Hash of all that decides how a training goes: settings, seed, spectra, libraries and the code itself."""
    digest = hashlib.sha256(repr((asdict(network), asdict(training), seed)).encode())
    backend = keras.backend.backend()
    digest.update(f"{keras.__version__} {backend} {import_module(backend).__version__}".encode())
    for module in CODE:
        digest.update(Path(__file__).with_name(f"{module}.py").read_bytes())
    for values in arrays:
        digest.update(repr(values.shape).encode())
        digest.update(np.ascontiguousarray(values, "float32"))
    return digest.hexdigest()


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoint files of one training: written whole, the last two kept, damaged ones set aside."""

    folder: Path

    def __post_init__(self):
        self.folder.mkdir(parents=True, exist_ok=True)

    def save(self, epoch: int, arrays: dict[str, np.ndarray]) -> None:
        """Write the state after `epoch` epochs and drop all but the last two."""
        with atomic(self.folder / f"checkpoint-{epoch:06d}.npz") as temporary:
            np.savez(temporary, **arrays)
        for old in self._files()[:-KEPT]:
            old.unlink()

    def load(self) -> dict[str, np.ndarray] | None:
        """The newest state that can be read, or None; damaged files are set aside."""
        for path in reversed(self._files()):
            try:
                with np.load(path, allow_pickle=False) as stored:
                    return dict(stored)
            except DAMAGED as error:
                path.rename(path.with_suffix(".damaged"))
                print(f"{path} is damaged ({error}) and set aside as {path.stem}.damaged; "
                      "the checkpoint before it is used")
        return None

    def save_snapshot(self, epoch: int, weights: list[np.ndarray]) -> None:
        """Write the weights of a snapshot, whole or not at all."""
        with atomic(self._snapshot(epoch)) as temporary:
            np.savez(temporary, **numbered("weights", weights))

    def load_snapshot(self, epoch: int) -> list[np.ndarray]:
        """Weights of a snapshot, in the order of ``model.get_weights()``.

        Raises
        ------
        ValueError
            If the file is missing or damaged.
        """
        try:
            with np.load(self._snapshot(epoch), allow_pickle=False) as stored:
                return unnumbered("weights", stored)
        except DAMAGED as error:
            raise ValueError(f"{self._snapshot(epoch)} cannot be read ({error}): expected the weights "
                             f"after epoch {epoch}; remove {self.folder} and train again") from error

    def _snapshot(self, epoch: int) -> Path:
        return self.folder / f"snapshot-{epoch:06d}.npz"

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("checkpoint-*.npz"))


def numbered(name: str, values: list[np.ndarray]) -> dict[str, np.ndarray]:
    """A list as named arrays ``<name>_0000`` …"""
    return {f"{name}_{i:04d}": np.asarray(value) for i, value in enumerate(values)}


def unnumbered(name: str, arrays) -> list[np.ndarray]:
    """Undo `numbered`."""
    return [arrays[key] for key in sorted(arrays) if key.startswith(f"{name}_")]


def fingerprint(*arrays: np.ndarray) -> str:
    """Hash of arrays to three decimals, the same wherever they were computed."""
    digest = hashlib.sha256()
    for values in arrays:
        digest.update(repr(values.shape).encode())
        digest.update((np.round(values, 3) + 0.0).astype("float32").tobytes())
    return digest.hexdigest()


def store(path: Path, run, network: PaperNetwork | AdditiveNetwork, training: Training, spectra: np.ndarray,
          watched: np.ndarray, **about) -> None:
    """Write the model as ``<path>.weights.h5``, its course as ``.npz`` and its origin as ``.json``.

    Parameters
    ----------
    run : training.Trained
        With the chosen snapshot restored.
    about : str or number
        What a reader wants to know: seed, source of the data, metrics.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = run.arrays()
    # Maps are for the eye: to a fiftieth of a prior s.d., without channels of less than a hundredth of a nat.
    maps = (50 * arrays["snapshot_embeddings"]).round() / 50
    arrays["snapshot_embeddings"] = np.where(arrays["snapshot_kl"][:, None] > 0.01, maps, 0).astype("float16")
    with atomic(path.with_suffix(".weights.h5")) as temporary:
        keras.Model(run.model.inputs, run.model.outputs).save_weights(temporary)  # without those of the optimiser
    with atomic(path.with_suffix(".npz")) as temporary:
        np.savez_compressed(temporary, **arrays)
    origin = {**about, "format": FORMAT, "network": asdict(network), "training": asdict(training),
              "spectra": fingerprint(spectra), "watched": fingerprint(watched)}
    write_json(path.with_suffix(".json"), origin)


def mismatch(path: Path, network: PaperNetwork | AdditiveNetwork, training: Training, spectra: np.ndarray,
             watched: np.ndarray, seed: int) -> str:
    """Why the files of `store` cannot stand for a training; empty if they can."""
    about = path.with_suffix(".json")
    try:
        origin = read_json(about)
    except FileNotFoundError:
        return f"there are no weights trained in advance ({about.name} is missing)"
    except ValueError as error:
        raise ValueError(f"{about} is damaged ({error}): expected the record of a training; "
                         "fetch it again, or use WEIGHTS=train") from error
    if origin.get("format") != FORMAT:
        return (f"the weights trained in advance are of an earlier release ({about.name} has format "
                f"{origin.get('format', 1)}: expected {FORMAT}; fetch those of this release)")
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
