"""One page that compares many scans, drawn from what each has left in its build folder.

``python -m workflow.compare PAGE FOLDER_OF_SCANS build/<profile>/seed<seed>``
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import numpy as np
from jinja2 import Environment
from matplotlib.image import imsave

from helpers.figures.style import SIGNED
from helpers.loops import loop_features
from helpers.paths import atomic, load_arrays, read_json
from helpers.scans.reading import load_scan
from workflow.settings import reason, scan_folders

# Heading of a column and the number of metrics.json in it.
METRICS = {
    "DL, MSE": "beps.dl.mse", "PCA 5, MSE": "beps.pca5.mse", "β-VAE, MSE": "beps.vae.mse",
    "β-VAE, held out": "beps.vae.mse_heldout", "held out / PCA 5": "ratio",
    "active channels": "beps.vae.active",
}
# Medians over the pixels (helpers.loops).
FEATURES = {
    "coercive +, V": "coercive_positive_V", "coercive −, V": "coercive_negative_V", "imprint, V": "imprint_V",
    "remanent +, arb. u.": "remanent_positive_arb", "remanent −, arb. u.": "remanent_negative_arb",
}
MAP_PIXELS, MAP_LIMIT = 48, 2.5


def write_page(path: Path, scans: Mapping[str, str]) -> None:
    """Write an HTML table with a row for each scan; one that failed is named with the reason.

    `scans` are the build folder of each scan and the file it was read from. The page, written whole, has links relative
    to its folder.
    """
    rows = [_row(Path(folder), Path(file), path.parent) for folder, file in scans.items()]
    template = Environment(autoescape=True).from_string((Path(__file__).parent / "compare.html").read_text("utf-8"))
    text = template.render(headings=[*METRICS, *FEATURES], rows=rows, limit=f"{MAP_LIMIT:g}", height=MAP_PIXELS)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _row(folder: Path, file: Path, page: Path) -> dict[str, object]:
    """What a row shows of a scan, or why it failed."""
    if not (folder / "metrics.json").is_file():
        left = [f"{notebook.stem}: {reason(notebook)}" for notebook in sorted(folder.glob("logs/*.ipynb"))]
        return {"name": file.name, "failed": "; ".join(left) or "not run yet"}
    metrics = read_json(folder / "metrics.json")
    if "beps.vae.mse_heldout" in metrics:
        metrics["ratio"] = metrics["beps.vae.mse_heldout"] / metrics["beps.pca5.mse_heldout"]
    scan = load_scan(folder / "results/scan.h5")
    features = loop_features(scan.spectra[..., :1], scan.voltage_V)
    medians = {key: float(np.nanmedian(values[scan.usable])) for key, values in features.items()}
    embedding = load_arrays(folder / "results/vae_beps.npz")
    active = embedding["embedding"][:, embedding["order"][: metrics["beps.vae.active"]]]
    numbers = [metrics.get(key) for key in METRICS.values()] + [medians.get(key) for key in FEATURES.values()]
    return {
        "name": file.name, "simulated": scan.source == "twin",
        "channels": active.shape[1], "maps": _strip(scan.maps(active)),
        "link": quote(os.path.relpath(folder / "notebooks/5_paper_and_reproduction.html", page)),
        "numbers": ["" if value is None else f"{value:.3g}".replace("-", "−") for value in numbers]}


def _strip(maps: np.ndarray) -> str:
    """Maps (n, rows, columns) beside one another as a PNG in base64; nothing where there are none."""
    if not len(maps):
        return ""
    wide = np.concatenate([np.pad(one, ((0, 0), (0, 1)), constant_values=np.nan) for one in maps], axis=1)
    colours, buffer = SIGNED.with_extremes(bad="white"), BytesIO()
    imsave(buffer, wide, vmin=-MAP_LIMIT, vmax=MAP_LIMIT, cmap=colours, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


if __name__ == "__main__":
    write_page(Path(sys.argv[1]), scan_folders(*sys.argv[2:]))
