"""The paper's inventory: every figure, table and movie, panel by panel, with its texts."""

from __future__ import annotations

import json

import pytest
from test_figures import figures_of, other_figures

from helpers.paper import CAPTIONS
from helpers.paths import ROOT

# What the letters of each figure hold. Those of the scan have maps with a scale bar.
FIGURES = {
    "fig1": {"abc": "curves", "d": "picture"},  # spectra along R, G and B; the painting
    # Dictionary: maps, best, median and worst; β-VAE the same; errors along the spectrum.
    "fig2": {"abc": "picture", "def": "curves", "ghi": "picture", "jkl": "curves", "m": "violins"},
    "fig3": {},  # one drawing
    # Dictionary: maps, three piezoresponse loops, three of the resonance; β-VAE the same; errors.
    "fig4": {"abc": "map", "def": "loops", "hij": "loops",
             "klm": "map", "nop": "loops", "qrs": "loops", "tu": "map"},
    "fig5": {"abc": "map", "def": "map"},  # each with its generated loops
    "figS1": {"ab": "curves", "c": "mesh"},  # drive, reading on and off field, spectra over the steps
    "figS2": {"abc": "curves"},  # amplitude, phase, loop
    "figS3": {},  # one curve
    "figS4": {"abc": "curves", "d": "bars"},  # error along each colour, its distribution
    "figS5": {"abcde": "map"},  # all five atoms
    "figS6": {"ab": "map"},  # observables, after the topography where there is one
    "figS7": {"abcdefghijklmnop": "map"},  # all sixteen latents
    "figS8": {"ab": "violins"},  # piezoresponse, resonance
    "figS9": {"ab": "curves"},  # toy, scan
    "figS10": {"a": "map"},  # at least one active channel
}
TABLES = {"table1": ("Reconstruction quality (MSE)", "Ordinal", "Nonlinear", "Training time",
                     "Inference time", "Influence of hyperparameters")}
# How many channels a movie shows at least: atoms, latents, active channels.
MOVIES = {"movieS1": 3, "movieS2": 16, "movieS3": 1, "movieS4": 5, "movieS5": 16, "movieS6": 1}
INVENTORY = {*FIGURES, *TABLES, *MOVIES}
RESONANCE = {"fig4": "hijqrs", "figS8": "b"}
OF_THE_SCAN = {"fig4", "fig5", "figS5", "figS6", "figS7", "figS10"}


def missing_parts(entry: dict, *, resonance: bool = True) -> list[str]:
    """Panels and texts that an entry of the manifest should have and has not."""
    name = entry["id"]
    if name in MOVIES:
        missing = ["channels"] if len(entry["panels"]) < MOVIES[name] else []
    else:
        wanted = TABLES.get(name) or "".join(FIGURES[name])
        left_out = "" if resonance else RESONANCE.get(name, "")
        missing = [panel for panel in wanted if panel not in entry["panels"] and panel not in left_out]
    return missing + [text for text in ("caption", "alt") if not entry.get(text)]


def holds(ax, kind: str) -> bool:
    """Whether a panel holds what its letter promises."""
    closed = [line.get_xdata()[0] == line.get_xdata()[-1] for line in ax.lines if len(line.get_xdata())]
    return bool({
        "curves": ax.lines, "loops": closed and all(closed), "picture": ax.images, "bars": ax.patches,
        "map": ax.images and ax.artists, "mesh": ax.collections, "violins": len(ax.collections) >= 2,
    }[kind])


@pytest.fixture(scope="module")
def drawn() -> dict[str, object]:
    return figures_of("measured") | other_figures()


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "fig3"])
def test_every_panel_holds_what_the_paper_shows_there(drawn, name):
    panels = {ax.get_title(loc="left").partition(r"\mathbf{")[2][:1]: ax for ax in drawn[name].axes}
    kinds = {letter: kind for letters, kind in FIGURES[name].items() for letter in letters}
    assert set(panels) - {""} == set(kinds)
    assert [letter for letter, kind in kinds.items() if not holds(panels[letter], kind)] == []
    without_bar = [letter for letter in kinds if name in OF_THE_SCAN and panels[letter].images
                   and not panels[letter].artists]
    assert without_bar == []


def test_generated_loops_of_both_models_share_one_range(drawn):
    axes = [ax for ax in drawn["fig5"].axes if ax.lines]
    for label in ("Piezoresponse", "Resonance"):
        assert len({ax.get_ylim() for ax in axes if ax.get_ylabel().startswith(label)}) == 1


def test_every_entry_of_the_paper_has_texts_and_no_other():
    assert set(CAPTIONS) == INVENTORY


REFERENCE = ROOT / "data/reference/manifest.json"


@pytest.mark.skipif(not REFERENCE.is_file(), reason="no reference run is stored")
def test_the_reference_run_has_the_whole_inventory():
    manifest = {entry["id"]: entry for entry in json.loads(REFERENCE.read_text(encoding="utf-8"))}
    assert set(manifest) == INVENTORY
    assert {name: missing_parts(entry) for name, entry in manifest.items() if missing_parts(entry)} == {}
