"""Clusters on hosts of their own, and what they leave behind: for scripts/chaos and
scripts/measure-faults.

A host is a network namespace on a bridge that this machine plays. Needs root and iproute2; nothing of
it is seen outside of its namespaces, and all is gone when it ends.
"""

import json
import os
import signal
import struct
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CROSSCUT = os.environ.get("CROSSCUT", str(ROOT / ".build/release/crosscut"))
PREFIX = "crosscut-hosts-"
CONFIGURATION = """
{
  network: {
    name: "tiny", input: [1, 8, 8],
    layers: [
      { type: "conv", channels: 4, kernel: 3 }, "relu", { type: "maxpool", window: 2, stride: 2 },
      { type: "fc", units: 16 }, "relu", { type: "dropout", rate: 0.2 }, { type: "fc", units: 4 },
    ],
  },
  dataset: { kind: "synthetic", examples: 400, testExamples: 64 },
  globalBatch: 16, evaluation: { everySteps: 500 },
  // A small rate, so that sums in another order are not blown up over the steps.
  optimizer: { learningRate: 0.0002 },
  // Small chunks, so that there are some for server shards to share.
  cluster: { workers: 2, fcNodes: 2, chunkBytes: 64 },
  checkpoint: { everySteps: 200 },
}
"""
# What sums in another order may change.
ROUNDING = 1e-4


def environment():
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CROSSCUT_")}
    return kept | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


class Plan:
    """A configuration file with what is laid over it, and the nodes that it asks for."""

    def __init__(self, path, settings):
        self.path = path
        self.options = [word for setting in settings for word in ("--set", setting)]
        done = subprocess.run(
            [CROSSCUT, "train", str(path), *self.options, "--dry-run", "--json"],
            capture_output=True, text=True, env=environment())
        if done.returncode != 0:
            raise ValueError(done.stderr.strip())
        cluster = json.loads(done.stdout)["cluster"]
        self.workers, self.fc_nodes = cluster["workers"], cluster["fcNodes"]
        self.shards = cluster["serverShards"]
        # The server is the first shard.
        self.members = [
            *(f"worker-{rank}" for rank in range(self.workers)),
            *(f"fc-{rank}" for rank in range(self.fc_nodes)),
            *(f"shard-{rank}" for rank in range(1, self.shards))]

    @property
    def host_count(self):
        return 1 + len(self.members)


def ip(*words, check=True, tool="ip"):
    done = subprocess.run([tool, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if check and done.returncode != 0:
        raise OSError(f"{tool} {' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


class Hosts:
    """Network namespaces on one bridge, which has a namespace of its own."""

    def __init__(self, count):
        self.names = [f"{PREFIX}{os.getpid()}-{host}" for host in range(count)]
        self.switch = f"{PREFIX}{os.getpid()}-switch"
        remove_orphans()
        try:
            ip("netns", "add", self.switch)
            ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
            ip("-n", self.switch, "link", "set", "br0", "up")
            for host, name in enumerate(self.names):
                port = f"port{host}"
                ip("netns", "add", name)
                ip("link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", port,
                   "netns", self.switch)
                ip("-n", self.switch, "link", "set", port, "master", "br0", "up")
                ip("-n", name, "link", "set", "lo", "up")
                ip("-n", name, "addr", "add", f"{self.address(host)}/24", "dev", "eth0")
                ip("-n", name, "link", "set", "eth0", "up")
        except BaseException:
            self.close()
            raise

    @staticmethod
    def address(host):
        return f"10.78.0.{host + 1}"

    def set_link(self, host, state):
        """Pulls the plug at the switch, or puts it in again: the host itself sees nothing of it."""
        ip("-n", self.switch, "link", "set", f"port{host}",
           *(["master", "br0"] if state else ["nomaster"]))

    def set_outbound(self, host, state):
        """Whether the switch takes what comes from a host. What goes there is left alone."""
        port = f"port{host}"
        # A locked port lets in only whom the bridge knows there, and it is told to know nobody.
        ip("-n", self.switch, "link", "set", port, "type", "bridge_slave", "learning",
           "on" if state else "off")
        ip("-n", self.switch, "link", "set", "dev", port, "locked", "off" if state else "on",
           tool="bridge")
        if not state:
            ip("-n", self.switch, "link", "set", port, "type", "bridge_slave", "fdb_flush")

    def set_inbound(self, host, state):
        """Whether the switch hands over what is for a host. What comes from there is left alone."""
        words = ["del"] if state else ["add"]
        ip("-n", self.switch, "qdisc", *words, "dev", f"port{host}", "root",
           *([] if state else ["blackhole"]), tool="tc")

    def close(self):
        for name in (*self.names, self.switch):
            ip("netns", "del", name, check=False)


def remove_orphans():
    """Deletes the namespaces of runs of these scripts that were killed."""
    for line in ip("netns", "list", check=False).splitlines():
        name = line.split()[0] if line.split() else ""
        if not name.startswith(PREFIX):
            continue
        owner = name[len(PREFIX):].split("-")[0]
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            ip("netns", "del", name, check=False)


class HostCluster:
    """A cluster on hosts of their own; whoever tends it is its supervisor."""

    can_cut = True

    def __init__(self, plan, folder, hosts):
        self.folder = folder
        self.hosts = hosts
        server = f"tcp://{hosts.address(0)}:5555"
        self.commands = {
            "server": ["server", str(plan.path), *plan.options, "--insecure", "--listen", server,
                       "--run-dir", str(folder / "run")]}
        self.host = {role: number for number, role in enumerate(["server", *plan.members])}
        for role in plan.members:
            kind, rank = role.split("-")
            listen = ["--insecure", "--listen", f"tcp://{hosts.address(self.host[role])}:0"]
            self.commands[role] = {
                "worker": ["worker", "--server", server, "--rank-hint", rank],
                "fc": ["fc", "--server", server, "--rank-hint", rank, *listen],
                "shard": ["server", "--shard", f"{rank}/{plan.shards}", "--coordinator", server,
                          *listen],
            }[kind]
        self.processes = {}
        self.over = None
        for role in self.commands:
            self.start(role)

    @property
    def server_log(self):
        return self.folder / "server.log"

    def start(self, role):
        more = ["--continue"] if role == "server" and role in self.processes else []
        with open(self.folder / f"{role}.log", "a") as log:
            self.processes[role] = subprocess.Popen(
                ["ip", "netns", "exec", self.hosts.names[self.host[role]], "setpriv",
                 "--pdeathsig", "KILL", CROSSCUT, *self.commands[role], *more],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(),
                start_new_session=True)

    def victims(self):
        return [(p.pid, role) for role, p in self.processes.items() if p.poll() is None]

    def kill(self, role):
        """Whether the process was killed, and had not ended before."""
        process = self.processes[role]
        process.kill()
        return process.wait() == -signal.SIGKILL

    def tend(self):
        """The exit code once the run is over; who has died is started again."""
        if self.processes["server"].poll() == 0:
            self.over = self.over or time.monotonic()
            codes = [process.poll() for process in self.processes.values()]
            # Who has been killed at the last moment is not missed.
            if all(code is not None for code in codes):
                return 0
            return "members do not leave" if time.monotonic() > self.over + 20 else None
        for role, process in self.processes.items():
            if process.poll() not in (None, 0) and self.over is None:
                self.start(role)
        return None

    def close(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()


def parameters(path):
    """The tensors of a safetensors file: name -> bytes of floats."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    tensors = {}
    for name, value in header.items():
        if name != "__metadata__":
            first, last = value["data_offsets"]
            tensors[name] = data[8 + size + first : 8 + size + last]
    return tensors


def floats(tensors):
    """All numbers of some tensors."""
    return [x for chunk in tensors.values() for x in struct.unpack(f"<{len(chunk) // 4}f", chunk)]


def records(path):
    """The lines of a file of JSON; one that a killed server did not finish is left out."""
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def test_losses(run):
    """The test loss after each evaluated step; a step that was evaluated twice must agree."""
    losses = {}
    for record in records(run / "metrics.jsonl"):
        if record.get("kind") == "evaluation":
            losses.setdefault(record["step"], set()).add(record["loss"])
    return losses


def audit(run):
    """What `crosscut audit` says against the run."""
    done = subprocess.run([CROSSCUT, "audit", str(run)], capture_output=True, text=True)
    said = (done.stdout + done.stderr).strip()
    proved = done.returncode == 0 and "every example of every step was applied exactly once" in said
    return None if proved else said or f"exit code {done.returncode}"


def compare(calm, wild, tolerance, evaluated_at_end=True):
    """What is wrong with the disturbed run, in words, and the largest difference.

    With a tolerance of 0 the parameters must have the same bits. A run that was stopped may lack the
    last evaluation.
    """
    expected, found = parameters(calm / "model.safetensors"), parameters(wild / "model.safetensors")
    sizes = [{key: len(chunk) for key, chunk in tensors.items()} for tensors in (expected, found)]
    if sizes[0] != sizes[1]:
        return "other parameters", 0
    order = {key: found[key] for key in expected}
    worst = max(abs(a - b) for a, b in zip(floats(expected), floats(order)))
    if not worst <= tolerance or (tolerance == 0 and found != expected):
        return f"parameters differ by {worst:.2g}", worst
    curve, other = test_losses(calm), test_losses(wild)
    last = [max(curve)] if evaluated_at_end else []
    if not other or not {*other} <= {*curve} or not {*last} <= {*other}:
        return f"evaluated after {sorted(other)}, not {sorted(curve)} steps", worst
    gap = max(abs(a - b) for step, losses in other.items() for a in losses for b in curve[step])
    if not gap <= tolerance:
        return f"test losses differ by {gap:.2g}", worst
    complaint = audit(wild)
    return (f"audit: {complaint}" if complaint else None), worst


def tail(folder):
    lines = []
    for log in sorted([*folder.glob("*.log"), *folder.glob("run/*.log")]):
        lines += [f"--- {log.name}", *log.read_text().splitlines()[-15:]]
    return "\n".join(lines)
