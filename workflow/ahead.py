"""A training of a notebook before its turn: ``python -m workflow.ahead NOTEBOOK NUMBER PARAMETERS``.

Trainings that do not wait for one another run side by side so; the notebook then reads their checkpoints back.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from workflow.settings import cells


def trainings(notebook: Path) -> list[list[dict]]:
    """For each cell tagged ``training``: that cell, behind those tagged ``setup`` or ``parameters`` before it."""
    before, found = [], []
    for cell in cells(notebook):
        tags = cell["metadata"].get("tags", [])
        if "training" in tags:
            found.append([*before, cell])
        elif "setup" in tags or "parameters" in tags:
            before.append(cell)
    return found


def main() -> None:
    """Run the cells of one training."""
    notebook, number, parameters = sys.argv[1:]
    names = {"on_colab": False}
    for cell in trainings(Path(notebook))[int(number) - 1]:
        exec("".join(cell["source"]), names)
        if "parameters" in cell["metadata"]["tags"]:
            names |= json.loads(parameters)


if __name__ == "__main__":
    main()
