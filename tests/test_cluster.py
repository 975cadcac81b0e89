"""A real Slurm of one node: jobs side by side, cancelled, refused, out of time and out of memory."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Tree
from one_node import OneNode, why_not

from helpers.scans.scan import save_scan, simulated_scan

pytestmark = pytest.mark.all
PATIENCE_S = 900
SMALL = "seeds: []\nvary: {vae: {units: [4]}}\n"
CELL = "build/smoke/small/vary.vae.units=4/seed0"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A running Slurm; the tests that need one are skipped where it cannot be had."""
    reason = why_not()
    if not reason and not importlib.util.find_spec("snakemake_executor_plugin_slurm"):
        reason = "the executor is not installed (make test-all CLUSTER=slurm)"
    if reason:
        pytest.skip(reason)
    node = OneNode(tmp_path_factory.mktemp("slurm"))
    try:
        node.start()
    except RuntimeError as error:
        node.stop()
        pytest.skip(str(error))
    yield node
    node.stop()


@pytest.fixture
def project(tmp_path) -> Path:
    """The files of the project, and a sweep of one training."""
    for name in ("helpers", "notebooks", "workflow"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("data/painting.png", "data/reference/paper_runs.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "small.yml").write_text(SMALL)
    return tmp_path


# The executor looks at the queue at intervals that grow by 10 s; here every 2 s.
OFTEN = """
import runpy
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
RemoteExecutor.next_seconds_between_status_checks = property(lambda self: 2, lambda self, value: None)
runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
"""


def snakemake(project: Path, node: OneNode, *arguments: str, **options) -> subprocess.Popen:
    """Snakemake as `make ... CLUSTER=slurm` runs it, looking at the queue more often."""
    command = [sys.executable, "-c", OFTEN, "--workflow-profile", "workflow/profiles/slurm",
               "--rerun-incomplete", "--slurm-status-command", "squeue",
               "--slurm-init-seconds-before-status-checks", "2", "--config", "profile=smoke", "data=twin",
               "sweep=small.yml", *arguments]
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PROFILE", "DATA", "SEED")
    environment = {name: value for name, value in node.environment.items() if name not in outer}
    return subprocess.Popen(command, cwd=project, env=environment | {"OMP_NUM_THREADS": "1"}, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


def until(done, run: subprocess.Popen):
    """The first truth that `done()` gives while Snakemake runs."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and run.poll() is None:
        if found := done():
            return found
        time.sleep(0.3)
    run.kill()
    raise AssertionError(run.communicate()[0])


def checkpoints(project: Path) -> list[Path]:
    return sorted((project / CELL).glob("*/checkpoint-*.npz"))


def test_jobs_run_side_by_side_and_a_cancelled_training_goes_on_from_its_checkpoint(slurm, project):
    def running() -> list[str]:
        return slurm.command("squeue", "--noheader", "--states=RUNNING", "--format=%i").split()

    run = snakemake(project, slurm, "--keep-going", "build/smoke/seed0/results/toy.npz", f"{CELL}/metrics.json")
    until(lambda: len(running()) == 2, run)  # the scan and the toy
    until(lambda: len(checkpoints(project)) == 2, run)
    first = next((project / CELL).glob("*/snapshot-000001.npz"))
    written = first.stat().st_mtime_ns
    slurm.command("scancel", max(running(), key=int))  # the training, sent last
    output = run.communicate(timeout=PATIENCE_S)[0]
    assert run.returncode == 0, output
    assert "SLURM status is: 'CANCELLED'" in output
    assert (project / "build/smoke/seed0/results/toy.npz").is_file()
    assert json.loads((project / CELL / "metrics.json").read_text())["sensitivity.vae.units=4"] > 0
    log = (project / CELL / "log.txt").read_text()
    assert "epochs are done already" in log and " 0 of" not in log
    assert first.stat().st_mtime_ns == written, "the training began again"


def test_a_partition_that_refuses_is_named_with_the_setting_to_change(slurm, project):
    run = snakemake(project, slurm, "--retries", "0", "--default-resources", "slurm_partition=nowhere",
                    "--", "build/smoke/seed0/results/toy.npz")
    output = run.communicate(timeout=PATIENCE_S)[0]
    assert run.returncode != 0
    assert "invalid partition" in output.lower()


def freeze_training(project: Path) -> None:
    """Stop the training of `project` where it is; it still counts as running."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            of_project = process.joinpath("cwd").samefile(project)
            if of_project and b"workflow.cell" in process.joinpath("cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGSTOP)
        except OSError:  # it has ended
            continue


def test_slurm_ends_jobs_over_time_or_memory_and_a_training_out_of_time_goes_on(slurm, project, tmp_path_factory):
    scan = project / "build/smoke/seed0/results/scan.h5"
    scan.parent.mkdir(parents=True)
    save_scan(simulated_scan(0, (20, 20)), scan)
    training = snakemake(project, slurm, "--retries", "1", "--", f"{CELL}/metrics.json")
    given_up = run_over_limits(Tree(tmp_path_factory.mktemp("over"), real=True), slurm)
    until(lambda: len(checkpoints(project)) == 2, training)
    first = next((project / CELL).glob("*/snapshot-000001.npz"))
    written = first.stat().st_mtime_ns
    freeze_training(project)
    jobs = slurm.command("squeue", "--noheader", "--states=RUNNING", "--format=%i %Z").splitlines()
    number, = (job.split()[0] for job in jobs if job.endswith(f" {project}"))
    slurm.command("scontrol", "update", f"JobId={number}", "TimeLimit=1")
    output = given_up.communicate(timeout=PATIENCE_S)[0]
    assert given_up.returncode != 0
    # The words by which the table in workflow/README.md tells what to change.
    assert "TIMEOUT" in output and re.search("OUT_OF_MEMORY|oom.kill|memory limit", output)
    output = training.communicate(timeout=PATIENCE_S)[0]
    assert training.returncode == 0, output
    assert output.count("SLURM status is: 'TIMEOUT'") == 1
    log = (project / CELL / "log.txt").read_text()
    assert "epochs are done already" in log and " 0 of" not in log
    assert first.stat().st_mtime_ns == written, "the training began again"


def run_over_limits(tree: Tree, node: OneNode) -> subprocess.Popen:
    """Run stub notebooks, of which one takes more time and one more memory than it asks for."""
    shutil.copytree(ROOT / "workflow/profiles", tree.root / "workflow/profiles")
    (tree.root / "small.yml").write_text(SMALL)
    tree.stub("0_measured_data", "import time\ntime.sleep(600)")
    tree.stub("1_toy_rgb_benchmark", "import time\nfull = b'x' * 2 * 10**9\ntime.sleep(600)")
    return snakemake(tree.root, node, "--retries", "0", "--keep-going", "--set-resources", "0_measured_data:runtime=1",
                     "1_toy_rgb_benchmark:mem_mb=1000")


def test_the_profile_sends_killed_jobs_again_and_waits_for_files():
    profile = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())
    assert profile["executor"] == "slurm" and profile["retries"] > 0 and profile["latency-wait"] >= 30
