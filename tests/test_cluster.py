"""A real Slurm of one node, and what is said when a cluster is not there, refuses or loses a job."""

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
from conftest import ROOT, Tree, write_notebook
from one_node import OneNode, why_not

from workflow.cluster import check, hopeless, lost_jobs
from helpers.scans.scan import save_scan, simulated_scan

PATIENCE_S = 900
SMALL = "seeds: []\nvary: {vae: {units: [4]}}\n"
CELL = "build/smoke/small/vary.vae.units=4/seed0"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A running Slurm; the tests that need one are skipped where it cannot be had."""
    reason = why_not()
    if not reason and not importlib.util.find_spec("snakemake_executor_plugin_slurm"):
        reason = "the executor is not installed (make test CLUSTER=slurm)"
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
    for name in ("Snakefile", "sweep.yml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("helpers", "notebooks", "profiles"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
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
    command = [sys.executable, "-c", OFTEN, "--workflow-profile", "workflow/profiles/slurm", "--nolock",
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
    end = output.strip().splitlines()[-2:]
    assert "1_toy_rgb_benchmark" in end[0] and "correct `slurm_partition`" in end[0]
    assert end[1] == "Its log: build/smoke/seed0/logs/1_toy_rgb_benchmark.log"


def freeze_training(project: Path) -> None:
    """Stop the training of `project` where it is; it still counts as running."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            of_project = process.joinpath("cwd").samefile(project)
            if of_project and b"workflow.sweep" in process.joinpath("cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGSTOP)
        except OSError:  # it has ended
            continue


def test_slurm_ends_jobs_over_time_or_memory_and_a_training_out_of_time_goes_on(slurm, project, tmp_path_factory):
    scan = project / "build/smoke/seed0/results/scan.h5"
    scan.parent.mkdir(parents=True)
    save_scan(simulated_scan(0, (20, 20)), scan)
    training = snakemake(project, slurm, "--retries", "1", "--", f"{CELL}/metrics.json")
    given_up = run_over_limits(Tree(tmp_path_factory.mktemp("over")), slurm)
    until(lambda: len(checkpoints(project)) == 2, training)
    first = next((project / CELL).glob("*/snapshot-000001.npz"))
    written = first.stat().st_mtime_ns
    freeze_training(project)
    jobs = slurm.command("squeue", "--noheader", "--states=RUNNING", "--format=%i %Z").splitlines()
    number, = (job.split()[0] for job in jobs if job.endswith(f" {project}"))
    slurm.command("scontrol", "update", f"JobId={number}", "TimeLimit=1")
    output = given_up.communicate(timeout=PATIENCE_S)[0]
    assert given_up.returncode != 0
    told = dict(re.findall(r"^(\w+ \(\S+\) failed: .+)\n(Its log: .+)$", output, re.MULTILINE))
    for name, remedy in (("0_measured_data", "raise `runtime`"), ("1_toy_rgb_benchmark", "raise `mem_mb`")):
        sentence = next(sentence for sentence in told if sentence.startswith(f"{name} (build/smoke/seed0) failed: "))
        assert remedy in sentence
        assert told[sentence].startswith(f"Its log: build/smoke/seed0/logs/{name}.log, ")
    assert output.strip().splitlines()[-1] in told.values() and "failed: Executing notebook" not in output
    output = training.communicate(timeout=PATIENCE_S)[0]
    assert training.returncode == 0, output
    assert output.count("SLURM status is: 'TIMEOUT'") == 1
    log = (project / CELL / "log.txt").read_text()
    assert "epochs are done already" in log and " 0 of" not in log
    assert first.stat().st_mtime_ns == written, "the training began again"


def run_over_limits(tree: Tree, node: OneNode) -> subprocess.Popen:
    """Run stub notebooks, of which one takes more time and one more memory than it asks for."""
    shutil.copytree(ROOT / "profiles", tree.root / "profiles")
    (tree.root / "small.yml").write_text(SMALL)
    tree.stub("0_measured_data", "import time\ntime.sleep(600)")
    tree.stub("1_toy_rgb_benchmark", "import time\nfull = b'x' * 2 * 10**9\ntime.sleep(600)")
    return snakemake(tree.root, node, "--retries", "0", "--keep-going", "--set-resources", "0_measured_data:runtime=1",
                     "1_toy_rgb_benchmark:mem_mb=1000")


# without a cluster


def test_a_cluster_that_is_not_there_is_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="sge is not a cluster: expected one of kubernetes, slurm, the folders"):
        check("sge")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="there is no sbatch here: expected a machine from which jobs are sent"):
        check("slurm")
    for name, script in (("sbatch", ""), ("sinfo", "echo Unable to contact slurm controller >&2; exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(ValueError, match="sinfo says 'Unable to contact slurm controller'"):
        check("slurm")


ACCOUNT = """[Sun Nov 22 21:58:38 2026]
Error in rule cell:
    message: SLURM-job '2' failed, SLURM status is: '{status}'. Detailed failure reason unavailable
    jobid: 1
    output: build/smoke/sweep/headline/seed2/metrics.json
    log: build/smoke/sweep/headline/seed2/log.txt, /x/.snakemake/slurm_logs/rule_cell/2.log (check log file(s) for error details)
    shell:
        echo TIMEOUT
papermill --no-progress-bar --execution-timeout 3 CANCELLED gres
        (command exited with non-zero exit code)
"""


@pytest.mark.parametrize(("status", "remedy"), [
    ("TIMEOUT", "raise `runtime`"), ("OUT_OF_MEMORY", "raise `mem_mb`"), ("NODE_FAIL", "its node failed"),
    ("CANCELLED", "it was cancelled"),
])
def test_a_lost_job_is_named_with_its_log_and_what_to_change(tmp_path, status, remedy):
    log = tmp_path / "snakemake.log"
    log.write_text("Job stats\n" + 2 * ACCOUNT.format(status=status))
    sentence, = lost_jobs([log])
    assert sentence.startswith("cell (build/smoke/sweep/headline/seed2) failed: ") and remedy in sentence
    assert "build/smoke/sweep/headline/seed2/log.txt" in sentence and "rule_cell/2.log" in sentence


def test_a_job_that_was_sent_again_and_has_finished_is_not_lost(tmp_path):
    log = tmp_path / "snakemake.log"
    log.write_text("Job stats\n" + ACCOUNT.format(status="TIMEOUT"))
    assert len(lost_jobs([log])) == 1
    log.write_text(log.read_text() + "[Sun Nov 22 21:59:38 2026]\nFinished jobid: 1 (Rule: cell)\n")
    assert lost_jobs([log]) == []


def test_memory_is_named_where_only_the_log_of_the_job_says_so(tmp_path):
    log, own = tmp_path / "snakemake.log", tmp_path / "2.log"
    log.write_text(ACCOUNT.format(status="FAILED").replace("/x/.snakemake/slurm_logs/rule_cell/2.log", str(own)))
    own.write_text("epoch 3\nslurmstepd: error: Detected 1 oom_kill event in StepId=2.0.\n")
    assert "raise `mem_mb`" in lost_jobs([log])[0]
    own.write_text("ValueError: oom_kill is no colour\n")
    assert lost_jobs([log]) == []


def test_files_that_lag_are_named(tmp_path):
    log = tmp_path / "snakemake.log"
    log.write_text("[Sun Nov 22 21:58:38 2026]\nError in rule cell:\n    message: Job completed successfully, but some "
                   "output files are missing. Missing files after 60 seconds.\n    jobid: 1\n")
    assert "raise `latency-wait`" in lost_jobs([log])[0]


def test_a_job_that_ended_by_its_own_error_is_not_lost(tmp_path):
    log = tmp_path / "snakemake.log"
    log.write_text(ACCOUNT.format(status="FAILED"))
    assert lost_jobs([log]) == []


def test_only_errors_of_the_work_itself_end_a_second_attempt(tmp_path):
    notebook, log = tmp_path / "n.ipynb", tmp_path / "log.txt"
    assert hopeless(notebook) == "" == hopeless(log)
    write_notebook(notebook, "x")
    assert hopeless(notebook) == ""
    content = json.loads(notebook.read_text())
    for error, ends in (("DataError", True), ("MemoryError", False)):
        content["cells"][0]["outputs"] = [{"output_type": "error", "ename": error, "evalue": "a.h5", "traceback": []}]
        notebook.write_text(json.dumps(content))
        assert hopeless(notebook) == (f"{error}: a.h5" if ends else "")
    for last, ends in (("ValueError: 3 spectra", True), ("OSError: [Errno 116] Stale file handle", False),
                       ("numpy._core._exceptions._ArrayMemoryError: 9 GiB", False)):
        log.write_text(f"Traceback (most recent call last):\n  line\n{last}\n")
        assert hopeless(log) == (last if ends else "")
    log.write_text("epoch 3\nslurmstepd: error: *** JOB 3 CANCELLED ***\n")
    assert hopeless(log) == ""


def test_a_second_attempt_at_an_error_ends_at_once(tmp_path):
    (tmp_path / "log.txt").write_text("Traceback (most recent call last):\nValueError: 3 spectra\n")
    command = [sys.executable, "-m", "workflow.cluster", "again", str(tmp_path / "log.txt")]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 1 and done.stderr == "not tried again: ValueError: 3 spectra\n"


def test_the_profile_sends_killed_jobs_again_and_waits_for_files():
    profile = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())
    assert profile["executor"] == "slurm" and profile["retries"] > 0 and profile["latency-wait"] >= 30
