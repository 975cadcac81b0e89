"""Jobs on a cluster: is it there, is a failed job worth another attempt, what became of the lost ones.

``python -m workflow.cluster check NAME`` asks the cluster before anything is sent to it;
``python -m workflow.cluster again FILE`` ends a second attempt at what the first failed at by itself.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from helpers.paths import ROOT
from workflow.settings import raised

PATIENCE_S = 20
# What sends jobs to a cluster, what is asked of it, and the answer where all is well.
QUESTIONS = {
    "slurm": ("sbatch", ["sinfo", "--noheader"], "a list of partitions"),
    "kubernetes": ("kubectl", ["kubectl", "auth", "can-i", "create", "jobs"], "yes"),
}
# Errors that may pass by themselves, or with the larger memory that a second attempt asks for.
PASSING = r"(\w+\.)*(\w*MemoryError|ResourceExhaustedError|OSError|TimeoutError|ConnectionError)\b"
# What the account of a failed job says, and what to do about it.
REMEDIES = {
    r"TIMEOUT|DEADLINE|DUE TO TIME LIMIT":
        "its time ran out more often than it may be sent again; a training goes on from its last epoch, so run "
        "again, or raise `runtime` under set-resources, or `retries`",
    r"OUT_OF_MEMORY|oom.kill|[Ee]xceeded (job )?memory limit":
        "its memory did not suffice; raise `mem_mb` under set-resources",
    r"CANCELLED|PREEMPTED": "it was cancelled more often than it may be sent again; run again",
    r"NODE_FAIL|BOOT_FAIL": "its node failed; run again, and name the node to the cluster's staff if it stays",
    r"[Ii]nvalid partition|partition.*(not available|down)|is not valid for|Partition configuration|partition.*limit":
        "the partition refused it; correct `slurm_partition`, or ask for less under set-resources",
    r"[Ii]nvalid account|account .*invalid": "the account was refused; correct `slurm_account`",
    r"generic resource|\b[Gg]res\b|GPU requested|Requested node configuration":
        "no node has what it asks for; correct gpu, mem_mb and cores under set-resources",
    r"[Cc]onnection refused|Unable to contact|Socket timed out|sbatch: command not found":
        "the cluster did not answer; see whether it is up, and run again",
    r"output files are missing|Missing files after|latency":
        "its files have not arrived from the shared file system; raise `latency-wait`",
}


def check(cluster: str) -> None:
    """Ask a cluster whether it is there.

    Raises
    ------
    ValueError
        If there is no profile of that name, or the cluster does not answer.
    """
    known = sorted({path.parent.name for path in (ROOT / "workflow/profiles").glob("*/*.yaml")})
    if cluster not in known:
        raise ValueError(f"CLUSTER={cluster} is not a cluster: expected one of {', '.join(known)}, the folders of "
                         "profiles; see workflow/README.md.")
    answer = _ask(*QUESTIONS[cluster]) if cluster in QUESTIONS else ""
    if answer:
        raise ValueError(f"CLUSTER={cluster}: {answer}; leave CLUSTER out to run here.")


def _ask(client: str, question: list[str], expected: str) -> str:
    if not shutil.which(client):
        return f"there is no {client} here: expected a machine from which jobs are sent; log in on one"
    remedy = f"expected {expected}; see whether the cluster is up"
    try:
        asked = subprocess.run(question, text=True, timeout=PATIENCE_S, capture_output=True, check=False)
    except subprocess.TimeoutExpired:
        return f"{question[0]} has not answered for {PATIENCE_S} s: {remedy}"
    said = (asked.stdout + asked.stderr).strip().splitlines() or [""]
    return f"{question[0]} says {said[-1]!r}: {remedy}" if asked.returncode else ""


def hopeless(left: Path) -> str:
    """The error that an earlier attempt ended with by itself, or nothing.

    A job that was killed, or ran out of time or memory, leaves none.

    Parameters
    ----------
    left : Path
        The notebook as far as it came, or the log of a cell of a sweep.
    """
    if not left.is_file():
        return ""
    if left.suffix == ".ipynb":
        error = raised(left)
    else:
        text = left.read_text(encoding="utf-8", errors="replace")
        error = text.strip().splitlines()[-1] if "Traceback (most recent call last)" in text else ""
    return "" if re.match(PASSING, error) else error


def lost_jobs(logs: Iterable[str]) -> list[str]:
    """One sentence for each job that a cluster has refused or lost, with its log and what to change.

    Parameters
    ----------
    logs : iterable of str
        Snakemake's own logs of a run.
    """
    text = "\n".join(map(_text, logs))
    told = {}
    for block in re.split(r"\n(?=\[\w{3} \w{3} +\d)", text):
        number = re.search(r"^(?:Finished|    ) ?jobid: (\d+)", block, re.MULTILINE)
        if rule := re.search(r"^Error in rule (\w+):", block, re.MULTILINE):
            told[number and number[1]] = _lost(rule[1], block)
        elif number and "Finished jobid" in block:
            told.pop(number[1], None)
    return [sentence for sentence in told.values() if sentence]


def _lost(rule: str, account: str) -> str:
    """A sentence on a failed job, or nothing where it failed by itself."""
    output = re.search(r"^    output: (.+?)(?:, |$)", account, re.MULTILINE)
    log = re.search(r"^    log: (.+?)(?: \(check|$)", account, re.MULTILINE)
    # Paths and commands, which follow the message, may hold any word.
    account = account.partition("\n    jobid:")[0]
    # Without Slurm's accounting a job over its memory is FAILED, and only its own log says why.
    for path in log[1].split(", ") if log else []:
        account += "\n" + "\n".join(re.findall(r"^slurmstepd.*", _text(path), re.MULTILINE))
    remedy = next((remedy for sign, remedy in REMEDIES.items() if re.search(sign, account)), "")
    of = f" ({Path(output[1]).parent})".replace("/results)", ")") if output else ""
    its_log = f"\nIts log: {log[1]}" if log else ""
    return remedy and f"{rule}{of} failed: {remedy} (workflow/profiles/<cluster>/config.yaml).{its_log}"


def _text(path: str | Path) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace") if Path(path).is_file() else ""


if __name__ == "__main__":
    try:
        if sys.argv[1] == "check":
            check(sys.argv[2])
        elif error := hopeless(Path(sys.argv[2])):
            sys.exit(f"not tried again: {error}")
    except ValueError as error:
        sys.exit(str(error))
