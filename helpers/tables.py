"""Table 1 and the table *paper | reproduced | note*, from metrics."""

from __future__ import annotations

import numpy as np

from helpers.paper import STATEMENTS


def number(value: float | None) -> str:
    """Three significant digits, or a dash where there is no number."""
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3g}"


def table_1_rows(metrics: dict, grid_mse: np.ndarray, sweep: dict) -> list[dict[str, str]]:
    """The paper's Table 1 with the measurement behind each word.

    Parameters
    ----------
    metrics : dict
        Metrics of the notebooks so far.
    grid_mse : ndarray, shape (n_lambda,)
        Toy error of dictionary learning along the grid of λ.
    sweep : dict of str to {"median", "min", "max", "n"}
        What `make sweep` collected, or empty.
    """
    def pair(name: str) -> tuple[str, str]:
        return number(metrics[f"toy.{name}"]), number(metrics[f"beps.{name}"])

    def swept(text: str, *pairs: tuple[str, str]) -> str:
        """`text` with the ratio of each pair of medians, the second name left empty for a plain median."""
        if not all(name in sweep for pair in pairs for name in pair if name):
            return "not measured: make sweep"
        return text.format(*(number(sweep[a]["median"] / (sweep[b]["median"] if b else 1)) for a, b in pairs))

    def order(model: str) -> str:
        return swept("held-out error with shuffled over ordered steps: toy {}, BEPS {}",
                     *((f"{name}.control.{model}.shuffled.mse", f"{name}.control.{model}.kept.mse")
                       for name in ("toy", "beps")))

    def spread(model: str) -> str:
        return swept("BEPS held-out error, largest over smallest of the grid: {}", (f"sensitivity.{model}.spread", ""))

    dl_mse, vae_mse = metrics["toy.dl.mse_gamut"], metrics["toy.vae.mse_gamut"]
    seconds = "toy {} s, BEPS {} s"
    along = f"toy error {grid_mse.min():.3g} to {grid_mse.max():.3g} along λ; {spread('dl')}"
    rows = [
        ("Reconstruction quality (MSE)", "Poor", f"toy {number(dl_mse)}, BEPS {number(metrics['beps.dl.mse'])}",
         "Good", f"toy {number(vae_mse)}, BEPS {number(metrics['beps.vae.mse'])}"),
        ("Ordinal", "No", "by construction: any order of steps gives the same fit",
         "Yes", f"recurrent; {order('vae_recipe')}"),
        ("Nonlinear", "No", "by construction", "Yes", "by construction"),
        ("Training time", "Minutes", seconds.format(*pair("dl.seconds")),
         "Hours", seconds.format(*pair("vae.seconds"))),
        ("Inference time", "Minutes", f"{number(metrics['beps.dl.inference_seconds'])} s for the scan",
         "Minutes", f"{number(metrics['beps.vae.inference_seconds'])} s for the scan"),
        ("Influence of hyperparameters", "Sensitive", along, "Less sensitive", spread("vae")),
    ]
    heads = ("", "Dictionary learning: paper", "measured", "β-VAE: paper", "measured ")
    return [dict(zip(heads, row, strict=True)) for row in rows]


def reproduction_rows(metrics: dict) -> list[dict[str, str]]:
    """Every number that the paper states beside the one obtained."""
    return [
        {"number": statement.what, "where": statement.where, "paper": number(statement.value),
         "reproduced": number(metrics.get(statement.metric)), "note": statement.note,
         "metric": f"`{statement.metric}`"}
        for statement in STATEMENTS
    ]


def as_markdown(rows: list[dict[str, str]]) -> str:
    """Rows with the same keys as a Markdown table; a bar inside a cell, as in |Spearman|, parts no columns."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)
