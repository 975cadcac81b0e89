import re

import numpy as np
import pytest

from helpers.paper import (
    CAPTIONS,
    PAPER,
    PLACES,
    as_markdown,
    caption_of,
    full_name,
    inconsistency_rows,
    number,
    table_1_rows,
)

METRICS = {f"{name}.{model}.{score}": 0.5 for name in ("toy", "beps") for model in ("dl", "vae")
           for score in ("mse", "mse_gamut", "seconds", "inference_seconds")}
SWEEP = {"sensitivity.dl.spread": 3.0, "sensitivity.vae.spread": 1.5,
         "toy.control.vae_full.shuffled.mse": 0.6, "toy.control.vae_full.kept.mse": 0.2,
         "beps.control.vae_full.shuffled.mse": 0.3, "beps.control.vae_full.kept.mse": 0.2}


def cells(*names: str) -> dict[str, dict[str, str]]:
    """Table 1 where the sweep has measured these."""
    sweep = {name: {"median": SWEEP[name]} for name in names}
    return {row[""]: row for row in table_1_rows(METRICS, np.array([0.25, 0.5]), sweep)}


def test_table_1_says_what_the_sweep_measured():
    rows = cells(*SWEEP)
    influence = rows["Influence of hyperparameters"]
    assert influence["measured"] == ("toy error 0.25 to 0.5 along λ; BEPS held-out error, largest over smallest of the "
                                     "grid: 3")
    assert influence["measured "].endswith(": 1.5")
    assert rows["Ordinal"]["measured "].endswith("toy 3, BEPS 1.5")
    assert rows["Training time"]["measured"] == "toy 0.5 s, BEPS 0.5 s"


@pytest.mark.parametrize("name", ["sensitivity.vae.spread", "toy.control.vae_full.kept.mse"])
def test_table_1_says_what_was_not_measured(name):
    assert "not measured: make sweep" in cells(name)["Ordinal"]["measured "]
    assert "not measured: make sweep" in cells()["Influence of hyperparameters"]["measured "]


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (20_000, "20000"), (0.123456, "0.123"), (1e-5, "1e-05")])
def test_numbers(value, text):
    assert number(value) == text


def test_bars_inside_a_cell_part_no_columns():
    table = as_markdown([{"|Spearman|": "0.9", "b": "|P|"}])
    assert [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()] == [
        [r" \|Spearman\| ", " b "], [" --- ", " --- "], [" 0.9 ", r" \|P\| "]]


def test_every_entry_of_the_paper_has_texts():
    for name, texts in CAPTIONS.items():
        assert len(texts.caption) > 60 and len(texts.alt) > 40 and texts.caption != texts.alt, name
        # Numbers of a run belong into the picture or into a sentence that code prints.
        assert set(re.findall(r"\d\.\d+", texts.caption + texts.alt)) <= {"0.5"}, name


def test_an_entry_without_texts_is_refused():
    with pytest.raises(ValueError, match=r"figS11 has no caption: expected one in helpers/paper\.yml"):
        caption_of("figS11")


def test_ids_become_the_paper_s_names():
    assert [full_name(name) for name in ("fig4", "figS4", "table1", "movieS4")] == [
        "Figure 4", "Figure S4", "Table 1", "Movie S4"]
    with pytest.raises(ValueError, match="'plot' is no id"):
        full_name("plot")
    assert set(PLACES) == {"toy", "measured", "twin", "schematic"}


def test_ten_inconsistencies_with_the_numbers_of_the_paper():
    rows = inconsistency_rows()
    assert len(rows) == 10 and all(list(row) == ["where", "says", "also says", "here"] for row in rows)
    assert rows[0]["says"] == f"toy error of DL {PAPER['toy.dl.mse_painting']}"
    assert rows[6]["says"] == "the epoch shown is 13977"
