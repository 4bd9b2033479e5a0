"""Applier that runs programs: one to apply, one to read back, one to measure, by JSON and environment variables."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from raytune_hpo.display.text import cut
from raytune_hpo.errors import HpoError, SpecError
from raytune_hpo.live.appliers import SHOWN, Measurement, json_said
from raytune_hpo.options import positive


class CommandApplier:
    """Runs a program for each operation, without a shell.

    Each gets ``HPO_GROUP``; to apply also ``HPO_CONFIG`` (JSON), ``HPO_SEQ`` and ``HPO_SHARE``; to measure ``HPO_START`` and
    ``HPO_END`` (epoch seconds). ``apply`` returns when the group runs the configuration. ``read`` prints the configuration
    as a JSON object; ``measure`` prints ``{"metrics": {...}, "context": {...}}``. Exit codes other than 0 are errors.

    Args:
        apply, read, measure: programs with their arguments.
        timeout_s: the time after which a program is killed, with all that it has started, and counts as failed.

    Raises:
        SpecError: a program is not a list of words, or the time not above 0.
    """

    def __init__(
        self, apply: Sequence[str], read: Sequence[str], measure: Sequence[str], *, timeout_s: float = 60.0
    ) -> None:
        for what, argv in (("apply", apply), ("read", read), ("measure", measure)):
            if (
                isinstance(argv, str)
                or not isinstance(argv, Sequence)
                or not argv
                or not all(isinstance(word, str) for word in argv)
            ):
                raise SpecError(f'{what} is a program with its arguments like ["./{what}.sh"], got {argv!r}')
        self._apply, self._read, self._measure = list(apply), list(read), list(measure)
        self._timeout_s = positive("timeout_s", timeout_s)
        self._share = 0.0

    def split(self, share: float, seq: int) -> None:
        """Keep the share, which the program gets with the next configuration."""
        self._share = share

    def apply(self, config: Mapping[str, Any], group: str, seq: int) -> None:
        """Run ``apply``."""
        more = {"HPO_CONFIG": json.dumps(dict(config)), "HPO_SEQ": str(seq), "HPO_SHARE": repr(self._share)}
        self._run(self._apply, group, more)

    def read(self, group: str) -> Mapping[str, Any]:
        """Run ``read``."""
        return json_said("read prints", self._run(self._read, group, {}))

    def measure(self, group: str, start: float, end: float) -> Measurement:
        """Run ``measure``."""
        said = json_said(
            "measure prints", self._run(self._measure, group, {"HPO_START": repr(start), "HPO_END": repr(end)})
        )
        return said.get("metrics", {}), said.get("context", {})

    def _run(self, argv: list[str], group: str, more: Mapping[str, str]) -> str:
        environment = {**os.environ, "HPO_GROUP": group, **more}
        try:
            done = _ended(argv, environment, self._timeout_s)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HpoError(f"{argv[0]} could not be run: {error}") from error
        if done.returncode != 0:
            raise HpoError(f"{argv[0]} ended with {done.returncode}: {cut(done.stderr.strip(), SHOWN)}")
        return done.stdout


def _ended(argv: list[str], environment: Mapping[str, str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. If it is given up, all that it started ends too: it must not change the system later on.

    Raises:
        OSError, subprocess.TimeoutExpired: it cannot be started, or takes longer.
    """
    with subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="backslashreplace",
        start_new_session=True,
    ) as process:
        try:
            out, error = process.communicate(timeout=timeout_s)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(argv, process.returncode, out, error)
