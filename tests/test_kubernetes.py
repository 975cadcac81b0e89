"""`make ... CLUSTER=kubernetes` with a kubectl that keeps jobs in a folder."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Tree

from workflow.cluster import check
from workflow.kubernetes import job, job_name

KUBECTL = f"""#!{sys.executable}
import json, sys
from pathlib import Path
jobs = Path(__file__).with_name("jobs")
jobs.mkdir(exist_ok=True)
verb, *words = sys.argv[1:]
if verb == "auth":
    print("yes")
elif verb == "create":
    body = json.load(sys.stdin)
    name = body["metadata"]["name"]
    if (jobs / name).exists():
        sys.exit(f'Error from server (AlreadyExists): error when creating "STDIN": "{{name}}" already exists')
    (jobs / name).write_text(json.dumps(body))
elif verb == "delete":
    (jobs / words[1]).unlink()
elif verb == "get":
    print((jobs / words[1]).exists() and json.loads((jobs / words[1]).read_text()).get("ended") or "", end="")
"""


@pytest.fixture
def sender(tree, monkeypatch) -> Tree:
    """A tree with an installation and a kubectl."""
    shutil.copytree(ROOT / "profiles", tree.root / "profiles")
    shutil.copy(ROOT / "workflow/kubernetes.py", tree.root / "helpers")
    (tree.root / ".venv/bin").mkdir(parents=True)
    script(tree.root / ".venv/bin/python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    installed = tree.run("sh", "-c", "echo installed-$(cksum < requirements.txt | cut -d ' ' -f 1)").stdout.strip()
    (tree.root / ".venv" / installed).touch()
    script(tree.root / "bin/kubectl", KUBECTL)
    monkeypatch.setenv("PATH", f"{tree.root}/bin:/usr/bin:/bin")
    return tree


def script(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_make_sends_itself_with_the_variables_given_and_a_job_that_has_ended_makes_room(sender):
    command = ["make", "figures", "CLUSTER=kubernetes", "PROFILE=smoke", "SEED=3", "DATA=my scan $$1.h5"]
    sent = sender.run(*command)
    assert sent.returncode == 0, sent.stdout
    assert "kubectl logs --follow job/figures-smoke-seed3" in sent.stdout
    kept, = (sender.root / "bin/jobs").iterdir()
    body = json.loads(kept.read_text())
    container, = body["spec"]["template"]["spec"]["containers"]
    assert container["command"][:2] == ["make", "figures"]
    assert set(container["command"][2:]) == {"CORES=4", "PROFILE=smoke", "SEED=3", "DATA=my scan $1.h5"}
    again = sender.run(*command)
    assert again.returncode != 0
    assert "job/figures-smoke-seed3: a job of this name has not ended: expected one at a time" in again.stdout
    kept.write_text(json.dumps(body | {"ended": "FailureTarget Failed"}))
    assert sender.run(*command).returncode == 0
    assert json.loads(kept.read_text()) == body


def test_make_in_the_pod_takes_the_command_that_was_sent(sender):
    assert sender.run("make", "sweep", "CLUSTER=kubernetes", "CORES=2").returncode == 0
    body = json.loads((sender.root / "bin/jobs/sweep-laptop-seed0-sweep").read_text())
    command = body["spec"]["template"]["spec"]["containers"][0]["command"]
    planned = sender.run(*command, "--dry-run").stdout
    assert "-m snakemake --cores 2 " in planned and "workflow.sweep_table" in planned


def test_a_cluster_that_does_not_answer_or_refuses_is_named(sender, monkeypatch):
    script(sender.root / "bin/kubectl", "#!/bin/sh\n[ $1 = auth ] && echo no\nexit 1\n")
    with pytest.raises(ValueError, match="CLUSTER=kubernetes: kubectl says 'no': expected yes; see whether"):
        check("kubernetes")
    script(sender.root / "bin/kubectl", "#!/bin/sh\n[ $1 = auth ] || { echo forbidden >&2; exit 1; }\n")
    refused = sender.run("make", "figures", "CLUSTER=kubernetes")
    assert refused.returncode != 0
    assert "job/figures-laptop-seed0: kubectl get says 'forbidden': expected it to take the job" in refused.stdout
    monkeypatch.setenv("PATH", str(sender.root))
    with pytest.raises(ValueError, match="there is no kubectl here: expected a machine from which jobs are sent"):
        check("kubernetes")


def test_names_are_such_as_kubernetes_takes():
    assert job_name("figures", "laptop", "0", "sweep.yml") == "figures-laptop-seed0"
    assert job_name("sweep", "paper", "1", "/x/My_Sweep 2.yml") == "sweep-paper-seed1-my-sweep-2"
    assert len(job_name("sweep", "paper", "1", f"{'x' * 99}.yml")) == 63


def test_the_job_goes_on_after_a_kill_and_keeps_what_it_makes_on_a_volume():
    body = job("figures", "figures", {})
    pod = body["spec"]["template"]["spec"]
    container, = pod["containers"]
    assert (body["kind"], pod["restartPolicy"]) == ("Job", "Never") and body["spec"]["backoffLimit"] > 0
    mounted, = container["volumeMounts"]
    assert container["workingDir"].startswith(mounted["mountPath"])
    assert [volume["name"] for volume in pod["volumes"]] == [mounted["name"]]
