"""A training of a notebook before its turn: ``python -m workflow.ahead NOTEBOOK NUMBER PARAMETERS FILE``.

Trainings that do not wait for one another run side by side so; the notebook then reads their checkpoints back. Their
folder, without the number of a start, is named in FILE; it holds a hash of all that decides how the training goes.
"""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from workflow.settings import cells


def trainings(notebook: Path) -> list[list[dict]]:
    """For each cell tagged ``training``: that cell, behind those before it that it needs.

    It needs the cell of the parameters and those tagged ``setup``; of these, one with a further tag only where the
    training has that tag as well.
    """
    before, found = [], []
    for cell in cells(notebook):
        tags = set(cell["metadata"].get("tags", []))
        if "training" in tags:
            found.append([*(other for own, other in before if own <= tags), cell])
        elif tags & {"setup", "parameters"}:
            before.append((tags - {"setup", "parameters"}, cell))
    return found


def reads(training: list[dict], files: Iterable[str]) -> list[str]:
    """Those of `files` that are named in the cells of a training."""
    code = "\n".join("".join(cell["source"]) for cell in training)
    return [file for file in files if Path(file).name in code]


def main() -> None:
    """Run the cells of one training; one that fails is left to the notebook, and names no folder."""
    notebook, number, parameters, file = sys.argv[1:]
    names = {"on_colab": False}
    try:
        for cell in trainings(Path(notebook))[int(number) - 1]:
            exec("".join(cell["source"]), names)
            if "parameters" in cell["metadata"]["tags"]:
                names |= json.loads(parameters)
    except Exception:
        traceback.print_exc(file=sys.stdout)
    kept = [getattr(value, "checkpoints", None) for value in names.values()]
    folders = [checkpoints.folder.name for checkpoints in kept if hasattr(checkpoints, "folder")]
    Path(file).write_text("".join(re.sub(r"(-[0-9a-f]{12})-\d+$", r"\1", name) + "\n" for name in folders))


if __name__ == "__main__":
    main()
