"""The contract suite of loggers: one that keeps the contract passes, and each way to break it is caught."""

from __future__ import annotations

import hashlib
import json
from itertools import count

import pytest

from raytune_hpo.integrations.recording import AttemptKey, TrialRecorder, attempt_key, numbers_in, parameters_of
from raytune_hpo.integrations.testing import LOGGER_CHECKS, logger_cases
from tests.integrations.neighbours import LOGGER_CASES


class Lines(TrialRecorder):
    """A line of JSON for each attempt, written when it has ended."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def named(self, spec, created_at):
        return hashlib.sha256(f"{spec.name} {created_at}".encode()).hexdigest()

    def begin_study(self, spec, created_at):
        self.path = self.folder / self.named(spec, created_at)
        return {AttemptKey(*row["key"]) for row in rows_in(self.path)}

    def begin(self, trial): ...

    def report(self, trial, report): ...

    def end(self, trial):
        reports = [[report.step, report.at, numbers_in(report.metrics)] for report in trial.reports]
        parameters = parameters_of(self.spec, trial)
        self.write({"key": attempt_key(trial), "status": trial.status, "reports": reports, "parameters": parameters})

    def write(self, row):
        self.folder.mkdir(exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def end_study(self, stop): ...

    def release(self): ...


def rows_in(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def attempts_in(folder):
    return [(tuple(row.pop("key")), row) for path in folder.glob("*") for row in rows_in(path)]


@pytest.fixture
def run(tmp_path):
    def run(logger, check, read=attempts_in):
        places = count()
        logger_cases(lambda: tmp_path / str(next(places)), logger, read)[check]()

    return run


@pytest.mark.parametrize("check", LOGGER_CASES)
def test_a_logger_that_keeps_the_contract_passes(run, check):
    run(Lines, check)


class WritesAtTheEnd(Lines):
    """Keeps all in memory."""

    def begin_study(self, spec, created_at):
        self.rows = []
        return super().begin_study(spec, created_at)

    def write(self, row):
        self.rows.append(row)

    def end_study(self, stop):
        for row in self.rows:
            super().write(row)


class ForgetsWhatItHolds(Lines):
    def begin_study(self, spec, created_at):
        super().begin_study(spec, created_at)
        return ()


class KnowsTrialsOnly(Lines):
    """Takes an attempt for the trial."""

    def begin_study(self, spec, created_at):
        return {
            AttemptKey(number, attempt) for number, _ in super().begin_study(spec, created_at) for attempt in (1, 2, 3)
        }


class HoldsWhatHasBegun(Lines):
    def begin_study(self, spec, created_at):
        self.begun = self.folder.with_suffix(".begun")
        return {AttemptKey(*row["key"]) for row in rows_in(self.begun)} | super().begin_study(spec, created_at)

    def begin(self, trial):
        with self.begun.open("a") as file:
            file.write(json.dumps({"key": attempt_key(trial)}) + "\n")


class LeavesOutFailures(Lines):
    def end(self, trial):
        if trial.status != "failed":
            super().end(trial)


class NamesByName(Lines):
    def named(self, spec, created_at):
        return hashlib.sha256(spec.name.encode()).hexdigest()


class CutsNames(Lines):
    def named(self, spec, created_at):
        return f"{spec.name[:100].replace('/', '_').replace('..', '_')}-{created_at}"


class TakesNumbersOnly(Lines):
    def report(self, trial, report):
        sum(report.metrics.values())


class TakesNotes(Lines):
    """Takes away what it has written."""

    def __call__(self, fact):
        super().__call__(fact)
        getattr(fact, "metrics", {}).pop("note", None)


class NeverFree(Lines):
    def release(self):
        self.is_over = True

    def check_free(self):
        if hasattr(self, "path") and not hasattr(self, "is_over"):
            return
        super().check_free()


class WantsAStudy(Lines):
    def release(self):
        self.path.touch()


class NotesStarts:
    """A recorder that is no TrialRecorder, and does not look at what it has noted before."""

    def __init__(self, folder):
        self.folder = folder

    def open(self, spec):
        self.folder.mkdir(exist_ok=True)

    def __call__(self, fact):
        if type(fact).__name__ == "Started":
            with (self.folder / "all").open("a") as file:
                file.write(json.dumps({"key": [fact.number, fact.attempt]}) + "\n")

    def close(self): ...


@pytest.mark.parametrize(
    ("broken", "check", "says"),
    [
        (WantsAStudy, "is_a_logger", "has no attribute 'path'"),
        (LeavesOutFailures, "records_every_attempt", r"\[\(2, 1\)\] are missing"),
        (ForgetsWhatItHolds, "told_again", "each attempt is recorded once"),
        (NotesStarts, "told_again", "each attempt is recorded once"),
        (KnowsTrialsOnly, "sessions", "of trial 1, attempt 3, the record has 'nothing'"),
        (KnowsTrialsOnly, "left_early", "the record has 'nothing' instead"),
        (HoldsWhatHasBegun, "killed", "of trial 0, attempt 1, the record has 'nothing'"),
        (NeverFree, "one_study_at_a_time", "nothing was raised"),
        (NamesByName, "studies_of_one_name", "three studies of one name were told"),
        (CutsNames, "names", "studies were told"),
        (TakesNumbersOnly, "odd_values", "It ended with TypeError"),
        (TakesNotes, "leaves_what_it_is_told", "the logger was told .*'note': 'half way'"),
    ],
)
def test_a_broken_logger_is_caught(run, broken, check, says):
    with pytest.raises(AssertionError, match=says):
        run(broken, check)


def test_every_check_is_a_case(run):
    assert list(logger_cases(list, Lines, attempts_in)) == LOGGER_CASES and len(LOGGER_CASES) == len(LOGGER_CHECKS)
