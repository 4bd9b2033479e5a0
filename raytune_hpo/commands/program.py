"""Programs: a command with its hooks, run once, and the reasons of failures."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raytune_hpo.commands import command_values
from raytune_hpo.commands.launching import Job, Ran, StaticLimits, found_program, run_program
from raytune_hpo.commands.shell_text import variable_of
from raytune_hpo.commands.template import Template
from raytune_hpo.display.text import cut
from raytune_hpo.errors import ObjectiveError, SpecError, nearest
from raytune_hpo.space import Space

HOOKS = ("setup", "prepare", "check", "cleanup")
_LONG = 160  # characters of a line in a reason


@dataclass(frozen=True, kw_only=True)
class Program:
    """A command and its hooks.

    Attributes:
        template: the template of the command; ``stdin``: of a file that it reads; ``uses``: of its exclusive resources.
        hooks: templates by name: "setup" runs once for a trial, "prepare" and "cleanup" before and after each run, "check"
            after each run, on its output, and must succeed.
        ok_exit: exit codes that are not failures.
        env: additions to this process's environment.
        reads_environment: whether it reads parameters from its environment, so that none need be in the template.
    """

    template: Template
    stdin: Template | None = None
    uses: Template | None = None
    hooks: Mapping[str, Template] = field(default_factory=dict)
    ok_exit: frozenset[int] = frozenset((0,))
    timeout_s: float | None = None
    limits: StaticLimits = field(default_factory=StaticLimits)
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    reads_environment: bool = False

    def check_program(self) -> None:
        """Check that the programs are there.

        Raises:
            SpecError: one is missing or not executable.
        """
        for template in self._templates():
            if template.program is not None and template not in (self.stdin, self.uses):
                found_program(template.program, {**os.environ, **self.env}, self.cwd)

    def check_names(self, space: Space) -> None:
        """Check the command against a space: every name is a parameter, and every parameter is used.

        Raises:
            SpecError: a name is unknown, or a parameter is unused.
        """
        parameters = command_values.names_of(space)
        known = {name for names in parameters.values() for name in names} | set(command_values.OWN_NAMES)
        used: set[str] = set()
        for template in self._templates():
            template.check(known)
            used |= template.names
        text = "\n".join(template.text for template in self._templates())
        if self.reads_environment or "HPO_CONFIG" in text:
            return
        for path, names in parameters.items():
            if not names & used and not any(variable_of(name) in text for name in names):
                raise SpecError(
                    f"the command does not use the parameter {path!r}, so that it could not matter; write {{{path}}} where "
                    f"it belongs, or say that the program reads ${variable_of(path)} (--reads-env); "
                    f"{nearest(path, used) if used else 'it uses none'}"
                )

    def option_like(self, space: Space) -> list[str]:
        """The parameters at the beginning of a word that have a value beginning with "-"."""
        leading = frozenset().union(
            *(t.leading for t in self._templates() if t not in (self.stdin, self.uses) and t.shell is None)
        )
        found = []
        for column in space.columns:
            is_leading = column.name in leading or column.name.rpartition("/")[2] in leading
            ends = column.domain.quantiles(2)  # of listed values all
            if is_leading and any(str(value).startswith("-") for value in ends):
                found.append(column.name)
        return found

    def hook(self, name: str, values: Mapping[str, Any], env: Mapping[str, str], stdin: str | None = None) -> None:
        """Run a hook, if there is one of this name.

        Raises:
            ObjectiveError: it fails.
        """
        if name not in self.hooks:
            return
        job = Job(argv=self.hooks[name].filled(values), env=env, cwd=self.cwd, timeout_s=self.timeout_s, stdin=stdin)
        ran = run_program(job)
        if ran.exit_code != 0:
            raise ObjectiveError(f"the {name} command failed: {why(ran, self)}")

    def run(
        self,
        values: Mapping[str, Any],
        env: Mapping[str, str],
        scratch: Path,
        *,
        timeout_s: float | None = None,
        on_report: Callable[[str], object] | None = None,
        samples_memory: bool = False,
    ) -> Ran:
        """Run the command once, with the hooks of each run; only the command itself is measured.

        Args:
            scratch: a folder for the run's own files.
            timeout_s: a timeout shorter than the command's own.

        Raises:
            ObjectiveError: the command or a hook failed. Not if ``timeout_s`` ended it.
        """
        self.hook("prepare", values, env)
        try:
            ran = run_program(self._job(values, env, scratch, timeout_s, samples_memory), on_report=on_report)
            is_cut = ran.cause == "timeout" and timeout_s is not None
            if not is_cut:
                if ran.cause or ran.exit_code not in self.ok_exit:
                    raise ProgramFailed(ran, why(ran, self))
                self.hook("check", values, {**env, "HPO_STDOUT": str(scratch / "stdout")}, str(scratch / "stdout"))
        except BaseException:
            with suppress(ObjectiveError):  # what failed first is what is told
                self.hook("cleanup", values, env)
            raise
        self.hook("cleanup", values, env)
        return ran

    def _job(
        self, values: Mapping[str, Any], env: Mapping[str, str], scratch: Path, timeout_s: float | None, samples: bool
    ) -> Job:
        reports = scratch / "reports"
        if not reports.exists():
            os.mkfifo(reports, 0o600)
        stdin = None if self.stdin is None else " ".join(self.stdin.filled(values))
        if stdin is not None and not os.path.isfile(os.path.join(self.cwd or "", stdin)):
            raise ObjectiveError(f"the command reads the file {stdin!r}, there is none")
        return Job(
            argv=self.template.filled(values),
            env={**env, "HPO_REPORT": str(reports)},
            cwd=self.cwd,
            stdin=None if stdin is None else os.path.abspath(os.path.join(self.cwd or "", stdin)),
            timeout_s=self.timeout_s if timeout_s is None else timeout_s,
            limits=self.limits,
            reports=str(reports),
            samples_memory=samples,
            stdout_file=str(scratch / "stdout") if "check" in self.hooks else None,
        )

    def _templates(self) -> list[Template]:
        named = [template for template in (self.stdin, self.uses) if template is not None]
        return [self.template, *named, *self.hooks.values()]


class ProgramFailed(ObjectiveError):
    """A run of a program failed; ``ran`` has its measurements."""

    def __init__(self, ran: Ran, message: str) -> None:
        super().__init__(message)
        self.ran = ran


def why(ran: Ran, program: Program) -> str:
    """Why a run failed, in one line."""
    if ran.cause == "timeout":
        return f"the command ran longer than timeout_s={program.timeout_s:g}"
    if ran.cause == "memory":
        return f"the command used more than memory_mb={program.limits.memory_mb:g}"
    if ran.signal is not None:
        how = f"the command was ended by {ran.signal}"
    else:
        how = f"the command ended with exit code {ran.exit_code}"
    lines = [line.strip() for line in (ran.stderr.strip() or ran.stdout.strip()).splitlines()]
    return f"{how}: {cut(lines[-1], _LONG)}" if lines else how


def report_in(line: str) -> tuple[dict[str, Any] | float, int | None]:
    """The metrics of a reported line, and its step if it has one.

    Raises:
        ObjectiveError: it is neither a JSON object nor a number.
    """
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if isinstance(found, dict):
        step = found.pop("step", None)
        return found, step
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        return float(found), None
    raise ObjectiveError(f'a report is a line like {{"step": 3, "loss": 0.1}}, or a number, got {cut(line, 80)!r}')
