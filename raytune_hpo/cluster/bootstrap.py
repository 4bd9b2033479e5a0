"""Bootstrap: shells, the Ray actors that host our objects, and tasks, for processes that may not have this package.

They are pickled by value, so nothing here may refer to the rest of the package. A shell's constructor makes the package
importable, unpacks the real object and starts it; it never raises, because an actor whose constructor raises is dead for
ever: the error is raised at the first call.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import importlib.util
import io
import os
import pickle
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

PACKAGE = "raytune_hpo"
_LEFT_BEHIND = ("__pycache__", "handouts")  # the latter are labs and notebooks in a wheel, which no worker reads


def digest_of(contents: Mapping[str, bytes]) -> str:
    """The digest of the package's files, see ``contents_of``."""
    total = hashlib.blake2b(digest_size=12)
    for name in sorted(contents):
        total.update(name.encode())
        total.update(contents[name])
    return total.hexdigest()


def contents_of(folder: str) -> dict[str, bytes]:
    """The contents of the package's files by name, see ``files_of``."""
    contents = {}
    for name in files_of(folder):
        with open(os.path.join(folder, name), "rb") as file:
            contents[name] = file.read()
    return contents


def files_of(folder: str) -> list[str]:
    """The package's files, relative to its folder, without caches and editors' files."""
    found = []
    for base, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_BEHIND and not name.startswith(".")]
        found += [os.path.relpath(os.path.join(base, name), folder) for name in names if not name.endswith(".pyc")]
    return found


def make_importable(digest: str, archive: bytes) -> None:
    """Make ``import raytune_hpo`` import exactly the sender's files."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = None if spec is None else spec.submodule_search_locations
    if folders and digest_of(contents_of(folders[0])) == digest:
        return
    sys.path.insert(0, _unpacked(digest, archive))
    importlib.invalidate_caches()


def _unpacked(digest: str, archive: bytes) -> str:
    folder = os.path.join(_home(), digest)
    if _is_intact(folder, digest):
        return folder
    for _ in range(2):
        new = tempfile.mkdtemp(dir=_home())
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            file.extractall(new)
        _settle(new, folder)
        if _is_intact(folder, digest):
            return folder
        # What is there is a link, or incomplete (a cleaner of /tmp, a full disk): move it away.
        os.rename(folder, os.path.join(tempfile.mkdtemp(dir=_home()), "broken"))
    raise RuntimeError(f"the package was unpacked to {folder}, and what is there is not what was sent; set TMPDIR")


def _is_intact(folder: str, digest: str) -> bool:
    return _is_own(folder) and digest_of(contents_of(os.path.join(folder, PACKAGE))) == digest


def _is_own(folder: str) -> bool:
    """Whether it is a real folder, not a link, that belongs to this user and that nobody else can write."""
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def _home() -> str:
    """The folder for unpacked packages and installed modules, shared by this user's processes on this machine.

    Its path is predictable, so another user may have created it first: its owner and permissions are checked.
    """
    home = os.path.join(tempfile.gettempdir(), f"{PACKAGE}-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(home, mode=0o700)
    if not _is_own(home):
        raise PermissionError(
            f"{home} must be a folder that belongs to this user and that no one else can write to; remove it, or set TMPDIR"
        )
    return home


def _settle(new: str, folder: str) -> None:
    """Rename a finished folder to its final name, unless another process was first."""
    try:
        os.rename(new, folder)
    except OSError:
        shutil.rmtree(new)


def install(needs: Mapping[str, str]) -> None:
    """Install needed modules that this Python lacks, into a folder at the end of ``sys.path``.

    Not by Ray's ``runtime_env={"pip": ...}``: that needs virtualenv, which a node with plain Ray does not have.

    Args:
        needs: module to pip requirement.

    Raises:
        RuntimeError: pip failed; the message has its output.
    """
    missing = sorted(needs[module] for module in needs if importlib.util.find_spec(module) is None)
    if not missing:
        return
    words = " ".join([sys.version, *missing])
    folder = os.path.join(_home(), f"needs-{hashlib.blake2b(words.encode(), digest_size=12).hexdigest()}")
    if not _is_own(folder):
        new = tempfile.mkdtemp(dir=_home())
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", new, *missing]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(new)
            raise RuntimeError(
                f"the head node lacks {', '.join(missing)}, and pip could not install it; install it there. "
                f"{done.stdout[-800:]}"
            )
        _settle(new, folder)
    sys.path.append(folder)
    importlib.invalidate_caches()


def answer(packages: Sequence[Any], target: str, *args: Any) -> Any:
    """A task: call ``module:function`` of the package.

    Args:
        packages: a reference to the arguments of ``make_importable``, in a list, so that Ray fetches it only if needed.
    """
    if PACKAGE not in sys.modules:
        import ray

        make_importable(*ray.get(packages[0]))
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)(*args)


class _Shell:
    """Base of both shells.

    Attributes:
        package: the digest and the zip file of the sender's package; set on a subclass made for each role, so that it
            travels with the class, which Ray keeps for restarts after the sender has gone.
    """

    package: tuple[str, bytes] = ("", b"")

    def __init__(
        self, target: str, args: Any, parcels: Sequence[Any], needs: Mapping[str, str], environ: Mapping[str, str]
    ) -> None:
        self._error: BaseException | None = None
        try:
            os.environ.update(environ)
            make_importable(*self.package)
            install(needs)
            module, _, name = target.partition(":")
            made_for = getattr(importlib.import_module(module), name)
            self._inner = made_for(*pickle.loads(_fetched(args)), *parcels)
        except BaseException as error:
            self._error = error

    def _method(self, name: str) -> Any:
        if self._error is not None:
            raise self._error
        return getattr(self._inner, name)


def _fetched(args: Any) -> bytes:
    """Pickled arguments: the bytes themselves or, if they are big, (holder's name, namespace, key), fetched from there."""
    if isinstance(args, bytes):
        return args
    import ray

    holder, namespace, key = args
    data: bytes = ray.get(ray.get_actor(holder, namespace=namespace).call.remote("data", key))
    return data


class Shell(_Shell):
    """Hosts an object that handles one call at a time, on the main thread."""

    def call(self, method: str, *args: Any) -> Any:
        return self._method(method)(*args)


class AsyncShell(_Shell):
    """Hosts an object that serves many callers from an event loop; its ``run`` starts with the shell."""

    def __init__(
        self, target: str, args: Any, parcels: Sequence[Any], needs: Mapping[str, str], environ: Mapping[str, str]
    ) -> None:
        super().__init__(target, args, parcels, needs, environ)
        if self._error is None:
            self._running = asyncio.get_running_loop().create_task(self._inner.run())

    async def call(self, method: str, *args: Any) -> Any:
        return await self._method(method)(*args)
