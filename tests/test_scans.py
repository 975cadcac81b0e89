"""The page that compares scans, drawn from what runs leave."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
from conftest import write_notebook
from PIL import Image

from helpers.record import save_arrays
from helpers.scans.scan import save_scan, simulated_scan
from workflow.compare import write_page


def test_a_row_has_maps_errors_and_features_and_a_failed_scan_its_reason(tmp_path):
    done, failed, left = (tmp_path / f"build/scans/films/{name}/smoke/seed0" for name in ("a #1", "b", "c"))
    (done / "results").mkdir(parents=True)
    scan = simulated_scan(0, (8, 10))
    save_scan(scan, done / "results/scan.h5")
    order = np.array([2, 0, 1])
    save_arrays(done / "results/vae_beps.npz", embedding=np.random.default_rng(0).normal(size=(80, 3)), order=order)
    (done / "metrics.json").write_text(json.dumps({
        "beps.dl.mse": 0.5, "beps.pca5.mse": 0.2, "beps.vae.mse": 0.1, "beps.vae.mse_heldout": 0.12,
        "beps.pca5.mse_heldout": 0.24, "beps.vae.active": 2}))
    (failed / "logs").mkdir(parents=True)
    write_notebook(failed / "logs/0_measured_data.ipynb", "x")
    (failed / "logs/0_measured_data.log").write_text("b<1>.h5 holds no loops\n")
    page = tmp_path / "build/smoke/films-seed0.html"
    write_page(page, {str(done): "/data/a.h5", str(failed): "/data/b<1>.h5", str(left): "/data/c.h5"})
    text = page.read_text()
    first, second, third = re.findall(r"<tr><td>.*", text)
    assert "1 of 3 scans" in text
    assert 'href="../scans/films/a%20%231/smoke/seed0/notebooks/5_paper_and_reproduction.html"' in first
    assert "(simulated)" in first
    assert "<td>0.5<td>0.2<td>0.1<td>0.12<td>0.5<td>2" in first
    coercive = float(first.split("<td>")[9])
    assert 0 < coercive < scan.voltage_V.max()
    picture = Image.open(io.BytesIO(base64.b64decode(re.search("base64,([^\"]+)", first).group(1))))
    assert picture.size == (2 * 11, 8)
    assert "b&lt;1&gt;.h5" in second and "0_measured_data: b&lt;1&gt;.h5 holds no loops" in second
    assert "not run yet" in third
