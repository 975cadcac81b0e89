"""Figures of the paper, drawn from arrays: `figure_n` composes, `save_figure` writes."""

from helpers.figures.comparison import (
    BaselineErrors,
    figure_baselines,
    figure_reference_34,
)
from helpers.figures.loops import figure_4
from helpers.figures.controls import figure_controls
from helpers.figures.cost import figure_cost
from helpers.figures.every_pixel import figure_every_pixel
from helpers.figures.gamut import figure_s3, figure_s4
from helpers.figures.generated import figure_5, figure_s5, figure_s10
from helpers.figures.inputs import (
    PHYSICAL,
    SCALED,
    Channel,
    ModelOutput,
    Sweep,
    channels_of,
)
from helpers.figures.maps import (
    IMAGE,
    SCAN,
    TURNED,
    Orientation,
    lay_out,
    orientation_of,
    plot_map,
)
from helpers.figures.measurement import RawLoop, figure_s1, figure_s2
from helpers.figures.network import Stage, figure_3, network_stages
from helpers.figures.paper_recipe import figure_paper_recipe
from helpers.figures.physics import figure_loop_features
from helpers.figures.scans import cleaning_map, compare_scans, fraction_maps
from helpers.figures.style import TWIN_LABEL, label_source, save_figure
from helpers.figures.supplement import figure_s6, figure_s7, figure_s8
from helpers.figures.toy import figure_1, figure_2
from helpers.figures.training import (
    Errors,
    channels_found,
    figure_s9,
    training_curves,
)

__all__ = [
    "IMAGE",
    "PHYSICAL",
    "SCALED",
    "SCAN",
    "TURNED",
    "TWIN_LABEL",
    "BaselineErrors",
    "Channel",
    "Errors",
    "ModelOutput",
    "Orientation",
    "RawLoop",
    "Stage",
    "Sweep",
    "channels_found",
    "channels_of",
    "cleaning_map",
    "compare_scans",
    "figure_1",
    "figure_2",
    "figure_3",
    "figure_4",
    "figure_5",
    "figure_baselines",
    "figure_controls",
    "figure_cost",
    "figure_every_pixel",
    "figure_loop_features",
    "figure_paper_recipe",
    "figure_reference_34",
    "figure_s1",
    "figure_s2",
    "figure_s3",
    "figure_s4",
    "figure_s5",
    "figure_s6",
    "figure_s7",
    "figure_s8",
    "figure_s9",
    "figure_s10",
    "fraction_maps",
    "label_source",
    "lay_out",
    "network_stages",
    "orientation_of",
    "plot_map",
    "save_figure",
    "training_curves",
]
