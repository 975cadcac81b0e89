"""The site of a run on the twin and of one on a reader's file: its files, then its pages in a browser."""

from __future__ import annotations

import json
import re
import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urldefrag

import numpy as np
import pytest
from bokeh.document import Document
from browsing import until
from sklearn.decomposition import PCA

from helpers.dictionary import stack_channels, unstack_channels
from helpers.scans.reading import load_scan
from helpers.scans.scan import heldout_blocks, in_physical_units, standardised, training_pixels
from helpers.figures.inputs import SCAN, TURNED, channels_of, orientation_of
from helpers.figures.maps import lay_out
from helpers.figures.style import TWIN_LABEL
from helpers.profiles import get_profile
from helpers.record import load_arrays
from helpers.site import loops, training
from helpers.site.explorer import explorer
from helpers.site.loops import explored
from helpers.site.notebooks import notebook_body
from helpers.site.packing import NO_VALUE, grid, packed, packed_maps
from helpers.site.pages import build_site, snapshots
from helpers.site.training import Snapshots, show_training

LARGEST_PAGE_MIB = 8
PAGES = ["index", "figures", "movies", "explorer", "notebooks", "ledger"]
NOTEBOOKS = ["0_measured_data", "1_toy_rgb_benchmark", "2_dictionary_learning", "3_beta_vae_training",
             "4_embedding_movies", "5_paper_and_reproduction"]
FILES = [f"{name}.html" for name in (*PAGES, *(f"notebooks/{name}" for name in NOTEBOOKS))]


@pytest.fixture(scope="module")
def site(twin_run):
    return build_site(twin_run).parent


@pytest.fixture(scope="module")
def own_site(own_run):
    return build_site(own_run).parent


class Links(HTMLParser):
    """What a page loads, where it leads, and the places in it that can be led to."""

    def __init__(self, page: Path):
        super().__init__()
        self.loaded, self.links, self.places, self.pictures = [], [], set(), []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.places.add(given.get("id"))
        self.links += [given["href"]] if tag == "a" and "href" in given else []
        self.loaded += [given[name] for name in ("src", "poster") if name in given]
        self.loaded += [given["href"]] if tag == "link" else []
        self.pictures += [given] if tag == "img" else []


# The files


@pytest.mark.parametrize("name", FILES)
def test_page_loads_nothing_from_elsewhere_and_its_links_lead_somewhere(site, name):
    page = Links(site / name)
    assert not [url for url in page.loaded if re.match(r"(https?:)?//", url)]
    for url in [*page.loaded, *page.links]:
        address, place = urldefrag(unquote(url))
        if address.startswith(("data:", "http")):
            continue
        target = (site / name).parent / address if address else site / name
        assert target.is_file(), url
        assert not place or target.suffix != ".html" or place in Links(target).places, url


@pytest.mark.parametrize("name", FILES)
def test_page_is_light_says_that_its_loops_are_simulated_and_describes_its_pictures(site, name):
    page = Links(site / name)
    files = {(site / name).parent / url for url in page.loaded if not url.startswith("data:")}
    files = {path for path in files if path.suffix != ".mp4"}
    weight = (site / name).stat().st_size + sum(path.stat().st_size for path in files)
    assert weight / 2**20 <= LARGEST_PAGE_MIB
    assert TWIN_LABEL in (site / name).read_text().lower()
    assert all(picture.get("alt") for picture in page.pictures)


def test_notebooks_lead_on_to_their_neighbours(site):
    first, last = (Links(site / f"notebooks/{name}.html").links for name in (NOTEBOOKS[0], NOTEBOOKS[-1]))
    assert f"{NOTEBOOKS[1]}.html" in first and f"{NOTEBOOKS[-2]}.html" in last


def test_measured_loops_are_not_called_simulated(own_site):
    assert TWIN_LABEL not in (own_site / "ledger.html").read_text().lower()


def test_gallery_shows_every_entry_with_caption_source_and_alternative_text(twin_run, site):
    text = re.sub(r"<code>|</code>|\s+", " ", (site / "figures.html").read_text())
    entries = json.loads((twin_run / "manifest.json").read_text())
    assert len(entries) == 22
    alternatives = [picture["alt"] for picture in Links(site / "figures.html").pictures]
    for entry in entries:
        assert f'id="{entry["id"]}"' in text
        assert entry["caption"][:30].replace("'", "&#39;").replace('"', "&#34;") in text
        assert entry["kind"] == "table" or any(entry["alt"] in alt for alt in alternatives)


def test_notebooks_carry_their_formulas_as_mathml(site):
    text = (site / "notebooks/3_beta_vae_training.html").read_text()
    assert re.search(r'<math [^>]*display="block"', text)
    assert "$$" not in text and "injected-parameters" not in text and "colab-fetch" not in text
    for page in (site / "notebooks").glob("*.html"):
        text = page.read_text()
        assert not re.findall(r"<m\w+[^>]*>\\[^<]*", text), "a command that the formulas do not know"
        assert "| --- |" not in text, "a table that was not read as one"


def test_links_between_notebooks_lead_to_pages_and_foreign_pictures_become_words(tmp_path):
    cell = {"cell_type": "markdown", "id": "a", "metadata": {},
            "source": "# Why?\n[next](1_b.ipynb#c) ![badge](https://example.org/badge.svg) $\\mu$"}
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    title, body = notebook_body(path, {})
    assert title == "Why?" and 'href="1_b.html#c"' in body and "<math" in body
    assert "badge" in body and "example.org" not in body


def test_cells_of_a_table_name_their_column_and_the_first_heads_its_row(tmp_path):
    table = "# T\n\n| a | b & c | `d` |\n| --- | --- | --- |\n| 1 | 2 |  |\n| 4 | 5 | 6 |\n"
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": table}
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    body = notebook_body(path, {})[1]
    assert re.findall(r'<th scope="row">(.*?)</th>', body) == ["1", "4"]
    cells = re.findall(r'<td data-head="(.*?)">(.*?)</td>', body)
    assert cells == [("b &amp; c", "2"), ("d", ""), ("b &amp; c", "5"), ("d", "6")]


def test_site_of_an_unfinished_run_names_what_is_missing_and_keeps_the_old_one(twin_run, tmp_path):
    run = tmp_path / "build/smoke/seed0"
    for name in ("manifest.json", "metrics.json", "run.json"):
        run.mkdir(parents=True, exist_ok=True)
        shutil.copy(twin_run / name, run)
    (run / "site").mkdir()
    (run / "site/index.html").write_text("old")
    with pytest.raises(FileNotFoundError, match=r"fig1\.png is not there"):
        build_site(run)
    assert (run / "site/index.html").read_text() == "old"


# The arrays


def test_packed_spectra_come_back_to_within_half_a_step():
    spectra = np.random.default_rng(0).normal([0, 1328], [1e-4, 3], (50, 9, 2))
    steps, scale, zero = packed(spectra)
    assert steps.dtype == np.int16
    assert (np.abs(zero + scale * steps - spectra) <= 0.5001 * scale).all()
    constant, _, level = packed(np.full((3, 4, 1), 7.0))
    assert (constant == 0).all() and level == [7.0]


def test_packed_maps_keep_holes_and_cut_what_lies_beyond_the_colours():
    steps, scale = packed_maps(np.array([0.5, -0.25, np.nan, 9.0]), 1.0)
    assert steps.tolist() == [50, -25, NO_VALUE, 127] and scale == 0.01


@pytest.mark.parametrize("shape, orientation", [((20, 31), SCAN), ((30, 30), replace(TURNED, crop=0.0))])
def test_every_pixel_is_drawn_and_its_centre_leads_back_to_it(shape, orientation):
    laid = grid(shape, orientation)
    x, y = laid.centres(shape[0] * shape[1])
    found = laid.pixel[(y * laid.cells).astype(int), (x * laid.cells).astype(int)]
    assert found.tolist() == list(range(shape[0] * shape[1]))


def test_maps_are_turned_and_cropped_as_in_the_figures():
    row, column = np.indices((60, 60)) / 60
    values = np.sin(5 * row) + column**2
    laid, drawn = grid(values.shape, TURNED), lay_out(values, TURNED)
    ours = np.where(laid.pixel >= 0, values.ravel()[laid.pixel], np.nan)[::-1]
    middle = ours[1::3, 1::3][: drawn.shape[0], : drawn.shape[1]]
    both = np.isfinite(middle) & np.isfinite(drawn[: middle.shape[0], : middle.shape[1]])
    assert abs(np.array(middle.shape) - drawn.shape).max() <= 1 and both.mean() > 0.9
    assert np.abs(middle - drawn[: middle.shape[0], : middle.shape[1]])[both].max() < 0.2


def expected_loops(run: Path) -> dict[str, np.ndarray]:
    """Loops (pixels, steps, channels) in the units of the axes, straight from the results."""
    scan = load_scan(run / "results/scan.h5")
    linear, vae = load_arrays(run / "results/dictionary.npz"), load_arrays(run / "results/vae_beps.npz")
    spectra, scaler = standardised(scan)
    stacked, n = stack_channels(spectra), spectra.shape[-1]
    fitted = training_pixels(scan, heldout_blocks(scan.shape, get_profile("smoke").heldout_every))
    pca = PCA(5, svd_solver="full").fit(stacked[fitted])
    scale = [channel.scale for channel in channels_of(scan.piezoresponse, scan.resonance_kHz)]
    modelled = {"DL": unstack_channels(linear["beps_codes"] @ linear["beps_atoms"], n),
                "PCA": unstack_channels(pca.inverse_transform(pca.transform(stacked)), n),
                "β-VAE": vae["reconstructed"]}
    return {"data": scan.spectra * scale} | {
        name: in_physical_units(loops, scaler) * scale for name, loops in modelled.items()}


def test_linear_models_on_the_page_write_out_the_loops_of_the_results(twin_run):
    run, expected = explored(twin_run, "smoke"), expected_loops(twin_run)
    assert run.stride == 1
    for name, model in run.linear.items():
        written = np.tensordot(model.codes, model.atoms, 1) + model.offset
        np.testing.assert_allclose(written, expected[name], rtol=1e-5, atol=1e-9)
    error = np.square((run.measured - expected["PCA"]) / run.deviation).mean()
    assert error == pytest.approx(json.loads((twin_run / "metrics.json").read_text())["beps.pca5.mse"])


def test_a_large_scan_is_thinned(twin_run, monkeypatch):
    monkeypatch.setattr(loops, "MOST_VALUES", 100_000)
    whole, run = expected_loops(twin_run), explored(twin_run, "smoke")
    rows, columns = run.scan.shape
    assert run.stride > 1 and run.shape == (-(-rows // run.stride), -(-columns // run.stride))
    assert run.measured.size <= 100_000
    pixel = (3 * run.stride) * columns + 2 * run.stride
    np.testing.assert_allclose(run.measured[3 * run.shape[1] + 2], whole["data"][pixel])
    assert snapshots(twin_run, run.stride).maps.shape[2:] == run.shape


def test_a_scan_without_resonance_has_one_plot_of_each_kind(own_run):
    run = explored(own_run, "smoke")
    parts = explorer(run, Document())
    assert {"loop0", "generated0"} <= set(parts) and "loop1" not in parts
    assert np.isnan(run.maps["DL"][:, 3 * 31 + 4]).all() and not run.usable[3 * 31 + 4]


def made_snapshots(count: int = 9) -> Snapshots:
    values = np.random.default_rng(0).normal(size=(count, 2, 6, 6))
    return Snapshots(values, np.ones((count, 2)), np.arange(count), np.linspace(1, 0, count), np.ones(count),
                     ("z1", "z2"), "twin", SCAN)


def test_snapshots_are_thinned_evenly_between_first_and_last():
    kept = made_snapshots().thinned(5 * 72)
    assert kept.epochs.tolist() == [0, 2, 4, 6, 8] and len(kept.maps) == len(kept.kl) == 5
    assert made_snapshots().thinned(0).epochs.tolist() == [0, 8]


@pytest.mark.parametrize("allowed, kinds", [(True, ["interact"]), (False, ["PageFigure", "HTML"])])
def test_a_live_kernel_gets_a_widget_and_papermill_a_picture_and_a_page(monkeypatch, allowed, kinds):
    shown = []
    shell = SimpleNamespace(get_parent=lambda: {"content": {"allow_stdin": allowed}})
    monkeypatch.setattr(training, "get_ipython", lambda: shell)
    monkeypatch.setattr(training, "display", lambda thing: shown.append(type(thing).__name__))
    monkeypatch.setattr(training.ipywidgets, "interact", lambda draw, snapshot: shown.append("interact"))
    show_training(made_snapshots())
    assert shown == kinds


def test_the_widget_draws_the_chosen_snapshot(monkeypatch):
    figure = training.training_strip(made_snapshots(), [4])
    assert "epoch 4" in figure.alt and len([ax for ax in figure.axes if ax.images]) == 2
    assert [bar.get_xlabel() for ax in figure.axes for bar in ax.child_axes] == ["posterior mean"]


def test_executed_notebook_3_holds_picture_and_page_and_stays_small(twin_run):
    path = twin_run / "notebooks/3_beta_vae_training.ipynb"
    assert path.stat().st_size < 2 * 2**20
    cell = next(cell for cell in json.loads(path.read_text())["cells"] if cell["id"] == "training-maps")
    kinds = [next(kind for kind in output["data"] if kind != "text/plain") for output in cell["outputs"]]
    assert kinds == ["image/png", "text/html"]


# In a browser


def show(browser, path: Path) -> None:
    """Open a page, with the logs of earlier ones thrown away, and wait until its plots are drawn."""
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(path.as_uri())
    if path.name == "explorer.html":
        until(browser, "return window.Bokeh?.documents[0]?.get_model_by_name('trained')?.text")


def requested(browser) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [message["params"]["request"]["url"] for message in messages
            if message["method"] == "Network.requestWillBeSent"]


@pytest.mark.parametrize("name", FILES)
def test_page_opens_without_errors_and_without_the_network(browser, site, name):
    show(browser, site / name)
    if name.endswith("3_beta_vae_training.html"):
        inner = "return document.querySelector('iframe').contentWindow.Bokeh?.documents[0]"
        assert until(browser, f"{inner}?.get_model_by_name('trained')?.text").startswith("epoch")
    assert not [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    urls = requested(browser)
    assert urls and all(url.startswith(("file:", "data:", "blob:", "about:")) for url in urls)


FIND = """
    const find = (node, query) => {
      if (!node) return null
      const found = node.querySelector(query)
      if (found) return found
      for (const part of node.querySelectorAll('*')) {
        const inner = find(part.shadowRoot, query)
        if (inner) return inner
      }
      return null
    }
"""


@contextmanager
def phone(browser):
    """A narrow screen that fingers touch."""
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@contextmanager
def preferring(browser, scheme: str):
    """A reader who prefers "light" or "dark"."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("name", FILES)
def test_page_fits_a_phone(browser, site, name):
    with phone(browser):
        show(browser, site / name)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("name", ["figures.html", "ledger.html", "notebooks/4_embedding_movies.html",
                                  "notebooks/5_paper_and_reproduction.html"])
def test_stacked_cells_of_a_table_name_their_columns_on_a_phone(browser, site, name):
    with phone(browser):
        show(browser, site / name)
        said, heads = browser.execute_script("""
            const shown = (query) => Array.from(document.querySelectorAll(query)).filter((part) => part.offsetHeight)
            return [shown('tbody td').map((cell) => getComputedStyle(cell, '::before').content),
                    shown('thead').map((head) => head.offsetWidth)]""")
    assert said and all(len(text) > 4 for text in said)  # more than a colon between quotation marks
    assert max(heads) <= 1


FAINT = """
    const parse = (text) => text.match(/[\\d.]+/g).map(Number)
    const linear = (part) => part <= 10 ? part / 3294 : ((part / 255 + 0.055) / 1.055) ** 2.4
    const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    const css = (part) => getComputedStyle(part)
    const faint = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    while (walker.nextNode()) {
      const part = walker.currentNode.parentElement
      if (!walker.currentNode.data.trim() || !part.checkVisibility() || part.matches('script, style')) continue
      let ground = part
      while (parse(css(ground).backgroundColor)[3] === 0) ground = ground.parentElement
      const both = [css(part).color, css(ground).backgroundColor].map((colour) => luminance(parse(colour)))
      const [low, high] = both.sort((a, b) => a - b)
      if ((high + 0.05) / (low + 0.05) < 4.5) faint.push(walker.currentNode.data)
    }
    return [css(document.body).backgroundColor, faint]"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", FILES)
def test_text_of_every_page_stands_out(browser, site, name, scheme):
    with preferring(browser, scheme):
        browser.get((site / name).as_uri())
        ground, faint = browser.execute_script(FAINT)
    assert (luminance(ground) > 0.5) == (scheme == "light")
    assert not faint


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2) of a colour as the browser or Bokeh states it."""
    if colour.startswith("#"):
        values = [int(colour[i:i + 2], 16) for i in (1, 3, 5)]
    else:
        whole = 255 if colour.startswith("color(") else 1
        values = [whole * float(value) for value in re.findall(r"[\d.]+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in values)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_lines_stand_out_in_light_and_dark(browser, site, scheme):
    with preferring(browser, scheme):
        show(browser, site / "explorer.html")
        colours = browser.execute_script(FIND + """
        const page = Bokeh.documents[0], css = (query) => getComputedStyle(document.querySelector(query))
        const plot = page.get_model_by_name('loop0')
        return {page: css('body').backgroundColor,
                texts: [css('body').color, css('a').color, css('footer').color,
                        plot.below[0].axis_label_text_color],
                grounds: ['select', '.noUi-target', '.noUi-handle']
                  .map((query) => getComputedStyle(find(document, query)).backgroundColor),
                lines: plot.renderers.map((line) => line.glyph.line_color.value ?? line.glyph.line_color)}""")
    ground = luminance(colours["page"])
    assert (ground > 0.5) == (scheme == "light")

    def contrast(colour: str) -> float:
        low, high = sorted([ground, luminance(colour)])
        return (high + 0.05) / (low + 0.05)

    assert min(map(contrast, colours["texts"])) >= 4.5
    assert min(map(contrast, colours["lines"])) >= 3
    assert max(map(contrast, colours["grounds"])) < 2


SHOWN = """
    const page = Bokeh.documents[0], source = page.get_model_by_name(arguments[0]).renderers[0].data_source
    const columns = Object.entries(source.data)
    return Object.fromEntries(columns.map(([name, values]) => [name, Array.from(values)]))"""
HANDLE = FIND + """
    return find(Bokeh.index.get_one
      ? Bokeh.index.get_by_id(Bokeh.documents[0].get_model_by_name(arguments[0]).id).shadow_el
      : Bokeh.index[Bokeh.documents[0].get_model_by_name(arguments[0]).id].shadow_el, '.noUi-handle')"""


def shown_loops(browser, plot: str = "loop0") -> dict[str, np.ndarray]:
    return {name: np.array(values, float) for name, values in browser.execute_script(SHOWN, plot).items()}


def assert_loops_of(browser, run: Path, row: int, column: int) -> None:
    scan, shown = load_scan(run / "results/scan.h5"), shown_loops(browser)
    pixel = row * scan.shape[1] + column
    for name, every in expected_loops(run).items():
        for channel in range(every.shape[-1]):
            step = 1e-4 * np.ptp(every[..., channel])
            np.testing.assert_allclose(shown[f"{name}_{channel}"][:-1], every[pixel, :, channel], atol=step)
            assert shown[f"{name}_{channel}"][-1] == shown[f"{name}_{channel}"][0]
    text = browser.execute_script("return Bokeh.documents[0].get_model_by_name('readout').text")
    assert f"Row {row}, column {column}." in text


def click_pixel(browser, run: Path, row: int, column: int) -> None:
    """Click the map where a pixel is drawn."""
    from selenium.webdriver.common.action_chains import ActionChains

    scan = load_scan(run / "results/scan.h5")
    laid = grid(scan.shape, replace(orientation_of(scan), crop=0.0))
    x, y = (place[row * scan.shape[1] + column] for place in laid.centres(scan.shape[0] * scan.shape[1]))
    chart = browser.find_element("css selector", "#map")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", chart)
    size = chart.size
    ActionChains(browser).move_to_element_with_offset(
        chart, round((x / laid.width - 0.5) * size["width"]), round((0.5 - y / laid.height) * size["height"])
    ).click().perform()
    until(browser, "return Bokeh.documents[0].get_model_by_name('readout').text.includes(arguments[0])",
          f"Row {row}, column {column}.")


def press(browser, name: str, key: str) -> int:
    """Press a key on the handle of a slider; returns the slider's value."""
    from selenium.webdriver.common.keys import Keys

    value = "return Bokeh.documents[0].get_model_by_name(arguments[0]).value"
    before = browser.execute_script(value, name)
    browser.execute_script(HANDLE, name).send_keys(getattr(Keys, key))
    until(browser, f"{value.replace('return', 'return arguments[1] !=')}", name, before)
    return browser.execute_script(value, name)


def test_a_click_on_the_map_shows_the_loops_of_that_pixel(browser, twin_run, site):
    show(browser, site / "explorer.html")
    rows, columns = load_scan(twin_run / "results/scan.h5").shape
    before = shown_loops(browser)
    for row, column in ((rows // 3, columns // 4), (rows - 2, columns - 2)):
        click_pixel(browser, twin_run, row, column)
        assert_loops_of(browser, twin_run, row, column)
    assert (shown_loops(browser)["data_0"] != before["data_0"]).any()


def test_a_click_on_an_unusable_pixel_says_so_and_draws_nothing(browser, own_run, own_site):
    show(browser, own_site / "explorer.html")
    click_pixel(browser, own_run, 12, 7)
    assert_loops_of(browser, own_run, 12, 7)
    click_pixel(browser, own_run, 3, 4)
    assert np.isnan(shown_loops(browser)["DL_0"]).all()
    said = browser.execute_script("return Bokeh.documents[0].get_model_by_name('readout').text")
    assert "No usable loop" in said


def test_arrow_keys_and_sliders_choose_pixels(browser, twin_run, site):
    from selenium.webdriver.common.keys import Keys

    show(browser, site / "explorer.html")
    row, column = (browser.execute_script(f"return Bokeh.documents[0].get_model_by_name('{name}').value")
                   for name in ("row", "column"))
    browser.find_element("css selector", "#map").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    assert_loops_of(browser, twin_run, row - 1, column + 2)
    assert press(browser, "row", "ARROW_RIGHT") == row
    assert_loops_of(browser, twin_run, row, column + 2)


def test_the_tab_key_meets_named_controls_alone(browser, site):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    show(browser, site / "explorer.html")
    browser.execute_script("document.getElementById('map').focus()")
    names = []
    while len(names) < 9:
        ActionChains(browser).send_keys(Keys.TAB).perform()
        names.append(browser.execute_script("""
            let part = document.activeElement
            while (part.shadowRoot?.activeElement) part = part.shadowRoot.activeElement
            return part.ariaLabel ?? part.labels?.[0].innerText"""))
    assert names == ["measured", "DL", "PCA", "β-VAE", "Row", "Column", "Channel", "Its value",
                     "Snapshot of the training"]


def test_a_box_hides_its_line_in_every_plot(browser, site):
    show(browser, site / "explorer.html")
    lines = """return ['loop0', 'loop1'].map((name) => Bokeh.documents[0].get_model_by_name(name).renderers
                   .filter((line) => line.visible).map((line) => line.name))"""
    assert browser.execute_script(lines) == [["data", "data", "DL", "PCA", "β-VAE"]] * 2
    browser.execute_script(FIND + "find(document, 'input[type=checkbox]').click()")
    assert browser.execute_script(lines) == [["DL", "PCA", "β-VAE"]] * 2


def test_the_channel_can_be_chosen_beside_the_sweep(browser, site):
    show(browser, site / "explorer.html")
    for chosen, other in (("channel", "embedding"), ("embedding", "channel")):
        value = "Bokeh.documents[0].get_model_by_name(arguments[0]).value"
        wanted = browser.execute_script(f"return {value} = String(Number({value}) + 1)", chosen)
        until(browser, f"return {value} == arguments[1]", other, wanted)


def touch(browser, *points: tuple[float, float]) -> None:
    """Put a finger on the first point, draw it over the others and lift it."""
    for kind, at in [("touchStart", points[0]), *(("touchMove", point) for point in points[1:])]:
        place = [{"x": at[0], "y": at[1]}]
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": place})
        time.sleep(0.02)
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_finger_chooses_a_pixel_moves_a_slider_and_scrolls(browser, site):
    value = "return Bokeh.documents[0].get_model_by_name(arguments[0]).value"
    place = """arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})
               const box = arguments[0].getBoundingClientRect()
               return [box.x + box.width / 2, box.y + box.height / 2, box.height]"""
    with phone(browser):
        show(browser, site / "explorer.html")
        x, y, height = browser.execute_script(place, browser.find_element("css selector", "#map"))
        column = browser.execute_script(value, "column")
        touch(browser, (x + 0.1 * height, y))
        until(browser, f"{value} > arguments[1]", "column", column)
        before = browser.execute_script("return scrollY")
        touch(browser, *((x, y + 0.04 * step * height) for step in range(10, -11, -1)))
        until(browser, "return scrollY > arguments[0] + 50", before)
        row = browser.execute_script(value, "row")
        x, y, height = browser.execute_script(place, browser.execute_script(HANDLE, "row"))
        touch(browser, (x, y + 0.8 * height), (x - 40, y + 0.8 * height), (x - 80, y + 0.8 * height))
        until(browser, f"{value} < arguments[1]", "row", row)


def test_the_chosen_map_is_that_of_the_results(browser, twin_run, site):
    show(browser, site / "explorer.html")
    browser.execute_script("Bokeh.documents[0].get_model_by_name('embedding').value = arguments[0]",
                           str(len(load_arrays(twin_run / "results/sweeps.npz")["beps_active"])))
    codes = load_arrays(twin_run / "results/dictionary.npz")["beps_codes"][:, 0]
    scan = load_scan(twin_run / "results/scan.h5")
    laid = grid(scan.shape, replace(orientation_of(scan), crop=0.0))
    drawn = np.array(drawn_map(browser, "map", 0), float)
    wanted = np.where(laid.pixel >= 0, codes[laid.pixel], np.nan).ravel()
    np.testing.assert_allclose(drawn, wanted, rtol=1e-5, atol=1e-6)


def drawn_map(browser, plot: str, index: int) -> list[float]:
    return browser.execute_script("""
        const maps = Bokeh.documents[0].get_model_by_name(arguments[0]).renderers[1].data_source.data.values
        return Array.from(maps[arguments[1]])""", plot, index)


def test_the_sweep_slider_changes_the_generated_loop(browser, twin_run, site):
    show(browser, site / "explorer.html")
    values, every = explored(twin_run, "smoke").swept["β-VAE"]
    before = shown_loops(browser, "generated0")["generated_0"]
    index = press(browser, "sweep", "ARROW_LEFT")
    after = shown_loops(browser, "generated0")["generated_0"]
    np.testing.assert_allclose(after[:-1], every[0, index, :, 0], atol=1e-4 * np.ptp(every))
    assert (after != before).any()
    text = browser.execute_script("return Bokeh.documents[0].get_model_by_name('swept').text")
    assert float(re.search(r"= (\S+?)<", text)[1].replace("−", "-")) == pytest.approx(values[0, index], rel=1e-2)


def test_the_training_slider_changes_the_maps(browser, twin_run, site):
    show(browser, site / "explorer.html")
    kept = snapshots(twin_run, 1)
    laid = grid(kept.maps.shape[2:], kept.orientation)
    last = np.array(drawn_map(browser, "maps", 0), float)
    assert press(browser, "training", "HOME") == 0
    first = np.array(drawn_map(browser, "maps", 0), float)
    for index, drawn in ((-1, last), (0, first)):
        values = np.clip(kept.maps[index, 0].ravel(), -1.27 * kept.half, 1.27 * kept.half)
        wanted = np.where(laid.pixel >= 0, values[laid.pixel], np.nan).ravel()
        np.testing.assert_allclose(drawn, wanted, atol=0.0051 * kept.half)
    assert np.nanmax(np.abs(first - last)) > 0.01 * kept.half


def test_movies_have_a_duration(browser, site):
    show(browser, site / "movies.html")
    seconds = until(browser, """
        const movies = Array.from(document.querySelectorAll('video'))
        return movies.every((movie) => movie.readyState > 0) && movies.map((movie) => movie.duration)""")
    assert len(seconds) == 6 and min(seconds) > 0


def test_controls_of_a_movie_stand_below_its_picture(browser, site):
    def room() -> int:
        show(browser, site / "movies.html")
        until(browser, "return document.querySelector('video').videoWidth")
        return browser.execute_script("""
            const movie = document.querySelector('video')
            return movie.clientHeight - movie.clientWidth * movie.videoHeight / movie.videoWidth""")

    assert room() >= 70
    with phone(browser):
        assert room() >= 70
