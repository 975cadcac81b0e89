"""Figures: panels, letters, source label, and files on disk."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import imread
from PIL import Image

from helpers import figures as fig
from helpers.figures.maps import signed_norm
from helpers.figures.spectra import close_loop
from helpers.figures.style import plain, plain_log_ticks

ROWS, COLUMNS, STEPS = 12, 12, 16
PIXELS = ROWS * COLUMNS
RNG = np.random.default_rng(0)
VOLTAGE = np.concatenate([np.linspace(16, -16, STEPS // 2), np.linspace(-12, 12, STEPS // 2)])
MAPS = RNG.normal(size=(5, ROWS, COLUMNS))


def model(name: str, data: np.ndarray, **options) -> fig.ModelOutput:
    """A model that is off by noise, with errors in a known order."""
    error = 0.1 * RNG.normal(size=data.shape)
    return fig.ModelOutput(name, MAPS, data + error, np.linspace(0.1, 0.9, PIXELS), **options)


def spectra(channels: int) -> np.ndarray:
    return RNG.normal(size=(PIXELS, STEPS, channels)[: 2 + (channels > 1)])


def sweep(name: str, n_maps: int = 5) -> fig.Sweep:
    values = np.linspace(-2, 2, 20) * np.ones((n_maps, 1))
    generated = RNG.normal(size=(n_maps, 20, STEPS, 2))
    return fig.Sweep(name, MAPS[:n_maps], values, generated)


def scan(source: str, **changes) -> SimpleNamespace:
    cube = RNG.normal(size=(ROWS, COLUMNS, STEPS))
    facts = {
        "piezoresponse": cube * 1e-4, "resonance_kHz": 1325 + cube, "voltage_V": VOLTAGE, "source": source,
        "shape": (ROWS, COLUMNS), "size_um": 2.0, "turned": True, "usable": np.ones(PIXELS, bool),
    }
    return SimpleNamespace(**facts | changes)


def raw_loop() -> fig.RawLoop:
    spectra = RNG.normal(size=(STEPS, 30)) + 1j * RNG.normal(size=(STEPS, 30))
    loop = RNG.normal(size=STEPS)
    return fig.RawLoop(np.linspace(1300, 1350, 30), spectra, spectra, VOLTAGE, loop, loop)


def beps_figures(source: str) -> dict[str, object]:
    """Every figure that is labelled by the source of the scan."""
    data = spectra(2)
    dl, vae = model("DL", data), model("β-VAE", data)
    errors = fig.Errors("BEPS", np.geomspace(0.1, 0.01, 6), {"DL": (5, 0.03)})
    cube = RNG.normal(size=(ROWS, COLUMNS, STEPS))
    history = {"mse": np.ones(4), "kl": np.ones(4), "beta": np.array([0, 0.1, 0.1, 0.2])}
    kl = np.array([2.0, 0.01, 1.0, 0.05, 3.0])
    return {
        "fig4": fig.figure_4(VOLTAGE, data, dl, vae, source=source),
        "fig5": fig.figure_5(VOLTAGE, sweep("DL"), sweep("β-VAE"), source=source),
        "figS5": fig.figure_s5(VOLTAGE, sweep("DL"), source=source),
        "figS6": fig.figure_s6(cube, VOLTAGE, source=source),
        "figS7": fig.figure_s7(MAPS, kl, np.arange(5), source=source),
        "figS8": fig.figure_s8(data, dl, vae, source=source),
        "figS9": fig.figure_s9(errors, errors, source=source),
        "figS10": fig.figure_s10(VOLTAGE, sweep("β-VAE", 2), source=source),
        "training": fig.training_curves(history, source=source),
    }


@pytest.fixture(scope="module")
def twin_figures() -> dict[str, object]:
    return beps_figures("twin")


def letters(figure) -> str:
    """Panel letters in reading order of the alphabet."""
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    return "".join(sorted(t[len(r"$\mathbf{")] for t in titles if t.startswith(r"$\mathbf{")))


def is_labelled(figure) -> bool:
    return any(text.get_text() == fig.TWIN_LABEL for text in figure.texts)


EXPECTED_LETTERS = {
    "fig4": "abcdefhijklmnopqrstu", "fig5": "abcdef", "figS5": "abcde", "figS6": "ab",
    "figS7": "abcde", "figS8": "ab", "figS9": "ab", "figS10": "ab", "training": "ab",
}


@pytest.mark.parametrize("name", EXPECTED_LETTERS)
def test_panels_of_the_paper_are_there(twin_figures, name):
    assert letters(twin_figures[name]) == EXPECTED_LETTERS[name]


def test_twin_label_stands_on_every_figure_of_the_twin(twin_figures):
    assert [name for name, figure in twin_figures.items() if not is_labelled(figure)] == []


def test_no_measured_figure_is_called_simulated():
    measured = beps_figures("measured")
    assert [name for name, figure in measured.items() if is_labelled(figure)] == []


def test_unknown_source_is_refused():
    with pytest.raises(ValueError, match="expected one of"):
        beps_figures("guessed")


def toy_figures() -> dict[str, object]:
    time, data = np.linspace(-1, 1, STEPS), spectra(1)
    dl, vae = model("DL", data), model("β-VAE", data, n_active=4)
    rgb, mse = RNG.random((400, 3)), {"DL": RNG.random(400), "β-VAE": RNG.random(400)}
    grid = np.linspace(0.1, 1, 5)
    primaries = RNG.normal(size=(3, 5, STEPS))
    return {
        "abcd": fig.figure_1(time, primaries, grid, RNG.random((9, 7, 3))),
        "abcdefghijklm": fig.figure_2(time, data, dl, vae),
        "": fig.figure_s3(grid, grid, 0.57, 0.109),
        "abcd ": fig.figure_s4(rgb, mse, 0.109),
        "abcdefghijkl": fig.compare_scans(scan("measured"), scan("twin")),
    }


def test_toy_and_schematic_figures_have_their_panels():
    for expected, figure in toy_figures().items():
        assert letters(figure) == expected.strip()
        assert not is_labelled(figure)


def test_what_is_drawn_from_simulated_spectra_says_so():
    for figure in (fig.figure_s1(VOLTAGE, raw_loop()), fig.figure_s2(raw_loop())):
        assert letters(figure) == "abc" and is_labelled(figure)


LOST = np.arange(PIXELS) % 17 == 3  # unusable pixels


def other_figures(shape: tuple[int, int], channels: int, lost: np.ndarray) -> dict[str, object]:
    """Every figure of a scan with other sides and channels, and some unusable pixels."""
    data = spectra(2)[..., :channels]
    maps = np.where(lost, np.nan, RNG.normal(size=(5, PIXELS))).reshape(5, *shape)
    mse = np.where(lost, np.nan, np.linspace(0.1, 0.9, PIXELS))
    dl, vae = (fig.ModelOutput(name, maps, data + 0.1, mse) for name in ("DL", "β-VAE"))
    swept = fig.Sweep("DL", maps, np.linspace(-2, 2, 20) * np.ones((5, 1)), RNG.normal(size=(5, 20, STEPS, channels)))
    cube = RNG.normal(size=(*shape, STEPS))
    resonance = 300 + cube if channels > 1 else None
    own = scan("measured", shape=shape, piezoresponse=cube, resonance_kHz=resonance, usable=~lost,
               size_um=float("nan"), turned=False)
    look = {"source": "measured", "orientation": fig.orientation_of(own),
            "channels": fig.channels_of(cube, resonance)}
    return {
        "fig4": fig.figure_4(VOLTAGE, data, dl, vae, **look),
        "fig5": fig.figure_5(VOLTAGE, swept, swept, **look),
        "figS5": fig.figure_s5(VOLTAGE, swept, **look),
        "figS6": fig.figure_s6(cube, VOLTAGE, source="measured", unusable=lost.reshape(shape),
                               topography=RNG.normal(size=(30, 20)), orientation=look["orientation"]),
        "figS7": fig.figure_s7(maps, np.ones(5), np.arange(5), source="measured",
                               orientation=look["orientation"]),
        "figS8": fig.figure_s8(data, dl, vae, source="measured"),
        "compared": fig.compare_scans(own, scan("twin")),
        "cleaning": fig.cleaning_map(np.ones(shape, int), lost.reshape(shape), orientation=look["orientation"]),
    }


@pytest.mark.parametrize(("shape", "channels"), [((8, 18), 1), ((18, 8), 2)])
def test_any_grid_one_channel_and_unusable_pixels_are_drawn(shape, channels):
    drawn = other_figures(shape, channels, LOST)
    expected = {"fig4": "abcdefklmnoptu", "figS8": "a", "compared": "abcdef"} if channels == 1 else {
        "fig4": EXPECTED_LETTERS["fig4"], "figS8": "ab", "compared": "abcdefghijkl"}
    assert {name: letters(drawn[name]) for name in expected} == expected
    for name, figure in drawn.items():
        figure.canvas.draw()
        empty = [ax for ax in figure.axes if ax.axison and not ax.has_data()]
        assert not empty, name
        maps = [ax for ax in figure.axes if ax.images]
        grey = [ax for ax in maps if len(ax.images) == 2]
        own = [ax for ax in maps if ax.images[0].get_array().shape == shape]
        assert (len(grey) == len(own) > 0) or not maps, name
        for ax in grey:
            shown, below = (image.get_array().mask for image in ax.images)
            np.testing.assert_array_equal(shown, ~below)
            assert shown.sum() == LOST.sum()


def test_unusable_pixels_are_no_example_and_no_part_of_a_distribution():
    mse = np.where(LOST, np.nan, np.linspace(0.1, 0.9, PIXELS))
    chosen = fig.ModelOutput("DL", MAPS, np.zeros((PIXELS, STEPS)), mse).best_median_worst()
    kept = np.flatnonzero(~LOST)
    assert chosen == (kept[0], kept[len(kept) // 2], kept[-1])
    data = np.zeros((PIXELS, STEPS, 1))
    wrong = np.where(LOST[:, None, None], 1e6, 1.0) * RNG.normal(size=data.shape)
    drawn = fig.figure_s8(data, *(fig.ModelOutput(n, MAPS, wrong, mse) for n in ("DL", "β-VAE")), source="twin")
    assert drawn.axes[0].get_ylim()[1] < 10


@pytest.mark.parametrize(("facts", "angle", "size"), [
    ({}, 29.54, 2.0), ({"shape": (12, 10)}, 0.0, 2.0), ({"turned": False}, 0.0, 2.0),
    ({"size_um": float("nan")}, 29.54, None),
])
def test_only_the_published_square_scan_is_turned(facts, angle, size):
    orientation = fig.orientation_of(scan("measured", **facts))
    assert (orientation.angle_deg, orientation.size_um) == (angle, size)


@pytest.mark.parametrize(("size_um", "label", "pixels"), [
    (2.0, "500 nm", 3), (0.3, "100 nm", 4), (30.0, "10 µm", 4), (1.0, "200 nm", 2.4)])
def test_the_scale_bar_is_a_round_length_of_the_width(size_um, label, pixels):
    ax = Figure().subplots()
    fig.plot_map(ax, np.zeros((5, 12)), label="", orientation=fig.Orientation(0, 0, size_um))
    bar, = ax.artists
    assert bar.txt_label.get_text() == label
    assert bar.size_bar.get_children()[0].get_width() == pytest.approx(pixels)


@pytest.mark.parametrize(("size", "unit"), [
    (1e-4, "10⁻⁴ arb. u."), (3.0, "arb. u."), (40.0, "arb. u."), (2e5, "10⁵ arb. u.")])
def test_axes_count_in_the_size_of_the_loops(size, unit):
    channel, = fig.channels_of(np.full((2, 2, 5), size))
    assert channel.unit == unit and 0.1 <= size * channel.scale < 100
    assert [c.unit for c in fig.channels_of(np.ones((2, 2, 5)), np.full((2, 2, 5), 1.2))] == ["arb. u.", "s.d."]


def test_axes_and_colour_bars_name_quantity_and_unit(twin_figures):
    labels = [ax.get_ylabel() for name in ("figS8", "figS9") for ax in twin_figures[name].axes]
    assert all("(s.d." in label for label in labels)
    labels = {ax.get_ylabel() for ax in twin_figures["fig5"].axes if ax.lines}
    assert labels == {"Piezoresponse\n(10⁻⁴ arb. u.)", "Resonance\n(kHz)"}
    bars = [bar for ax in twin_figures["fig5"].axes for bar in ax.child_axes]
    assert [bar.get_xlabel() for bar in bars] == ["coefficient"] * 3 + ["posterior mean"] * 3


def test_compared_scans_name_their_source():
    figure = fig.compare_scans(scan("measured"), scan("twin"))
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert sum("measured" in title for title in titles) == 6
    assert sum("simulated (twin)" in title for title in titles) == 6
    for block in figure.subfigs:
        key, = block.legends
        assert [line.get_color() for line in key.get_lines()] == [line.get_color() for line in block.axes[0].lines]


def test_active_channels_beyond_the_shown_ones_are_counted():
    figure = toy_figures()["abcdefghijklm"]
    assert any("3 of 4 active" in text.get_text() for ax in figure.axes for text in ax.texts)


def test_panel_without_an_active_channel_says_so():
    data = spectra(2)
    vae = fig.ModelOutput("β-VAE", MAPS[:2], data, np.linspace(0, 1, PIXELS))
    figure = fig.figure_4(VOLTAGE, data, model("DL", data), vae, source="twin")
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert texts.count("no further\nactive channel") == 1


def test_legends_lie_beside_the_panels(twin_figures):
    for figure in (toy_figures()["abcd "], twin_figures["figS9"]):
        figure.draw_without_rendering()
        legend, = (legend.get_window_extent() for legend in figure.legends)
        assert not [ax for ax in figure.axes if ax.get_window_extent().overlaps(legend)]


def test_error_maps_share_one_scale(twin_figures):
    limits = {
        ax.images[0].get_clim() for ax in twin_figures["fig4"].axes
        if any(f"{{{letter}}}" in ax.get_title(loc="left") for letter in "tu")
    }
    assert len(limits) == 1


def test_signed_scale_is_symmetric():
    norm = signed_norm(np.linspace(-1, 7, 1000))
    assert isinstance(norm, CenteredNorm)
    assert norm(0.0) == pytest.approx(0.5)
    assert norm(-norm.halfrange) == pytest.approx(0.0)
    assert norm.halfrange == pytest.approx(6.92, abs=0.01)


def test_loops_are_drawn_closed(twin_figures):
    lines = [line for ax in twin_figures["fig5"].axes for line in ax.lines]
    assert lines
    for line in lines:
        assert line.get_xdata()[0] == line.get_xdata()[-1]
        assert line.get_ydata()[0] == line.get_ydata()[-1]
    assert close_loop(VOLTAGE).shape == (STEPS + 1,)


def test_turned_bands_stand_upright():
    rows, columns = np.mgrid[:60, :60]
    along = np.deg2rad(29.54)
    bands = np.sin((columns * np.cos(along) + rows * np.sin(along)) / 3)
    upright = fig.lay_out(bands, fig.TURNED)[15:-15, 15:-15]
    assert np.isfinite(upright).all()
    assert upright.std(axis=0).mean() < 0.1 * upright.std(axis=1).mean()


def test_unturned_map_is_untouched():
    recorded = MAPS[0]
    assert fig.lay_out(recorded, fig.SCAN) is recorded


def test_best_median_and_worst_follow_the_error():
    mse = np.array([0.5, 0.1, 0.9, 0.3, 0.7])
    output = fig.ModelOutput("DL", MAPS, np.zeros((5, STEPS)), mse)
    assert output.best_median_worst() == (1, 0, 2)


def block(name: str) -> list[SimpleNamespace]:
    """Stand-ins for the Keras layers of one residual block."""

    def layer(kind: str, suffix: str, **values):
        made = type(kind, (), values)()
        made.name, made.output = f"{name}_{suffix}", SimpleNamespace(shape=(None, 25, 64))
        return made

    inner = SimpleNamespace(units=32, return_sequences=True)
    return [layer("Bidirectional", "bilstm1", forward_layer=inner),
            layer("Bidirectional", "bilstm2", forward_layer=inner), layer("Add", "add")]


def test_network_schematic_prints_the_sizes():
    stages = fig.network_stages(block("block1") + block("block2"))
    assert [stage.lines for stage in stages] == [("2 × BiLSTM", "32 units")] * 2
    assert all(stage.skip for stage in stages)
    figure = fig.figure_3(stages, stages, n_latents=16, n_parameters=1234, linear_path=True)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("25 × 64") == 4
    assert any("1,234 parameters" in text for text in texts)


def test_saved_files_open_and_carry_their_provenance(tmp_path, twin_figures):
    provenance = {"source": "twin", "seed": "0"}
    png, pdf = fig.save_figure(twin_figures["figS9"], tmp_path / "figS9", provenance=provenance)
    pixels = imread(png)[..., :3]
    assert pixels.shape[1] == 1500
    assert 0.005 < (pixels < 0.9).any(axis=-1).mean() < 0.9
    assert json.loads(Image.open(png).text["Description"]) == provenance
    assert pdf.read_bytes().startswith(b"%PDF")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figS9.pdf", "figS9.png"]


def test_same_figure_gives_the_same_bytes(tmp_path):
    raw = raw_loop()
    saved = [
        fig.save_figure(fig.figure_s2(raw), tmp_path / name / "figS2", provenance={}, dpi=60)
        for name in ("a", "b") if not (tmp_path / name).mkdir()
    ]
    for first, second in zip(*saved, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_unwritable_target_is_one_sentence_and_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match=r"could not write .*figS2\.png") as error:
        fig.save_figure(fig.figure_s2(raw_loop()), tmp_path / "missing" / "figS2", provenance={})
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_shows_a_figure_with_a_text_in_its_place():
    drawn = fig.figure_s2(raw_loop())
    picture, metadata = drawn._repr_png_()
    assert picture.startswith(b"\x89PNG") and "Phase (°) against Frequency (kHz)" in metadata["alt"]
    drawn.alt = "Three panels"
    assert drawn._repr_png_()[1] == {"alt": "Three panels"}


def test_a_colour_bar_says_that_its_scale_clips(twin_figures):
    values = np.linspace(-1, 1, 144).reshape(12, 12)
    for clipped, ends in ((Normalize(-0.5, 0.5), "both"), (Normalize(-1, 0.5), "max"),
                          (Normalize(-1, 1), "neither")):
        ax = Figure().subplots()
        fig.plot_map(ax, values, label="x", norm=clipped)
        assert ax.images[0].colorbar.extend == ends


@pytest.mark.parametrize(("limits", "labelled"), [((0.006, 0.012), 5), ((0.0002, 0.5), 9)])
def test_a_logarithmic_axis_has_several_labels(limits, labelled):
    ax = Figure().subplots()
    ax.set(yscale="log", ylim=limits)
    plain_log_ticks(ax.yaxis)
    shown = [tick for tick in ax.yaxis.get_majorticklocs() if limits[0] <= tick <= limits[1]]
    assert len(shown) >= labelled


@pytest.mark.parametrize(("limits", "labels"), [((0.006, 0.012), 5), ((0.001, 0.05), 4), ((1e-4, 1), 5)])
def test_a_horizontal_logarithmic_axis_has_room_for_its_labels(limits, labels):
    ax = Figure().subplots()
    ax.set(xscale="log", xlim=limits[::-1])
    plain_log_ticks(ax.xaxis)
    assert len([tick for tick in ax.xaxis.get_majorticklocs() if limits[0] <= tick <= limits[1]]) == labels


def test_small_errors_are_powers_of_ten():
    shown = [plain(value) for value in (0.0039, 0.00038, 6.73e-5)]
    assert shown == ["0.0039", "0.00038", r"$6.7\times10^{-5}$"]


def test_the_note_on_the_network_names_what_is_drawn():
    stages = fig.network_stages(block("block1"))
    for skip, linear, words in ((stages, False, "Bracket"), ([], True, "Dashed")):
        drawn = fig.figure_3(skip, skip, n_latents=16, n_parameters=1, linear_path=linear)
        note = next(text.get_text() for text in drawn.axes[0].texts if "parameters" in text.get_text())
        assert words in note and note.count(":") == 2
