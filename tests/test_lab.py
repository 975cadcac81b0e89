"""The slider of notebook 3 at a live kernel, in JupyterLab in a browser."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from browsing import until

pytestmark = pytest.mark.all
ROOT = Path(__file__).resolve().parent.parent
CELL = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
from helpers.figures.inputs import SCAN, Look
from helpers.figures.snapshots import Snapshots, show_training
values = np.random.default_rng(0).normal(size=(9, 2, 6, 6))
show_training(Snapshots(values, np.ones((9, 2)), 100 * np.arange(9), np.linspace(1, 0, 9), np.ones(9),
                        ("z1", "z2"), Look("twin", SCAN, ())))
"""
pytestmark = pytest.mark.all
READY = "return window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status == 'idle'"
RUN = "jupyterapp.commands.execute('notebook:run-all-cells')"
PICTURE = """
    const pictures = document.querySelectorAll('.jp-OutputArea img')
    return pictures.length == 1 && pictures[0].naturalWidth > 0 && pictures[0].src != arguments[0] && pictures[0].src"""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture
def lab(tmp_path):
    """Address of a notebook with one cell, in JupyterLab with settings of its own."""
    pytest.importorskip("jupyterlab")
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": CELL, "outputs": [], "execution_count": None}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    work, port = tmp_path / "work", free_port()
    work.mkdir()
    (work / "slider.ipynb").write_text(json.dumps(
        {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
               "--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={work}",
               "--LabApp.expose_app_in_browser=True", "--LabApp.news_url="]
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen(command, env={**os.environ, "HOME": str(tmp_path)}, stdout=log, stderr=log)
    yield f"http://127.0.0.1:{port}/lab/tree/slider.ipynb"
    server.terminate()
    server.wait(60)


def open_when_served(browser, address: str) -> None:
    from selenium.common.exceptions import WebDriverException

    for _ in range(60):
        try:
            return browser.get(address)
        except WebDriverException:
            time.sleep(1)
    raise AssertionError(f"{address} was not served within a minute")


def test_keys_move_the_slider_and_change_the_maps(browser, lab):
    from selenium.webdriver.common.keys import Keys

    open_when_served(browser, lab)
    until(browser, READY, seconds=60)
    browser.execute_script(RUN)
    last = until(browser, PICTURE, "", seconds=60)
    handle, readout = (browser.find_element("css selector", f".jp-OutputArea {part}")
                       for part in (".noUi-handle", ".widget-readout"))
    assert readout.text == "epoch 800"
    handle.send_keys(Keys.ARROW_LEFT)
    until(browser, PICTURE, last)
    assert readout.text == "epoch 700"
    clipped = browser.execute_script("return arguments[0].scrollWidth > arguments[0].clientWidth", readout)
    assert not clipped
