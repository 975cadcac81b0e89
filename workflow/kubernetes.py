"""``make`` as one Job of Kubernetes.

``python -m workflow.kubernetes figures PROFILE SEED`` sends ``make figures`` with the values that the
environment has for PROFILE and SEED; the rest is as workflow/kubernetes.yaml says.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from helpers.paths import ROOT

MANIFEST = ROOT / "workflow/kubernetes.yaml"
ENDED = {"Complete", "Failed"}


def job(name: str, target: str, values: Mapping[str, str]) -> dict:
    """The Job that makes `target`.

    Parameters
    ----------
    name : str
        How it is called in the cluster.
    target : str
        What to make.
    values : mapping of str to str
        Variables of the Makefile; they go before those in the manifest.
    """
    body = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    container = body["spec"]["template"]["spec"]["containers"][0]
    standing = dict(word.split("=", 1) for word in container["command"] if "=" in word)
    container["command"] = ["make", target, *(f"{key}={value}" for key, value in (standing | values).items())]
    body["metadata"]["name"] = name
    return body


def job_name(target: str, profile: str, seed: str, sweep: str) -> str:
    """What is made and where it goes, as far as a name of Kubernetes may hold it."""
    words = [target, profile, f"seed{seed}", *([Path(sweep).stem] if target == "sweep" else [])]
    return re.sub("[^a-z0-9]+", "-", "-".join(words).lower())[:63].strip("-")


def send(name: str, body: dict) -> None:
    """Send a Job; one of the same name that has ended makes room.

    Raises
    ------
    ValueError
        If one of the same name has not ended, or the cluster refuses the Job.
    """
    if ENDED & set(_kubectl("get", "job", name, "--ignore-not-found", "--output",
                            "jsonpath={.status.conditions[?(@.status=='True')].type}").split()):
        _kubectl("delete", "job", name)
    _kubectl("create", "--filename", "-", given=json.dumps(body))


def _kubectl(*words: str, given: str | None = None) -> str:
    asked = subprocess.run(["kubectl", *words], input=given, text=True, capture_output=True, check=False)
    if "(AlreadyExists)" in asked.stderr:
        raise ValueError("a job of this name has not ended: expected one at a time; wait for it, or end it with "
                         "kubectl delete job.")
    if asked.returncode:
        raise ValueError(f"kubectl {words[0]} says {asked.stderr.strip()!r}: expected it to take the job; correct "
                         f"profiles/kubernetes/{MANIFEST.name}, or ask for the right to do this.")
    return asked.stdout


if __name__ == "__main__":
    target, *names = sys.argv[1:]
    name = job_name(target, *(os.environ[key] for key in ("PROFILE", "SEED", "SWEEP")))
    try:
        send(name, job(name, target, {key: os.environ[key] for key in names}))
    except ValueError as error:
        sys.exit(f"CLUSTER=kubernetes: job/{name}: {error}")
    print(f"Sent as job/{name}. It goes on by itself; to see it: kubectl logs --follow job/{name}")
