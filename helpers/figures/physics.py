"""Physical features of the loops as maps, and what the models make of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from helpers.figures.maps import TURNED, UNUSABLE, Orientation, lay_out, map_height
from helpers.figures.style import POSITIVE, SIGNED, label_source, page_figure

SHOWN = {
    "coercive_positive_V": "Coercive\nvoltage + (V)",
    "imprint_V": "Imprint (V)",
    "remanent_positive_arb": "Remanence +\n(10⁻⁵ arb. u.)",
    "loop_area_arb_V": "Loop area\n(10⁻³ arb. u. V)",
    "softening_negative_kHz": "Softening −\n(kHz)",
    "hardening_positive_kHz": "Hardening +\n(kHz)",
    "concavity_positive": "Concavity +",
}
FACTORS = {"remanent_positive_arb": 1e5, "loop_area_arb_V": 1e3}


def figure_loop_features(
    measured: Mapping[str, np.ndarray], models: Mapping[str, Mapping[str, np.ndarray]], *, source: str,
    orientation: Orientation = TURNED,
) -> Figure:
    """Maps of features of the measured loops (top), and the error of each model in them (below).

    Parameters
    ----------
    measured : mapping of str to ndarray, shape (rows, columns)
        Features named as by `helpers.loops.loop_features`; those in SHOWN are drawn.
    models : mapping of str to such a mapping
        The same features of each model's loops. One signed scale a column serves all models.
    source : {"measured", "twin"}
        Origin of the loops.
    orientation : Orientation
        How the maps are laid on the page.
    """
    names = [name for name in SHOWN if name in measured]
    height = 7.2 / len(names) * map_height(next(iter(measured.values())).shape, orientation)
    figure = page_figure((height + 0.1) * (1 + len(models)) + 0.9)
    axes = figure.subplots(1 + len(models), len(names), squeeze=False)
    for column, name in enumerate(names):
        factor = FACTORS.get(name, 1.0)
        values = factor * measured[name]
        errors = {model: factor * features[name] - values for model, features in models.items()}
        low, high = np.nanpercentile(values, [1, 99])
        half = np.nanpercentile(np.abs(np.stack(list(errors.values()))), 98)
        rows = [(values, POSITIVE, Normalize(low, high)),
                *((error, SIGNED, Normalize(-half, half)) for error in errors.values())]
        for row, (ax, (shown, colours, norm)) in enumerate(zip(axes[:, column], rows, strict=True)):
            cmap = colormaps[colours].with_extremes(bad=UNUSABLE)
            image = ax.imshow(lay_out(shown, orientation), cmap=cmap, norm=norm)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if row == 0:
                ax.set_title(SHOWN[name])
            if row in (0, len(models)):
                bar = figure.colorbar(image, ax=ax, location="bottom", shrink=0.9, aspect=14, pad=0.03)
                bar.ax.locator_params(nbins=3)
                bar.outline.set_visible(False)
    loops = "measured" if source == "measured" else "simulated"
    for ax, label in zip(axes[:, 0], [loops.capitalize(), *(f"{model} − {loops}" for model in models)], strict=True):
        ax.set_ylabel(label)
    label_source(figure, source)
    return figure
