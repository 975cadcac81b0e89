"""Checkpoints of a training: written whole, the last two kept, damaged ones set aside."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import keras
import numpy as np

from helpers.paths import atomic
from helpers.profiles import Network, Training

KEPT = 2
# The modules that decide how a training goes: after a change in one, no checkpoint is gone on from.
CODE = ("beta_vae", "schedule", "training", "start", "coordinates", "inference")
DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


def configuration_hash(network: Network, training: Training, seed: int,
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
    """The checkpoint files of one training in a folder of its own."""

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
