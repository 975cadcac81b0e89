"""The machine that a run was made on."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys


def hardware() -> str:
    """Cores, their kind and the GPU, if there is one, for a sentence."""
    return f"{os.cpu_count()} {platform.machine()} cores and {_gpu() or 'no GPU'}"


def _gpu() -> str:
    if not shutil.which("nvidia-smi"):
        return ""
    asked = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], text=True,
                           capture_output=True, check=False)
    names = asked.stdout.strip().splitlines() if asked.returncode == 0 else []
    return f"{len(names)} × {names[0]}" if names else ""


def peak_memory_GiB() -> float:
    """Largest memory this process has held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024**3
