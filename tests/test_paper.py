"""The paper's texts and numbers, and its network and schedule at a fraction of its epochs."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from helpers import paper
from helpers.figures.training import figure_paper_runs
from helpers.paper import CAPTIONS, PAPER, control_rows, full_name, number, seed_rows, table_1_rows
from helpers.paper_runs import by_part, ends, papers_benchmark, run_shortened, sentence, shortened, stored_runs
from helpers.profiles import PAPER_BEPS, PAPER_BEPS_TRAINING, PAPER_TOY, PAPER_TOY_TRAINING
from helpers.scans.scan import simulated_scan
from helpers.schedule import scheduled_lambda, staircase_beta, step_number

METRICS = {f"{name}.{model}.{score}": 0.5 for name in ("toy", "beps") for model in ("dl", "vae")
           for score in ("mse", "mse_gamut", "seconds", "inference_seconds", "beta_spread")}
SWEEP = {"sensitivity.dl.spread": 3.0,
         "toy.control.vae_full.shuffled.mse": 0.6, "toy.control.vae_full.kept.mse": 0.2,
         "beps.control.vae_full.shuffled.mse": 0.3, "beps.control.vae_full.kept.mse": 0.2}


def cells(*names: str) -> dict[str, dict[str, str]]:
    """Table 1 where the sweep has measured these."""
    sweep = {name: {"median": SWEEP[name]} for name in names}
    return {row[""]: row for row in table_1_rows(METRICS, np.array([0.25, 0.5]), sweep)}


def test_table_1_says_what_the_sweep_measured_and_what_not():
    rows = cells(*SWEEP)
    influence = rows["Influence of hyperparameters"]
    assert influence["measured"] == ("BEPS held-out error, largest ÷ smallest: 3 with λ halved and doubled; "
                                     "toy 0.25 to 0.5 along λ")
    assert influence["companion's, measured"].startswith("the same: 0.5 while β falls")
    assert rows["Ordinal"]["companion's, measured"].endswith("toy 3, BEPS 1.5")
    assert rows["Training time"]["measured"] == "toy 0.5 s, BEPS 0.5 s"
    for name in ("sensitivity.dl.spread", "toy.control.vae_full.kept.mse"):
        assert "not measured: make sweep" in cells(name)["Ordinal"]["companion's, measured"]
    assert "not measured: make sweep" in cells()["Influence of hyperparameters"]["measured"]


def test_what_the_sweep_collected_is_listed_by_its_titles_and_another_setting_by_its_name():
    spread = {"median": 0.25, "min": 0.125, "max": 0.5, "n": 3}
    swept = {"toy.vae.spearman": spread, "sensitivity.vae.units=8": spread, "toy.control.pca.kept.parameters": spread,
             "toy.control.lstm.kept.spearman": spread}
    assert seed_rows(swept) == [{"number": title, "median": "0.25", "min": "0.125", "max": "0.5", "n": "3"}
                                for title in ("vae.units=8", "toy: mean |Spearman|")]
    assert seed_rows({}) == []
    pca, lstm = control_rows(swept, {"pca": "PCA", "lstm": "LSTM"})
    assert list(pca.values()) == ["PCA", "0", "–", "–"] and list(lstm.values()) == ["LSTM", "–", "0.25", "–"]


def test_numbers_bars_inside_a_cell_and_ten_inconsistencies_with_the_paper_s_numbers():
    assert [number(value) for value in (None, 20_000, 0.123456, 1e-5)] == ["–", "20000", "0.123", "1e-05"]
    table = paper.as_markdown([{"|Spearman|": "0.9", "b": "|P|"}])
    assert [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()] == [
        [r" \|Spearman\| ", " b "], [" --- ", " --- "], [" 0.9 ", r" \|P\| "]]
    rows = paper.inconsistency_rows()
    assert len(rows) == 10 and all(list(row) == ["where", "says", "also says", "here"] for row in rows)
    assert rows[0]["says"] == f"toy error of DL {PAPER['toy.dl.mse_painting']}"
    assert rows[6]["says"] == "the epoch shown is 13977"


def test_every_entry_of_the_paper_has_texts_and_its_name_and_another_is_refused():
    for name, texts in CAPTIONS.items():
        assert len(texts.caption) > 60 and len(texts.alt) > 40 and texts.caption != texts.alt, name
        # Numbers of a run belong into the picture or into a sentence that code prints.
        assert set(re.findall(r"\d\.\d+", texts.caption + texts.alt)) <= {"0.5"}, name
    with pytest.raises(ValueError, match=r"figS11 has no caption: expected one in helpers/paper\.yml"):
        paper.caption_of("figS11")
    assert [full_name(name) for name in ("fig4", "figS4", "table1", "movieS4")] == [
        "Figure 4", "Figure S4", "Table 1", "Movie S4"]
    with pytest.raises(ValueError, match="'plot' is no id"):
        full_name("plot")
    assert set(paper.PLACES) == {"toy", "measured", "twin", "schematic"}


PAPERS = {"toy": (PAPER_TOY, PAPER_TOY_TRAINING), "beps": (PAPER_BEPS, PAPER_BEPS_TRAINING)}


@pytest.mark.parametrize(("training", "by"), [(PAPER_TOY_TRAINING, 50), (PAPER_BEPS_TRAINING, 125)])
def test_a_shortened_schedule_climbs_the_same_stairs(training, by):
    short = shortened(training, by)
    assert short.learning_rate * short.epochs == pytest.approx(training.learning_rate * training.epochs)
    for epoch in range(short.epochs):
        assert step_number(short, epoch) == step_number(training, epoch * by)
        assert staircase_beta(short, epoch, 1e-3, 16) == staircase_beta(training, epoch * by, 1e-3, 16)
        assert scheduled_lambda(short, epoch, 1e-3, 16) == scheduled_lambda(training, epoch * by, 1e-3, 16)


def test_only_divisors_of_a_step_shorten_it():
    for by in (3, 0):
        with pytest.raises(ValueError, match=f"100 epochs cannot be shortened by {by}: expected a divisor of 100"):
            shortened(PAPER_TOY_TRAINING, by)


def test_a_run_tells_its_pace_its_end_and_its_course_and_keeps_its_maps(tmp_path):
    papers, painting = papers_benchmark(0, None)
    assert papers.network == PAPER_TOY and painting.shape == (64 * 64, 25, 1)
    small = replace(
        papers, spectra=papers.spectra[:300], heldout=papers.heldout[:200], truth=papers.truth[:200],
        network=replace(PAPER_TOY, units=6, blocks=1),
        training=replace(PAPER_TOY_TRAINING, epochs=60, priming=20, step_epochs=10, batch=100, snapshots=4))
    found = run_shortened(small, painting[:50], 10, 0, tmp_path)
    assert found["epochs_done"] == 6 and found["course"]["epoch"] == [1, 3, 4, 6]
    (priming, first, second, last), step = found["course"]["beta"], PAPER_TOY_TRAINING.beta_step / 16
    assert priming == 0 < first and [second - first, last - first] == pytest.approx([step, 3 * step], rel=1e-4)
    assert found["hours_of_all_epochs"] == pytest.approx(found["seconds_per_epoch"] / 60)
    assert found["last"]["epoch"] == 6 and 0 <= found["last"]["spearman"] <= 1
    assert -1 <= found["last"]["informativeness"] <= 1
    json.dumps(found)
    assert np.shape(found["course"]["kl"]) == (4, 16)
    assert (np.diff(found["pca_mse"]) < 0).all() and len(found["pca_mse"]) == 16
    with np.load(tmp_path / "toy-10-seed0.npz") as maps:
        assert maps["snapshot_embeddings"].shape == (4, 50, 16) and maps["snapshot_embeddings"].dtype == "float16"
    loops, every = papers_benchmark(0, simulated_scan(0, (8, 8)))
    assert loops.network == PAPER_BEPS and every.shape == (64, 96, 2)


def test_the_stored_runs_are_of_the_papers_network_and_schedule_and_what_the_texts_say_of_them():
    for name, run in stored_runs().items():
        network, training = PAPERS[name.split("-")[0]]
        for settings, kept in ((network, run["network"]), (shortened(training, run["shortened_by"]), run["training"])):
            for field, value in kept.items():
                expected = pytest.approx(value, rel=1e-3) if isinstance(value, float) else value
                assert getattr(settings, field) == expected, (name, field)
        assert (np.array(run["course"]["kl"]) > 0.1).sum(axis=1).tolist() == run["course"]["active"]
        assert run["hours_of_all_epochs"] == pytest.approx(run["seconds_per_epoch"] * training.epochs / 3600, rel=1e-3)
        assert run["course"]["epoch"][-1] <= run["epochs_done"] <= run["training"]["epochs"]
    # README, ledger and notebook 3: three seeds at once, four to six channels, below PCA, in two by more than half.
    parts = by_part(stored_runs())
    assert {part: len(runs) for part, runs in parts.items()} == {("toy", 50): 1, ("toy", 25): 3, ("beps", 125): 1}
    assert all(run["at_once"] == (3 if part == ("toy", 25) else 2) for part, runs in parts.items() for run in runs)
    ends_of = [run["last"] for run in parts["toy", 25]]
    assert {min(end["active"] for end in ends_of), max(end["active"] for end in ends_of)} == {4, 6}
    share = sorted(run["last"]["mse"] / run["pca_mse"][run["last"]["active"] - 1] for run in parts["toy", 25])
    assert share[1] < 0.5 < share[2] < 1
    assert all(end["informativeness"] > 0.95 and end["spearman"] < 0.8 for end in ends_of)


def test_a_sentence_has_the_numbers_of_the_run_and_of_pca_and_a_part_ends_at_the_median_of_its_seeds():
    run = stored_runs()["toy-25-seed2"]
    text = sentence("toy-25-seed2")
    assert text.startswith(f"toy, 1/25 of the epochs, seed 2: {run['last']['active']} active channels, ")
    assert number(run["last"]["mse"]) in text and number(run["pca_mse"][run["last"]["active"] - 1]) in text
    assert f"{run['last']['spearman']:.2f}" in text and f"{run['last']['informativeness']:.2f}" in text
    assert "Spearman" not in sentence("beps-125-seed0")
    found, runs = ends("toy"), [stored_runs()[f"toy-25-seed{seed}"] for seed in range(3)]
    for name in ("mse", "active", "spearman", "informativeness"):
        of_seeds = [found[f"toy.paper_shortened_25.{name}{which}"] for which in (".min", "", ".max")]
        assert of_seeds == sorted(run["last"][name] for run in runs)
    assert found["toy.paper_shortened_50.active"] == stored_runs()["toy-50-seed0"]["last"]["active"]
    assert all(key.startswith("toy.") for key in found)


def test_the_figure_sets_pca_of_the_active_channels_beside_the_error():
    parts = by_part(stored_runs())
    axes = np.array(figure_paper_runs(parts).axes).reshape(2, -1)
    for (errors, channels), runs in zip(axes.T, parts.values(), strict=True):
        pairs = zip(errors.lines[:-1:2], errors.lines[1:-1:2], channels.lines[:-1], runs, strict=True)
        for error, bound, active, run in pairs:
            assert list(error.get_ydata()) == run["course"]["mse"]
            assert list(bound.get_ydata()) == [run["pca_mse"][max(n, 1) - 1] for n in run["course"]["active"]]
            assert list(active.get_ydata()) == run["course"]["active"]
