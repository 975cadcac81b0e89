"""One page that compares many scans, drawn from what each has left in its build folder.

``python -m workflow.compare PAGE FOLDER_OF_SCANS build/<profile>/seed<seed>``
"""

from __future__ import annotations

import base64
import html
import json
import os
import sys
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import matplotlib as mpl
import numpy as np
from PIL import Image

from helpers.loops import loop_features
from helpers.paths import atomic
from helpers.record import load_arrays
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
STYLE = """body{font:13px sans-serif;margin:1em;color:#262626}p{max-width:60em}table{border-collapse:collapse}
th,td{padding:.4em .35em;text-align:right;border-bottom:1px solid #ddd}th{vertical-align:bottom;min-width:3em}
td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}.failed{color:#a33000}img{image-rendering:pixelated}"""


def write_page(path: Path, scans: Mapping[str, str]) -> None:
    """Write an HTML table with a row for each scan; one that failed is named with the reason.

    Parameters
    ----------
    path : Path
        Written whole; its links are relative to its folder.
    scans : mapping of str to str
        Build folder of each scan and the file it was read from.
    """
    headings = ["scan", "maps of the active channels", *METRICS, *FEATURES]
    rows = [_row(Path(folder), Path(file), path.parent) for folder, file in scans.items()]
    done = sum("failed" not in row for row in rows)
    explained = (
        "MSE in standard deviations squared of each scan; held out / PCA 5 is that of the β-VAE over that of five "
        "principal components, both on held-out pixels. Maps are posterior means between "
        f"−{MAP_LIMIT:g} (light blue) and {MAP_LIMIT:g} (yellow), the channels by falling KL; the sign and the order "
        "of channels mean nothing between scans. Features are medians over the pixels.")
    text = "\n".join([
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{done} scans</title><style>{STYLE}</style>",
        f"<h1>{done} of {len(rows)} scans</h1>",
        f"<p>{explained}</p>",
        "<table><tr>" + "".join(f"<th>{html.escape(name)}" for name in headings), *rows, "</table></html>", ""])
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _row(folder: Path, file: Path, page: Path) -> str:
    name = html.escape(file.name)
    if not (folder / "metrics.json").is_file():
        left = [f"{notebook.stem}: {reason(notebook)}" for notebook in sorted(folder.glob("logs/*.ipynb"))]
        why = html.escape("; ".join(left) or "not run yet")
        return f"<tr><td>{name}<td class=failed colspan={1 + len(METRICS) + len(FEATURES)}>{why}"
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    if "beps.vae.mse_heldout" in metrics:
        metrics["ratio"] = metrics["beps.vae.mse_heldout"] / metrics["beps.pca5.mse_heldout"]
    scan = load_scan(folder / "results/scan.h5")
    features = loop_features(scan.spectra[..., :1], scan.voltage_V)
    medians = {key: float(np.nanmedian(values[scan.usable])) for key, values in features.items()}
    link = html.escape(quote(os.path.relpath(folder / "notebooks/5_paper_and_reproduction.html", page)))
    simulated = " (simulated)" if scan.source == "twin" else ""
    embedding = load_arrays(folder / "results/vae_beps.npz")
    active = embedding["embedding"][:, embedding["order"][: metrics["beps.vae.active"]]]
    numbers = [metrics.get(key) for key in METRICS.values()] + [medians.get(key) for key in FEATURES.values()]
    cells = ["" if value is None else f"{value:.3g}".replace("-", "−") for value in numbers]
    return (f'<tr><td><a href="{link}">{name}</a>{simulated}<td>{_strip(scan.maps(active))}'
            + "".join(f"<td>{cell}" for cell in cells))


def _strip(maps: np.ndarray) -> str:
    """Maps (n, rows, columns) beside one another as one picture within the page."""
    if not len(maps):
        return "none"
    colours = mpl.colormaps["managua_r"].with_extremes(bad="white")
    wide = np.concatenate([np.pad(one, ((0, 0), (0, 1)), constant_values=np.nan) for one in maps], axis=1)
    painted = colours(np.ma.masked_invalid(wide / (2 * MAP_LIMIT) + 0.5), bytes=True)
    buffer = BytesIO()
    Image.fromarray(painted).convert("RGB").save(buffer, "PNG")
    coded = base64.b64encode(buffer.getvalue()).decode()
    return f'<img height={MAP_PIXELS} alt="{len(maps)} maps" src="data:image/png;base64,{coded}">'


if __name__ == "__main__":
    write_page(Path(sys.argv[1]), scan_folders(*sys.argv[2:]))
