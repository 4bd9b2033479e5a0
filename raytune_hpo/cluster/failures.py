"""Why a worker died, in words that fit in a trial's error."""

from __future__ import annotations

import re

from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError, TaskCancelledError

from raytune_hpo.cluster.shells import plain
from raytune_hpo.errors import ClusterError, HpoError

MAX_CHARS = 600
_DETAIL = re.compile(r"Worker exit detail: (.*)", re.DOTALL)
_SUDDENLY = "its process crashed, exited, or was killed (by the kernel, for one, when memory runs out)"
_GONE = "connection error code 2. End of file"  # all that Ray says about a process that has vanished


def cause_of(error: Exception) -> tuple[str, bool]:
    """A readable reason, and whether it is blameless: the worker's trial had nothing to do with it."""
    own = plain(error)
    if isinstance(own, HpoError):
        return str(own), False
    if isinstance(error, RayTaskError):
        cause = error.cause or error
        if isinstance(cause, TaskCancelledError):
            return (
                "its worker was interrupted: the objective raised KeyboardInterrupt, or the task was cancelled",
                False,
            )
        return f"the worker failed: {_shortened(str(cause)) or type(cause).__name__}", False
    text = str(error)
    if not isinstance(error, RayError):  # Ray has refused to start it
        return f"{type(error).__name__}: {_shortened(text)}", False
    if isinstance(error, OutOfMemoryError) or "OOM" in text and "memory" in text and "Task was killed" in text:
        return f"its worker was killed because the node ran out of memory; {_shortened(text)}", False
    if isinstance(error, RayActorError):
        if "node" in text and ("node has died" in text or "node died" in text or "preempt" in text):
            return "its node was lost", True
        if _GONE in text:
            return f"its worker died: {_SUDDENLY}", False
        match = _DETAIL.search(text)
        return f"its worker died: {_shortened(match.group(1) if match else text)}", False
    return f"its worker was lost: {type(error).__name__}: {_shortened(text)}", False


def gone_from_memory(study: str) -> ClusterError:
    """The error for a study in memory whose optimizer's process has died."""
    return ClusterError(
        f"study {study!r} was kept in memory, and is gone with its optimizer; give a storage, and it can be continued"
    )


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS // 2]} ... {text[-MAX_CHARS // 2 :]}"
