"""Where files live, how they are written whole, and the machine that a run is made on."""

from __future__ import annotations

import errno
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent

OWN_SCANS = (".h5", ".hdf5", ".hf5", ".mat", ".npy", ".npz", ".ibw", ".arhdf5")
TEXT_SCANS = (".txt", ".csv", ".tsv", ".dat", ".asc")  # one file a pixel


def own_scans(folder: Path = ROOT / "data") -> list[Path]:
    """The reader's own files in `folder`, of which `auto` takes the first; hidden ones are none."""
    return sorted(p for p in folder.glob("[!.]*") if p.suffix.lower() in OWN_SCANS and p.is_file())


def passed_over(folder: Path) -> str:
    """A sentence on the files of a folder of scans that are none by their names; nothing where there are none."""
    kept = (*OWN_SCANS, ".md", ".png", ".py")
    others = sorted(p.name for p in folder.glob("[!.]*") if p.is_file() and p.suffix.lower() not in kept)
    some = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    return f"{folder}: {some} passed over: expected names ending in {', '.join(OWN_SCANS)}" if others else ""


def is_text_scan(folder: Path) -> bool:
    """Whether a folder holds text files, one a pixel, and no scan in another format."""
    return not own_scans(folder) and any(p.suffix.lower() in TEXT_SCANS for p in folder.glob("[!.]*"))


class Build:
    """Folders of one run: ``<root>/<profile>/seed<seed>/``."""

    def __init__(self, root: Path, profile: str, seed: int):
        self.root, self.profile, self.seed = root, profile, seed
        self.folder = root / profile / f"seed{seed}"
        self.results, self.figures, self.movies, self.checkpoints = (
            self.folder / name for name in ("results", "figures", "movies", "checkpoints"))

    def make_folders(self) -> None:
        """Create the folders; one that cannot be written is a PermissionError naming it and the remedy."""
        for folder in (self.results, self.figures, self.movies):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with atomic(folder / ".writable") as probe:
                    probe.touch()
                (folder / ".writable").unlink(missing_ok=True)
            except OSError as error:
                raise PermissionError(f"cannot write to the build folder {folder} ({error.strerror}): expected a "
                                      "writable folder; choose another with the parameter `build`") from error


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Temporary path beside `path`, renamed to it when the block ends without error.

    The suffix is kept, so that writers which choose a format by suffix work. On an
    error the temporary file is removed and whatever stood at `path` stays.

    Raises
    ------
    OSError
        If the disk is full or the folder is not writable; one sentence naming `path`.
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        full = error.errno == errno.ENOSPC  # HDF5 says it in many lines
        reason = os.strerror(errno.ENOSPC) if full else error.strerror or error
        raise OSError(error.errno, f"could not write {path} ({reason}): expected free space and a writable folder; "
                                   "free some space or choose another `build` folder and run again") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path):
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, content: object) -> None:
    """Write JSON, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays to a compressed npz, whole or not at all."""
    with atomic(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays that an earlier notebook saved; nothing is unpickled."""
    with np.load(require(path), allow_pickle=False) as stored:
        return dict(stored)


def require(path: Path) -> Path:
    """`path`, if an earlier notebook has written it."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: expected the result of an earlier notebook with the same "
                                "profile and seed; run the notebooks in order, or `make figures`")
    return path


def hardware() -> str:
    """Cores, their kind and the GPU, if there is one, for a sentence."""
    names = []
    if shutil.which("nvidia-smi"):
        asked = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], text=True,
                               capture_output=True, check=False)
        names = asked.stdout.strip().splitlines() if asked.returncode == 0 else []
    gpu = f"{len(names)} × {names[0]}" if names else "no GPU"
    return f"{os.cpu_count()} {platform.machine()} cores and {gpu}"


def peak_memory_GiB() -> float:
    """Largest memory this process has held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024**3
