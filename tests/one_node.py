"""Slurm on this machine alone, for tests: slurmctld, slurmd and munged as ordinary daemons."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "squeue", "scancel", "sinfo")
SETTINGS = """\
ClusterName=test SlurmctldHost={host}(127.0.0.1) SlurmUser=root SlurmdUser=root SlurmctldPort={ports[0]}
SlurmdPort={ports[1]} CommunicationParameters=NoCtldInAddrAny,NoInAddrAny AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket CredType=cred/munge StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool SlurmctldPidFile={folder}/slurmctld.pid SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log SlurmdLogFile={folder}/slurmd.log ProctrackType=proctrack/linuxproc
TaskPlugin=task/none MpiDefault=none AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux JobAcctGatherFrequency=1 JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres SelectTypeParameters=CR_Core_Memory SchedulerParameters=sched_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides ReturnToService=2 KillWait=3
"""
NODE = """\
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=32000
PartitionName=main Nodes={host} Default=YES MaxTime=60
"""


def why_not() -> str:
    """Why Slurm cannot be started here, or nothing."""
    missing = [name for name in (*DAEMONS, *CLIENTS) if shutil.which(name, path=_path()) is None]
    if missing:
        return f"{', '.join(missing)} not installed (apt-get install slurm-wlm munge)"
    if os.geteuid():
        return "slurmd starts jobs only as root"
    return ""


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


class OneNode:
    """A cluster of one node in `folder`; `environment` leads its commands there."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True)
        host = socket.gethostname().partition(".")[0]
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
            ports = [free.getsockname()[1] for free in (one, other)]
        settings = SETTINGS.format(host=host, ports=ports, folder=folder).split()
        (folder / "slurm.conf").write_text("\n".join([*settings, NODE.format(host=host)]))
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        # Snakemake's job steps drop all variables SLURM_… but a few, and with them SLURM_CONF.
        srun = folder / "bin/srun"
        srun.parent.mkdir()
        srun.write_text(f"#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which('srun')} \"$@\"\n")
        srun.chmod(0o755)
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{srun.parent}:{_path()}"}
        self.daemons: list[subprocess.Popen] = []

    def start(self) -> None:
        """Start the daemons and wait until the node is idle."""
        munge = [f"--{name}={self.folder}/munge.{name.split('-')[0]}" for name in
                 ("socket", "key-file", "pid-file", "log-file", "seed-file")]
        self._run("munged", "--foreground", "--force", *munge)
        while not (self.folder / "munge.socket").exists():
            self._look("munged")
        self._run("slurmctld", "-D")
        self._run("slurmd", "-D")
        while "idle" not in self.command("sinfo", "--noheader", check=False):
            self._look("Slurm")

    def _run(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("w") as out:
            self.daemons.append(subprocess.Popen(command, env=self.environment, stdout=out, stderr=out))
        self.deadline = time.monotonic() + 30

    def _look(self, name: str) -> None:
        time.sleep(0.2)
        dead = [daemon.args[0] for daemon in self.daemons if daemon.poll() is not None]
        if dead or time.monotonic() > self.deadline:
            tails = [f"{path.name}: {path.read_text()[-600:]}" for path in self.folder.glob("*.out")]
            raise RuntimeError(f"{name} did not start ({dead or 'no answer'}): {' '.join(tails)}")

    def command(self, *command: str, check: bool = True) -> str:
        """What a Slurm command prints."""
        return subprocess.run(command, env=self.environment, text=True, check=check, timeout=30,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout

    def stop(self) -> None:
        """Cancel every job and end the daemons."""
        self.command("scancel", "--state=RUNNING,PENDING", "--user=root", check=False)
        time.sleep(1)
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
