"""What a notebook is made of: its source, its parameters and the helpers it imports."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from pathlib import Path

from helpers.paths import ROOT


def cells(notebook: Path, *kinds: str) -> list[dict]:
    """Cells of a notebook file, or those of the given kinds (``code``, ``markdown``)."""
    every = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    return [cell for cell in every if not kinds or cell["cell_type"] in kinds]


def _tree(cell: dict) -> ast.Module:
    # IPython's own commands become strings, which keep the indentation of the block around.
    lines = re.sub(r"^(\s*)[%!].*$", r"\1''", "".join(cell["source"]), flags=re.MULTILINE)
    return ast.parse(lines)


def source_digest(notebook: Path) -> str:
    """Hash of what the author wrote in a notebook file."""
    return cells_digest(cells(notebook))


def cells_digest(every: list[dict]) -> str:
    """Hash of the text and code of all cells, without their outputs."""
    sources = [[cell["cell_type"], "".join(cell["source"])] for cell in every]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def parameters_used(notebook: Path) -> set[str]:
    """Names assigned in the cell tagged ``parameters`` that the notebook's code reads.

    papermill only warns of a parameter that a notebook does not know, and one that is not read
    is no reason to run again.

    Raises
    ------
    ValueError
        If there is no such cell: injected values would then be overwritten.
    """
    code = cells(notebook, "code")
    tagged = [cell for cell in code if "parameters" in cell["metadata"].get("tags", [])]
    if not tagged:
        raise ValueError(f"{notebook} has no cell tagged `parameters`: expected one that assigns "
                         "profile and seed; tag it in JupyterLab.")
    return _names(tagged, ast.Store) & _names(code, ast.Load)


def _names(code: list[dict], context: type) -> set[str]:
    return {node.id for cell in code for node in ast.walk(_tree(cell))
            if isinstance(node, ast.Name) and isinstance(node.ctx, context)}


def helper_files(notebook: Path, root: Path = ROOT) -> list[str]:
    """Modules of ``helpers`` that a notebook or module imports, directly or through one another.

    Of a package that hands on names of its modules, those modules count whose names are used.
    Files that a module names and that lie beside it (a style sheet) count as imported.

    Returns
    -------
    list of str
        Paths relative to `root`, sorted.
    """
    found: set[tuple[Path, str]] = set()
    if notebook.suffix == ".py":
        trees = [(ast.parse(notebook.read_text(encoding="utf-8")), (root / notebook).parent)]
    else:
        trees = [(ast.Module([part for cell in cells(notebook, "code") for part in _tree(cell).body], []),
                  root)]
    while trees:
        tree, folder = trees.pop()
        for path in _named_files(tree, folder, root):
            module, key = _module(path, tree)
            if key not in found:
                found.add(key)
                trees.append((module, path.parent))
    return sorted({str(path.relative_to(root)) for path, _ in found})


def _module(path: Path, importer: ast.Module) -> tuple[ast.Module, tuple[Path, str]]:
    """The part of a module that `importer` reaches, and a key that tells such parts apart."""
    if path.suffix != ".py":
        return ast.Module([], []), (path, "")
    module = ast.parse(path.read_text(encoding="utf-8"))
    if path.name != "__init__.py":
        return module, (path, "")
    nodes = list(ast.walk(importer))
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {node.name for node in nodes if isinstance(node, ast.alias)}
    module.body = [part for part in module.body if not isinstance(part, ast.ImportFrom)
                   or "*" in used or used & {alias.asname or alias.name for alias in part.names}]
    return module, (path, ast.dump(module))


def _named_files(tree: ast.Module, folder: Path, root: Path) -> set[Path]:
    """Files that the imports and strings of one module name."""
    modules, files = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = folder.relative_to(root).parts
            package = package[:len(package) + 1 - node.level] if node.level else ()
            base = ".".join([*package, *filter(None, [node.module])])
            modules |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and folder != root:
            if re.fullmatch(r"[\w-]+\.\w+", node.value):
                files.add(folder / node.value)
    for module in modules:
        parts = module.split(".")
        if parts[0] in ("helpers", "workflow"):
            files |= {root.joinpath(*parts[:n], "__init__.py") for n in range(1, len(parts) + 1)}
            files.add(root.joinpath(*parts).with_suffix(".py"))
    return {path for path in files if path.is_file()}
