"""The contract of loggers: rules that every logger must keep, also one of your own.

    from raytune_hpo.integrations import testing
    CASES = testing.logger_cases(new_folder, MyLogger, attempts_in)

    @pytest.mark.parametrize("case", CASES)
    def test_contract(case):
        CASES[case]()

``new_folder()`` makes an empty place, ``MyLogger(place)`` records there, and ``attempts_in(place)`` reads the record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from raytune_hpo.api.callbacks import Recorder, check_callback
from raytune_hpo.codec import to_row
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Fact, Reported, Requeued, Started, Status, StudyCreated, StudyStopped
from raytune_hpo.integrations.story import AT, ATTEMPTS, RESUMED, growing_story, odd_story, short_story, story
from raytune_hpo.spec import stored_spec
from raytune_hpo.testing.cases import case

# Pairs of names become alike where other characters are replaced, cut off, or told by their case.
_ODD_NAMES = ("a/b", "a_b", "A_b", "..", "Größe 数据 'x' \"y\"; %s", "x" * 200, "x" * 199 + "y")


@dataclass(frozen=True)
class LoggerPlace:
    """A place for records, with the functions that write and read there; see ``logger_cases``."""

    words: Any
    open_at: Callable[[Any], Recorder]
    read_at: Callable[[Any], Iterable[tuple[tuple[int, int], Any]]]

    def tell(self, facts: Sequence[Fact], *, logger: Recorder | None = None, live: bool = False) -> Recorder:
        """Tell a new logger facts, up to its end; ``live``: as in the process that began the study, which has its spec."""
        logger = self.begin(facts, logger=logger, live=live)
        logger.close()
        return logger

    def begin(self, facts: Sequence[Fact], *, logger: Recorder | None = None, live: bool = False) -> Recorder:
        """Tell a new logger facts, without an end."""
        logger = self.open_at(self.words) if logger is None else logger
        created = facts[0]
        assert isinstance(created, StudyCreated)
        logger.open(stored_spec(created) if live else None)
        for fact in facts:
            logger(fact)
        return logger

    def counts(self) -> Counter[tuple[int, int]]:
        """How often each attempt is in the record, over all studies."""
        return Counter((int(number), int(attempt)) for (number, attempt), _ in self.read_at(self.words))

    def record(self) -> dict[tuple[int, int], Any]:
        """The record of a single study."""
        pairs = list(self.read_at(self.words))
        twice = [key for key, times in self.counts().items() if times > 1]
        assert not twice, f"each attempt is recorded once, got several records of (number, attempt) {sorted(twice)}"
        return {(int(number), int(attempt)): held for (number, attempt), held in pairs}


def logger_cases(
    make_words: Callable[[], Any],
    open_at: Callable[[Any], Recorder],
    read_at: Callable[[Any], Iterable[tuple[tuple[int, int], Any]]],
) -> dict[str, Callable[[], None]]:
    """Every check of a logger, each in a place of its own.

    Args:
        make_words: returns words that name a new, empty place at each call, such as a folder or an address.
        open_at: returns a new logger that records at the place that the words name.
        read_at: reads the records of all studies at a place: a pair ``((number, attempt), held)`` for each recorded
            attempt, where ``held`` is what the record has of it, without what differs whenever it is written, such as ids.
            An attempt that resumes a paused trial may be part of the record of the attempt that it resumes.
    """

    def run(check: Callable[[Callable[[], LoggerPlace]], None]) -> None:
        case(check, lambda: LoggerPlace(make_words(), open_at, read_at))()

    return {check.__name__.removeprefix("check_"): partial(run, check) for check in LOGGER_CHECKS}


_Make = Callable[[], LoggerPlace]


def check_is_a_logger(make: _Make) -> None:
    """It has open, close and a call with one fact, and records nothing if it is closed before the first fact."""
    place = make()
    logger = place.open_at(place.words)
    check_callback(logger)
    assert isinstance(logger, Recorder), "a logger has the methods of raytune_hpo.api.callbacks.Recorder"
    for _ in range(2):
        logger.open(None)
        logger.close()
    assert not place.counts(), "a study of which a logger has heard nothing is not in its record"


def check_records_every_attempt(make: _Make) -> None:
    """Every attempt is in the record once: completed, pruned, failed, paused ones, and those that came back unfinished."""
    place = make()
    place.tell(story())
    found = place.record()
    missing, extra = ATTEMPTS - found.keys(), found.keys() - ATTEMPTS - RESUMED
    assert not missing and not extra, (
        f"the study had the attempts (number, attempt) {sorted(ATTEMPTS)}; in the record {sorted(missing)} are missing, "
        f"and {sorted(extra)} are none of them"
    )


def check_told_again(make: _Make) -> None:
    """A study that is told again, by whatever logger, and with or without its live spec, leaves the record as it is."""
    place = make()
    logger = place.tell(story())
    before = place.record()
    place.tell(story(), logger=logger)
    _require_same(place.record(), before, "the same logger was told the same study again")
    place.tell(story(), live=True)
    _require_same(place.record(), before, "another logger was told the same study again")


def check_sessions(make: _Make) -> None:
    """A study that stopped and was resumed has the record of one that was told in one go."""
    facts = story()
    stopped = next(i for i, fact in enumerate(facts) if isinstance(fact, StudyStopped)) + 1
    _require_completed(make, facts, [stopped], "a study was resumed in another session", closes=True)


def check_left_early(make: _Make) -> None:
    """A logger that is closed amid a study, or has failed, can be followed by another, which completes the record."""
    _require_completed(make, story(), _moments(story()), "loggers were closed amid the study", closes=True)


def check_killed(make: _Make) -> None:
    """A logger whose process is killed amid a study can be followed by another, which completes the record.

    Its process is not ended here: the logger gets no more calls. So a record that is held back in memory passes, if it is
    written in order once another logger writes.
    """
    _require_completed(make, story(), _moments(story()), "loggers were given up amid the study", closes=False)


def check_objectives_that_define_the_space(make: _Make) -> None:
    """In a space that grows, an attempt is recorded from its first report or its end on, also after a kill."""
    facts = growing_story()
    _require_completed(make, facts, range(2, len(facts)), "loggers were given up amid the study", closes=False)


def check_one_study_at_a_time(make: _Make) -> None:
    """A logger that follows one study at a time says so as long as it does, and can be used again."""
    place = make()
    logger = place.begin(short_story("first"))
    says_so = hasattr(logger, "check_free")
    assert not says_so or _is_busy(logger), (
        "check_free raises a SpecError while the logger follows a study; nothing was raised"
    )
    logger.close()
    assert not says_so or not _is_busy(logger), "check_free raises nothing once the logger was closed"
    place.tell(short_story("second", created_at=AT + 1.0), logger=logger)
    assert place.counts() == {(0, 1): 2}, f"two studies were told, one after the other; the record has {place.counts()}"


def check_studies_of_one_name(make: _Make) -> None:
    """Studies of the same name have records of their own: ``created_at`` of StudyCreated, its ``at``, tells them apart."""
    place = make()
    for created_at in (AT, AT + 1e-3, AT + 60.0):
        for _ in range(2):
            place.tell(short_story("s", created_at=created_at))
    assert place.counts() == {(0, 1): 3}, f"three studies of one name were told, each twice; got {place.counts()}"


def check_names(make: _Make) -> None:
    """Names of studies are any printable text, and two of them are never one record."""
    place = make()
    for name in _ODD_NAMES:
        place.tell(short_story(name))
    got = place.counts()
    assert got == {(0, 1): len(_ODD_NAMES)}, f"{len(_ODD_NAMES)} studies were told, {_ODD_NAMES}; the record has {got}"


def check_odd_values(make: _Make) -> None:
    """Parameters and metrics with any name and any JSON value, or an option that is none, raise no error."""
    place = make()
    for _ in range(2):
        place.tell(odd_story())
        assert place.record().keys() == {(0, 1), (1, 1)}, f"two attempts were told, got {place.record().keys()}"


def check_leaves_what_it_is_told(make: _Make) -> None:
    """A logger does not write into facts, which others get too."""
    told = story()
    make().tell(told)
    for fact, original in zip(told, story(), strict=True):
        assert to_row(fact) == to_row(original), f"the logger was told {original!r}, and made {fact!r} of it"


def _is_busy(logger: Any) -> bool:
    """Whether its check_free says that it follows a study."""
    try:
        logger.check_free()
    except SpecError:
        return True
    return False


def _moments(facts: Sequence[Fact]) -> list[int]:
    """Lengths at which a record is easily torn: after the study's beginning, and amid and between attempts."""
    kinds = (StudyCreated, Started, Reported, Requeued, StudyStopped)
    first = {next(i for i, fact in enumerate(facts) if isinstance(fact, kind)) + 1 for kind in kinds}
    ends = [i + 1 for i, fact in enumerate(facts) if getattr(fact, "status", None) in (Status.COMPLETED, Status.FAILED)]
    resumed = next(i for i, fact in enumerate(facts) if isinstance(fact, Started) and fact.from_step is not None)
    return sorted({*first, *ends[:2], resumed, resumed + 1, resumed + 2, len(facts) - 1})


def _require_completed(make: _Make, facts: Sequence[Fact], lengths: Iterable[int], what: str, *, closes: bool) -> None:
    """A record that was made in several parts is that of a study told in one go."""
    whole, parts = make(), make()
    whole.tell(facts)
    given_up = []  # as long as they are referred to, they end nothing by being deleted
    for length in lengths:
        given_up.append((parts.tell if closes else parts.begin)(facts[:length]))
    parts.tell(facts)
    _require_same(parts.record(), whole.record(), what)


def _require_same(found: dict[tuple[int, int], Any], wanted: dict[tuple[int, int], Any], what: str) -> None:
    for key in sorted(found.keys() | wanted.keys()):
        got, should = (record.get(key, "nothing") for record in (found, wanted))
        assert got == should, (
            f"{what}; of trial {key[0]}, attempt {key[1]}, the record has {got!r} instead of {should!r}"
        )


LOGGER_CHECKS: tuple[Callable[[_Make], None], ...] = (
    check_is_a_logger,
    check_records_every_attempt,
    check_told_again,
    check_sessions,
    check_left_early,
    check_killed,
    check_objectives_that_define_the_space,
    check_one_study_at_a_time,
    check_studies_of_one_name,
    check_names,
    check_odd_values,
    check_leaves_what_it_is_told,
)
