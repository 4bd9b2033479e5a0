"""Command: a program as an objective, run as often as needed to tell a configuration from the best."""

from __future__ import annotations

import copy
import math
import os
import shlex
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from raytune_hpo.commands import command_values, surroundings
from raytune_hpo.commands.launching import Ran, StaticLimits
from raytune_hpo.commands.measuring_slots import holding, measuring
from raytune_hpo.commands.metric_specs import MetricSpec, parsed_metrics
from raytune_hpo.commands.outcome import FileState, Outcome, file_state
from raytune_hpo.commands.program import HOOKS, Program, ProgramFailed, report_in
from raytune_hpo.commands.repeating import Contest, RepeatRule, unstable
from raytune_hpo.commands.surroundings import BusyClock, WhenBusy
from raytune_hpo.commands.template import Template
from raytune_hpo.errors import ObjectiveError, SpecError, TrialStopped
from raytune_hpo.goals import make_constraints, make_goals
from raytune_hpo.options import is_real, positive, whole
from raytune_hpo.rng import derive
from raytune_hpo.runtime.trial_run import current_run, report
from raytune_hpo.spec import StudySpec

_SEEDS = 2**31
_SHOWN = 4_000  # characters of each stream that are kept with a trial
_TICK_S = 0.02  # more than between two ticks of a file system's clock


class Command:
    """A program as an objective: ``hpo.tune(hpo.Command("xz -{level} -T{threads} ...", metrics="time"), space)``.

    A trial runs one configuration once, and again only while its metric cannot be told from the best one's (at most
    ``repeats`` times); its value is the median. Only the command itself is measured, by a separate launcher process, which
    also ends processes that the command leaves behind.

    Args:
        template: the command, as a text that is split as a shell would do it, or as a list of words. ``{name}`` inside a
            word is replaced by a parameter; ``{instance}``, ``{seed}``, ``{repeat}``, ``{trial}`` and ``{attempt}`` are
            there too; ``{{`` is a brace. Its environment has ``HPO_<name>``, ``HPO_CONFIG`` (a JSON file) and ``HPO_REPORT``
            (a pipe that takes reports: JSON objects, a line each).
        metrics: what is measured: ``time user system cpu peak_mb exit``, ``regex:NAME=PATTERN``, ``json:NAME=.path[0]``,
            ``NAME=A/B``, ``throughput=N/time``, ``p50 p99 max jitter``, ``size_mb:PATH``; the goals of a study.
        mode: "min" or "max", or a list; by default that of each metric (throughput is maximised).
        constraints: outcome constraints on metrics, like ``["peak_mb <= 2000"]``.
        measured: further metrics, which are not goals.
        work: the amount of work of one run, for the metric ``throughput``.
        shell: the shell that runs the text ("bash"); values are quoted, and refused where quoting would not be safe.
        stdin: a file for its standard input, with placeholders as in the template.
        setup, prepare, check, cleanup: hooks: commands that run once for a trial; before each run; after each run, with its
            output as input (if it fails, so does the trial); and after each run in any case.
        warmup: runs of each trial that are not measured.
        repeats: 5, or "1..3": at least, and at most.
        rel_error: the half-width of a value's interval, as a share of the value, at which repeating ends.
        ok_exit: exit codes that are not failures.
        timeout_s: seconds after which a run is ended, and fails.
        cap: prune a run once it takes this many times as long as the best one; for the metric ``time``.
        memory_mb, cpus, nice, files: limits: memory in 10^6 bytes, of all its processes together; the number of CPUs; the
            niceness; the number of open files.
        when_busy: "measure" (flag disturbed runs, and run them once more), "wait:60s", or "fail".
        parallel: how many measurements one machine takes at a time, of all studies together.
        uses: exclusive resources, like "port:8080" or "file:{out}": two measurements that use the same never run at once.
            Files from which metrics are read are among them by themselves.
        cwd, env: its working directory, and additions to its environment.
        reads_environment: whether it reads parameters from its environment, so that they need not be in the template.

    Raises:
        SpecError: an argument breaks a rule; the message has the rule, the value, and the way out.
    """

    def __init__(
        self,
        template: str | Sequence[str],
        *,
        metrics: str | Sequence[str] = "time",
        mode: str | Sequence[str] | None = None,
        constraints: Sequence[str] = (),
        measured: Sequence[str] = (),
        work: float | None = None,
        shell: str | None = None,
        stdin: str | None = None,
        setup: str | None = None,
        prepare: str | None = None,
        check: str | None = None,
        cleanup: str | None = None,
        warmup: int = 0,
        repeats: int | str | tuple[int, int] = "1..3",
        rel_error: float | None = None,
        ok_exit: Iterable[int] = (0,),
        timeout_s: float | None = None,
        cap: float | None = None,
        memory_mb: float | None = None,
        cpus: int | None = None,
        nice: int = 0,
        files: int | None = None,
        when_busy: str = "measure",
        parallel: int = 1,
        uses: Sequence[str] = (),
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        reads_environment: bool = False,
    ) -> None:
        hooks = dict(zip(HOOKS, (setup, prepare, check, cleanup), strict=True))
        self.program = Program(
            template=Template(template, shell=shell),
            stdin=None if stdin is None else Template([stdin]),
            uses=Template(_checked_uses(uses)) if uses else None,
            hooks={name: Template(text, shell=shell) for name, text in hooks.items() if text is not None},
            ok_exit=frozenset(ok_exit),
            timeout_s=None if timeout_s is None else positive("timeout_s", timeout_s),
            limits=_checked_limits(memory_mb, cpus, nice, files),
            cwd=None if cwd is None else os.path.abspath(cwd),
            env=dict(env or {}),
            reads_environment=reads_environment,
        )
        self._goals = parsed_metrics(metrics, work)
        self._mode = _checked_mode(mode, self._goals)
        self._metrics = _with_constrained(self._goals, constraints, measured, work)
        self._constraints = tuple(constraints)
        self.samples_memory = self.needs_memory or "peak_mb" in measured
        self._rule, self._warmup = RepeatRule.parsed(repeats, rel_error), whole("warmup", warmup, least=0)
        self._cap = _checked_cap(cap, self._goals[0].name)
        self._when_busy, self._parallel = WhenBusy.parsed(when_busy), whole("parallel", parallel, least=1)
        self._contests: dict[str, Contest] = {}
        self._lock = threading.Lock()
        self.__name__ = os.path.basename(self.program.template.text.split()[0])

    # -------------------------------------------------------------------------------------------- for the Tuner

    def study_settings(self, runtime: str) -> dict[str, Any]:
        """Default keyword arguments of Tuner for this command; the user's take precedence.

        Args:
            runtime: on Ray, each machine limits its own measurements, so that many trials may run at once.
        """
        return {
            "metric": [metric.name for metric in self._goals],
            "mode": list(self._mode),
            "outcome_constraints": self._constraints,
            "max_concurrent": None if runtime == "ray" else self._parallel,
        }

    def check_study(self, spec: StudySpec, *, is_here: bool) -> None:
        """Check it against a study before anything runs.

        Args:
            is_here: whether it will run on this machine, where its programs must be.

        Raises:
            SpecError: a parameter is unknown or unused, or a program is missing.
        """
        self.program.check_names(spec.space)
        if is_here:
            self.program.check_program()
        for text in self.warnings(spec):
            warnings.warn(text, stacklevel=4)

    @property
    def needs_memory(self) -> bool:
        """Whether peak memory matters: as a goal, in a constraint, or as a limit."""
        about = {goal.name for goal in self._goals} | {c.metric for c in make_constraints(self._constraints)}
        return "peak_mb" in about or self.program.limits.memory_mb is not None

    def warnings(self, spec: StudySpec) -> list[str]:
        """Warnings about the command, in sentences."""
        found = list(self.program.template.warnings)
        for name in self.program.option_like(spec.space):
            found.append(f"values of {name!r} begin with '-' and would be taken for options; write --option={{{name}}}")
        return found

    @property
    def text(self) -> str:
        """The command as it was written."""
        return self.program.template.text

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        return self._metrics

    def words(self, config: Mapping[str, Any]) -> list[str]:
        """The command for a configuration, as a list of words; placeholders that only a run can fill stay in braces."""
        own = {name: f"{{{name}}}" for name in command_values.OWN_NAMES}
        return self.program.template.filled({**own, **command_values.values_of(config)})

    def once(self) -> Command:
        """The same command, run once for each call, without a cap."""
        other = copy.copy(self)
        other._rule, other._cap = RepeatRule(low=1, high=1), None
        return other

    # -------------------------------------------------------------------------------------------- a trial

    def __call__(self, config: Mapping[str, Any], instance: Any = None, *, seed: int | None = None) -> dict[str, Any]:
        """Measure a configuration.

        Args:
            instance: the input that it is measured on, ``{instance}`` in the template.
            seed: ``{seed}`` of the first repeat; the others have seeds of their own, the same for all configurations.

        Raises:
            ObjectiveError: it failed.
            TrialStopped: it was stopped at a report, or because it took too long compared with the best.
        """
        with tempfile.TemporaryDirectory(prefix="raytune-hpo-") as folder:
            measurement = _Measurement(self, config, instance, seed, Path(folder))
            with holding(measurement.resources()), measuring(self._parallel):
                return measurement.result()

    def contest(self, instance: Any) -> Contest:
        """The contest of all configurations that this process has measured on an instance."""
        with self._lock:
            goal = make_goals(self._goals[0].name, self._mode[0])[0]
            return self._contests.setdefault(str(instance), Contest(self._rule, goal))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None, "_contests": {}}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def __repr__(self) -> str:
        return f"Command({self.text!r}, metrics={[metric.name for metric in self._goals]})"


class _Measurement:
    """The measurement of one configuration on one instance: its runs, one after the other."""

    def __init__(
        self, command: Command, config: Mapping[str, Any], instance: Any, seed: int | None, scratch: Path
    ) -> None:
        self._command, self._program, self._scratch = command, command.program, scratch
        self._instance, self._seed = instance, seed
        self._run = current_run()
        assignment = None if self._run is None else self._run.assignment
        self._config = config
        self._values = {
            **({} if instance is None else {"instance": getattr(instance, "path", instance)}),
            "trial": 0 if assignment is None else assignment.number,
            "attempt": 1 if assignment is None else assignment.attempt,
            **command_values.values_of(config),
        }
        self._folder = Path(self._program.cwd or ".")
        self._files = [path for metric in command.metrics if (path := metric.reads) is not None]
        self._samples: dict[str, list[float]] = {metric.name: [] for metric in command.metrics}
        self._peak_by, self._num_disturbed, self._others = "", 0, list[float]()
        self._num_left = 0
        self._num_first: dict[str, int] = {}  # the number of samples of the first run

    def resources(self) -> list[str]:
        """The exclusive resources of this configuration: those that were named, and the files from which metrics are read,
        which all configurations write in the same place.
        """
        named = [] if self._program.uses is None else self._program.uses.filled(self._of_repeat(0)[0])
        return [*named, *(f"file:{os.path.abspath(self._folder / path)}" for path in self._files)]

    def result(self) -> dict[str, Any]:
        """The metrics of the configuration."""
        contest, first = self._command.contest(self._instance), self._command.metrics[0]
        around = surroundings.context()
        values, env = self._of_repeat(0)
        before = self._file_states()
        self._program.hook("setup", values, env)
        states = self._file_states()
        self._files = [path for path in self._files if states[path] == before[path]]  # setup has made the others
        for _ in range(self._command._warmup):
            self._program.run(values, env, self._scratch)
        num_runs, may_run_again = 0, contest.rule.high > 1 and self._command._when_busy.how == "measure"
        while num_runs == 0 or contest.wants_more(self._samples[first.name]):
            is_disturbed = self._measure(num_runs, contest)
            num_runs += 1
            if is_disturbed and num_runs == 1 and may_run_again:
                if not self._measure(num_runs, contest):
                    self._forget_first()
                num_runs += 1
        contest.settle(self._samples[first.name])
        return self._metrics(around, num_runs)

    def _file_states(self) -> dict[str, FileState | None]:
        """The states of the files that each run is to write, from which those after another write differ."""
        states = {path: file_state(self._folder / path) for path in self._files}
        newest = max((state.changed_ns for state in states.values() if state is not None), default=0)
        # Two writes between two ticks of the file system's clock would have the same time.
        time.sleep(min(max(0.0, newest / 1e9 + _TICK_S - time.time()), _TICK_S))
        return states

    def _forget_first(self) -> None:
        """Discard the first run, which was disturbed by other load, while the second was not."""
        for name, num in self._num_first.items():
            del self._samples[name][:num]

    def _of_repeat(self, repeat: int) -> tuple[dict[str, Any], dict[str, str]]:
        """The placeholders' values and the environment of a run."""
        seed = self._seed
        if seed is None or repeat:
            seed = int(derive(self._seed or 0, "command", repeat).integers(_SEEDS))
        if isinstance(self._instance, int) and not repeat:
            seed = self._instance
        values = {"seed": seed, "repeat": repeat, **self._values}
        return values, command_values.environment(
            values, self._config, self._scratch, {**os.environ, **self._program.env}
        )

    def _measure(self, repeat: int, contest: Contest) -> bool:
        """Run once, and return whether other load disturbed the run."""
        command = self._command
        command._when_busy(surroundings.load_now)
        values, env = self._of_repeat(repeat)
        limit = None if command._cap is None or contest.best is None else command._cap * contest.best
        if limit is not None and limit >= (self._program.timeout_s or math.inf):
            limit = None  # a run that takes longer than it may fails, however long the best one takes
        before, clock = self._file_states(), BusyClock()
        try:
            ran = self._program.run(
                values,
                env,
                self._scratch,
                timeout_s=limit,
                on_report=None if repeat else self._heard,
                samples_memory=command.samples_memory,
            )
        except ProgramFailed as failed:
            self._keep_output(values, failed.ran)
            raise
        self._keep_output(values, ran)
        if ran.cause:
            self._stop_at(limit or 0.0)
        return self._take(Outcome(ran=ran, folder=self._folder, before=before), clock.others(ran.user_s + ran.system_s))

    def _take(self, outcome: Outcome, others: float | None) -> bool:
        ran = outcome.ran
        found: dict[str, float] = {}
        for metric in self._command.metrics:
            samples = metric.of_run(outcome, found)
            found[metric.name] = samples[-1]
            self._num_first.setdefault(metric.name, len(samples))
            self._samples[metric.name] += samples
        self._peak_by, self._num_left = ran.peak_by, self._num_left + ran.num_left
        if others is not None:
            self._others.append(others)
        is_disturbed = surroundings.is_disturbed(ran, others)
        self._num_disturbed += is_disturbed
        return is_disturbed

    def _heard(self, line: str) -> None:
        """Pass on a report of the running program; the verdict may end it."""
        if self._run is None:
            return
        if self._instance is not None:
            raise ObjectiveError("with instances, each of them is a step, so that the command reports none of its own")
        metrics, step = report_in(line)
        report(metrics, step=step)

    def _stop_at(self, limit: float) -> None:
        """End the trial as pruned: it ran into the cap."""
        if self._run is not None and self._instance is None:
            report({self._command.metrics[0].name: limit, "capped": True})
        raise TrialStopped(f"the command took longer than {limit:g} s")

    def _metrics(self, around: Mapping[str, Any], num_runs: int) -> dict[str, Any]:
        found: dict[str, Any] = {m.name: m.over_runs(self._samples[m.name]) for m in self._command.metrics}
        if self._peak_by and "peak_mb" in found:
            found["peak_by"] = self._peak_by
        found["runs"] = num_runs
        if note := unstable(self._samples[self._command.metrics[0].name]):
            found["note"] = note
        if self._num_left:
            found["left_running"] = self._num_left
        if self._others:
            around = {**around, "others_cpus": max(self._others)}
        if self._num_disturbed:
            around = {**around, "disturbed": self._num_disturbed}
        limits = self._program.limits.record()
        return {**found, **({"limits": limits} if limits else {}), "context": around}

    def _keep_output(self, values: Mapping[str, Any], ran: Ran) -> None:
        """Print the command and the end of its output, which go into the trial's output."""
        if self._run is None:
            return
        words = self._program.template.filled(values)
        lines = [
            f"HPO_TRIAL={values['trial']} HPO_REPEAT={values['repeat']} $ {shlex.join(words)}",
            ran.stdout[-_SHOWN:],
            ran.stderr[-_SHOWN:],
        ]
        sys.stdout.write("\n".join(line.rstrip("\n") for line in lines if line) + "\n")


def _checked_uses(uses: Sequence[str]) -> list[str]:
    if isinstance(uses, str) or not all(isinstance(name, str) and name for name in uses):
        raise SpecError(f'uses is a list of names like ["port:8080"], got {uses!r}')
    return list(uses)


def _checked_limits(memory_mb: float | None, cpus: int | None, nice: int, files: int | None) -> StaticLimits:
    if memory_mb is not None and not (is_real(memory_mb) and 0 < memory_mb < float("inf")):
        raise SpecError(f"memory_mb is a finite number above 0, got {memory_mb!r}")
    return StaticLimits(
        memory_mb=memory_mb,
        cpus=None if cpus is None else whole("cpus", cpus, least=1),
        nice=whole("nice", nice, least=0),
        files=None if files is None else whole("files", files, least=8),
    )


def _checked_mode(mode: str | Sequence[str] | None, goals: Sequence[MetricSpec]) -> tuple[str, ...]:
    if mode is None:
        return tuple(goal.mode for goal in goals)
    return tuple(goal.mode for goal in make_goals([goal.name for goal in goals], mode))


def _checked_cap(cap: float | None, metric: str) -> float | None:
    if cap is not None and not (is_real(cap) and cap > 1):
        raise SpecError(f"cap is a number above 1, how many times as long as the best run one may take, got {cap!r}")
    if cap is not None and metric != "time":
        raise SpecError(f"cap ends runs by their time, so it needs time as the first metric, got {metric!r}")
    return None if cap is None else float(cap)


def _with_constrained(
    goals: Sequence[MetricSpec], constraints: Sequence[str], measured: Sequence[str], work: float | None
) -> tuple[MetricSpec, ...]:
    """All metrics: the goals, the further ones that were asked for, and those of constraints, each once."""
    further = parsed_metrics(measured, work) if measured else ()
    found = {metric.name: metric for metric in (*goals, *further)}
    for constraint in make_constraints(constraints):
        if constraint.metric not in found:
            found[constraint.metric] = parsed_metrics(constraint.metric, work)[0]
    for spec in ("time", "cpu", "peak_mb"):  # they cost nothing to measure
        found.setdefault(spec, parsed_metrics(spec)[0])
    return tuple(found.values())
