"""A laptop and some servers, each with processes, a network address, a home and a /tmp of its own, on one real machine.

They are Linux namespaces around one virtual switch. `ray stop` ends every Ray that it sees: here it sees what runs on its
own machine, and nothing of the real one. When the laptop's script has ended, or is killed, the kernel ends everything.

    python machines.py SCRIPT [ARGUMENT ...]        # below ``WORLD``; runs the script on the laptop

The laptop may log in on the servers by ssh, and they on each other. Nobody has internet; a server's `~/venv` has the
dependencies of the environment that runs the tests, and pip is content with those.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

WORLD = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--net", "--ipc", "--uts"]
MACHINE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--ipc", "--uts"]
LAPTOP = "laptop"
SERVERS = {
    "head": "198.51.100.11",
    "worker": "198.51.100.12",
}  # addresses that are set aside for examples, and are nobody's
ADDRESSES = {LAPTOP: "198.51.100.10", **SERVERS}
SWITCH = "198.51.100.1"
KEYS = Path("/run/keys")
OWN = Path("/srv")  # on every machine, a file system of its own
HOME = OWN / "home"

SSHD = f"""\
HostKey {OWN}/host_key
PidFile none
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
SetEnv RAY_enable_metrics_collection=0 RAY_agent_register_timeout_ms=120000 OMP_NUM_THREADS=1
"""
PIP = """\
[global]
no-index = true
no-build-isolation = false
"""  # "false" is how pip's files say: do without
RAY = """\
#!{python}
from ray.scripts.scripts import main
main()
"""


def why_not() -> str | None:
    """What is missing for this, if anything."""
    for program in ("unshare", "ip", "/usr/sbin/sshd", "ssh", "rsync"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if os.geteuid() != 0:
        return "only root may make machines"
    tried = subprocess.run([*WORLD, *MACHINE, "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip() or None


def play(script: str | Path, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a script on a laptop among servers."""
    command = [*WORLD, sys.executable, __file__, str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def assert_alone() -> None:
    """This process is the first of a machine of its own; else whoever ends processes here would end strangers'."""
    if os.getpid() != 1 or os.readlink("/proc/self") != "1":
        raise SystemExit("machines.py belongs below `unshare --pid --fork --mount-proc`")


def make_world(*command: str) -> int:
    """Join the machines, run a command on the laptop, and end them all by ending."""
    assert_alone()
    mount("tmpfs", "/run")  # network namespaces are named here, sshd wants a folder, and all share a key
    KEYS.mkdir()
    Path("/run/sshd").mkdir()
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(KEYS / "id_ed25519"))
    run("ip", "link", "add", "switch", "type", "bridge")
    run("ip", "address", "add", f"{SWITCH}/24", "dev", "switch")
    run("ip", "link", "set", "switch", "up")
    for name, address in ADDRESSES.items():
        plug_in(name, address)
    for name in SERVERS:
        subprocess.Popen(on(name, "serve"))
    return subprocess.Popen(on(LAPTOP, *command)).wait()


def plug_in(name: str, address: str) -> None:
    """A network namespace with a cable to the switch."""
    run("ip", "netns", "add", name)
    run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
    run("ip", "link", "set", name, "master", "switch", "up")
    for words in (
        ("address", "add", f"{address}/24", "dev", "eth0"),
        ("link", "set", "lo", "up"),
        ("link", "set", "eth0", "up"),
        ("route", "add", "default", "via", SWITCH),  # it leads nowhere; Ray finds its own address by looking that way
    ):
        run("ip", "-netns", name, *words)


def on(name: str, *command: str) -> list[str]:
    return ["ip", "netns", "exec", name, *MACHINE, sys.executable, __file__, "--boot", name, *command]


def boot(name: str, *command: str) -> None:
    """Furnish a machine, and become what it is there for."""
    assert_alone()
    run("hostname", name)
    furnish()
    os.environ["HOME"] = str(HOME)
    if command == ("serve",):
        lend_environment()
        shutil.copy(KEYS / "id_ed25519.pub", HOME / ".ssh/authorized_keys")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(OWN / "host_key"))
        (OWN / "sshd_config").write_text(SSHD)
        os.execv("/usr/sbin/sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", str(OWN / "sshd_config")])
    shutil.copy(KEYS / "id_ed25519", HOME / ".ssh/id_ed25519")
    os.execv(sys.executable, [sys.executable, *command])


def furnish() -> None:
    """File systems of its own, a home, and names instead of a name server."""
    mount("tmpfs", str(OWN))
    mount("tmpfs", "/dev/shm")
    for layer in ("upper", "work"):
        (OWN / layer).mkdir()
    # What is in /tmp can be read, since a checkout may be there; what is written stays here.
    mount("overlay", "/tmp", f"lowerdir=/tmp,upperdir={OWN}/upper,workdir={OWN}/work")
    mount("tmpfs", str(make("/tmp/ray")))
    shutil.copytree("/etc/skel", HOME)
    (HOME / ".ssh").mkdir(mode=0o700)
    user = pwd.getpwuid(os.getuid())
    moved = Path("/etc/passwd").read_text().replace(f":{user.pw_dir}:", f":{HOME}:")
    instead("/etc/passwd", moved)
    instead("/etc/hosts", "127.0.0.1 localhost\n" + "".join(f"{at} {name}\n" for name, at in ADDRESSES.items()))
    instead("/etc/resolv.conf", "")


def lend_environment() -> None:
    """`~/venv` as `python3 -m venv` makes it, with what this environment has in it, and without this package."""
    folder = HOME / "venv"
    venv.create(folder, symlinks=True)
    own = sysconfig.get_path("purelib", vars={"base": str(folder)})
    (Path(own) / "lent.pth").write_text(sysconfig.get_path("purelib"))
    script = folder / "bin/ray"
    script.write_text(RAY.format(python=folder / "bin/python"))
    script.chmod(0o755)
    make(HOME / ".config/pip").joinpath("pip.conf").write_text(PIP)


def instead(path: str, text: str) -> None:
    """Have a file say something else on this machine."""
    other = OWN / Path(path).name
    other.write_text(text)
    run("mount", "--bind", str(other), path)


def mount(kind: str, place: str, options: str = "mode=755") -> None:
    run("mount", "-t", kind, kind, place, "-o", options)


def make(folder: str | Path) -> Path:
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)


def run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    if sys.argv[1] == "--boot":
        boot(*sys.argv[2:])
    sys.exit(make_world(*sys.argv[1:]))
