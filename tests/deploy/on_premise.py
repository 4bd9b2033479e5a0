"""What somebody with two machines types on the laptop of machines.py; prints what came of it as JSON.

Run from the folder that holds deploy/ and labs/.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from machines import ADDRESSES, SERVERS

CONFIG = "/tmp/on_premise.yaml"
STUDY = "digits"
SSH = "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
PATIENCE_S = 600


def edited(text: str) -> str:
    """The file with the three lines that a reader edits."""
    for old, new in (
        (r"head_ip: \S+", f"head_ip: {SERVERS['head']}"),
        (r"worker_ips: \[.*?\]", f"worker_ips: [{SERVERS['worker']}]"),
        (r"ssh_user: \S+", "ssh_user: root"),
    ):
        text, count = re.subn(old, new, text)
        assert count == 1, f"{old} is there {count} times"
    return text


def enter(command: str, *, attempts: int = 1) -> str:
    """A line on the laptop, and what it answers."""
    print(f"$ {command}", file=sys.stderr, flush=True)
    done = subprocess.run(
        shlex.split(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    print(done.stdout, file=sys.stderr, flush=True)
    if done.returncode != 0 and attempts > 1:
        return enter(command, attempts=attempts - 1)
    assert done.returncode == 0, f"{command} ended with {done.returncode}"
    return done.stdout


def on(server: str, command: str) -> str:
    return enter(f"{SSH} {SERVERS[server]} {shlex.quote(f'PATH=~/venv/bin:$PATH {command}')}")


def ray_processes(server: str) -> list[str]:
    """Ray's processes on a server, by their command lines."""
    lines = on(server, "ps -eo args").splitlines()
    return [line for line in lines if re.search(r"raylet|gcs_server|ray::|site-packages/ray/", line)]


def wait_until(condition: Any) -> float:
    """How long it took, in seconds."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() < begin + PATIENCE_S, "waited in vain"
        time.sleep(3)
    return time.monotonic() - begin


def bring_up() -> dict[str, Any]:
    on("worker", "rm -f ray_worker.log")
    # Ray gives each of its agents 15 seconds to start; where cores are shared by many, that may be too few.
    enter(f"ray up --yes {CONFIG}", attempts=5)
    try:
        # The worker's log is asked, since a `ray status` takes seconds of the cores on which the worker is to start.
        joined_s = wait_until(lambda: "runtime started" in on("worker", "cat ray_worker.log || true"))
        wait_until(lambda: "4.0 CPU" in on("head", "ray status"))
        return {"joined_s": joined_s}
    except AssertionError:
        on("head", "tail -n 200 /tmp/ray/session_latest/logs/monitor.*")  # why the other one did not join
        on("worker", "cat ray_worker.log")
        raise


def submit(num_trials: int) -> dict[str, Any]:
    said = enter(f"ray submit {CONFIG} labs/select_model.py --name {STUDY} --num-trials {num_trials}")
    trials = json.loads(on("head", f"raytune-hpo trials {STUDY} --json"))
    return {"said": said, "trials": trials}


def fetch() -> int:
    """The lines of a study's table, exported there and brought here."""
    enter(f"ray exec {CONFIG} 'raytune-hpo export {STUDY} {STUDY}.csv'")
    enter(f"ray rsync-down {CONFIG} {STUDY}.csv /tmp/{STUDY}.csv")
    return len(Path(f"/tmp/{STUDY}.csv").read_text().splitlines())


def take_down() -> dict[str, Any]:
    enter(f"ray down --yes {CONFIG}")
    gone_s = {name: wait_until(lambda name=name: not ray_processes(name)) for name in SERVERS}
    return {"gone_s": gone_s, "left": {name: ray_processes(name) for name in SERVERS}}


def main() -> None:
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    Path(CONFIG).write_text(edited(Path("deploy/on_premise.yaml").read_text()))
    wait_until(lambda: all(subprocess.call([*SSH.split(), at, "true"]) == 0 for at in SERVERS.values()))
    story = {"addresses": ADDRESSES, "before": {name: ray_processes(name) for name in SERVERS}}
    story |= {"up": bring_up(), "lab": submit(8), "files": on("head", "ls .raytune_hpo").split()}
    story["csv"] = fetch()
    story |= {"down": take_down(), "up_again": bring_up(), "more": submit(10)}
    story["laptop"] = sorted(path.name for path in Path.home().iterdir())
    print(json.dumps(story))


if __name__ == "__main__":
    main()
