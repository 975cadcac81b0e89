"""A real Slurm of one node: jobs side by side, cancelled, out of time and out of memory."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, Tree, copy_project, variables
from one_node import OneNode, why_not

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
    (tmp_path / "small.yml").write_text(SMALL)
    return copy_project(tmp_path)


# The executor looks at the queue at intervals that grow by 10 s; here every 2 s.
OFTEN = """
import runpy
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
RemoteExecutor.next_seconds_between_status_checks = property(lambda self: 2, lambda self, value: None)
runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
"""


def snakemake(project: Path, node: OneNode, *arguments: str) -> subprocess.Popen:
    """Snakemake as `make ... CLUSTER=slurm` runs it, looking at the queue more often."""
    command = [sys.executable, "-c", OFTEN, "--workflow-profile", "workflow/profiles/slurm",
               "--rerun-incomplete", "--slurm-status-command", "squeue",
               "--slurm-init-seconds-before-status-checks", "2", "--config", "profile=smoke", "data=twin",
               "sweep=small.yml", *arguments]
    return subprocess.Popen(command, cwd=project, env=variables(node.environment), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


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


def test_slurm_ends_jobs_over_time_or_memory(slurm, tmp_path):
    """One stub notebook takes more time and one more memory than it asks for."""
    tree = Tree(tmp_path, real=True)
    shutil.copytree(ROOT / "workflow/profiles", tree.root / "workflow/profiles")
    (tree.root / "small.yml").write_text(SMALL)
    tree.stub("0_measured_data", "import time\ntime.sleep(600)")
    tree.stub("1_toy_rgb_benchmark", "import time\nfull = b'x' * 2 * 10**9\ntime.sleep(600)")
    run = snakemake(tree.root, slurm, "--retries", "0", "--keep-going", "--set-resources", "0_measured_data:runtime=1",
                    "1_toy_rgb_benchmark:mem_mb=1000")
    output = run.communicate(timeout=PATIENCE_S)[0]
    assert run.returncode != 0
    # The words by which the table in workflow/README.md tells what to change.
    assert "TIMEOUT" in output and re.search("OUT_OF_MEMORY|oom.kill|memory limit", output)
