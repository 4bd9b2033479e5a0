"""Studies to write down, and other processes to write them."""

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from raytune_hpo.facts import (
    Enqueued,
    Finished,
    Paused,
    Printed,
    Released,
    Reported,
    Requeued,
    Saved,
    SessionOpened,
    Started,
    Status,
    StudyCreated,
    StudyStopped,
    Verdict,
)

AT = 1_763_700_000.25
ROOT = Path(__file__).resolve().parents[2]


def created(name="mnist"):
    return StudyCreated(spec={"name": name, "space": {"lr": [0.1, float("inf")]}}, at=AT)


def started(number, attempt=1, worker="worker-1", at=AT):
    config = {"lr": 0.1 + number, "act": "relu"} if attempt == 1 else None
    return Started(number=number, worker=worker, at=at, attempt=attempt, config=config, basis=number)


def reported(number, step, attempt=1, verdict=Verdict.CONTINUE, at=AT):
    return Reported(number=number, attempt=attempt, step=step, metrics={"loss": 1 / step}, verdict=verdict, at=at)


def completed(number, attempt=1, at=AT):
    metrics = {"loss": number / 7, "note": "fine \u2603"}
    return Finished(
        number=number,
        attempt=attempt,
        status=Status.COMPLETED,
        at=at,
        metrics=metrics,
        started_at=at - 1,
        duration_s=0.5,
    )


def usual_trial(number):
    """Ten parameters and one metric, of the lengths that real ones have."""
    config = {f"param_{i}": (number * 0.123456789 + i * 0.98765432123) % 1 for i in range(10)}
    at = AT + number + 0.123456
    result = {"metrics": {"loss": number * 0.7654321 % 1}, "started_at": at + 0.01, "duration_s": 1.2345678}
    return [
        Started(number=number, worker="worker-1", at=at, config=config, basis=2 * number),
        Finished(number=number, attempt=1, status=Status.COMPLETED, at=at + 1.5, **result),
    ]


def short_study(num_trials=3):
    facts = [created(), SessionOpened(at=AT), Enqueued(config={"lr": float("nan"), "act": "a\u0000b\ud800"}, at=AT)]
    for number in range(num_trials):
        facts += [started(number), reported(number, 1), reported(number, 2), completed(number)]
    return facts


def eventful_study(seed, num_events=120):
    """A random study in which everything happens that can."""
    draw = random.Random(seed)
    # By number: the attempt, the steps of checkpoints that are kept, and how far a trial has come in this attempt.
    facts, running, resting, kept, steps = [created()], {}, {}, {}, {}
    for tick in range(num_events):
        at = AT + tick
        if resting and draw.random() < 0.3:
            n = draw.choice(list(resting))
            was, attempt = resting.pop(n)
            if was is Status.PAUSED and draw.random() < 0.15:
                facts.append(Finished(number=n, attempt=attempt, status=Status.PRUNED, at=at, metrics={"loss": 0.5}))
                continue
            running[n] = attempt + 1
            from_step = draw.choice([None, tick, tick - 10, tick - 30])  # reports up to this step still hold
            basis = len(facts) if was is Status.PAUSED else None
            until = draw.choice([None, tick + 9])
            again = started(n, attempt=running[n], worker=f"w{tick}", at=at)
            from_trial = None if from_step is None else draw.choice([None, n])
            facts.append(replace(again, basis=basis, from_step=from_step, from_trial=from_trial, until=until))
            steps.pop(n, None)
        elif not running or draw.random() < 0.25:
            n = len(kept)
            parent = draw.choice([None, *kept])
            facts.append(replace(started(n, worker=f"w{tick}", at=at), parent=parent, until=draw.choice([None, 3])))
            running[n], kept[n] = 1, {}
        elif any(kept.values()) and draw.random() < 0.06:
            n = draw.choice([n for n, saved in kept.items() if saved])
            step = draw.choice(list(kept[n]))
            del kept[n][step]
            facts.append(Released(number=n, step=step, reason="no longer needed", at=at))
        else:
            n = draw.choice(list(running))
            fact = _next(draw, n, running[n], at, steps.get(n))
            facts.append(fact)
            if isinstance(fact, Reported):
                steps[n] = fact.step
            elif isinstance(fact, Saved):
                kept[n][fact.step] = None
            elif isinstance(fact, (Requeued, Paused)):
                resting[n] = (Status.PAUSED if isinstance(fact, Paused) else Status.WAITING, running.pop(n))
            elif isinstance(fact, Finished):
                del running[n]
    return [*facts, StudyStopped(reason="enough", at=AT + num_events)]


def _next(draw, number, attempt, at, step):
    common = {"number": number, "attempt": attempt, "at": at}
    match draw.randrange(11):
        case 0:
            return Requeued(**common, reason="worker lost", spent=draw.random() < 0.5, suspect=draw.random() < 0.5)
        case 1:
            return completed(number, attempt, at)
        case 2:
            error = "ValueError: \u0000 \\u0000 \U0001f600"
            return Finished(**common, status=Status.FAILED, error=error, reason="ValueError: \U0001f600")
        case 3:
            return Finished(**common, status=Status.PRUNED, metrics={"loss": float("inf")})
        case 4:
            return Printed(**common, text="epoch 1\n")
        case 5 if step is not None:
            return Paused(**common, step=step, duration_s=draw.choice([None, 0.25]))
        case 6 | 7 if step is not None:
            record = draw.choice([{"url": f"/c/{number}-{attempt}-{step}", "bytes": 7, "digest": "d"}, {"kept": "s3"}])
            return Saved(**common, step=step, checkpoint=record)
        case _:
            verdict = draw.choice(list(Verdict))
            return reported(number, int(at - AT) + 1, attempt, verdict, at)


WRITER = """
import sys
from raytune_hpo.journal import open_storage
from tests.journal.story import usual_trial
url, name, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
journal = open_storage(url).journal(name, create=True, owner="the child")
length = sum(1 for _ in journal.read())
print("length", length, flush=True)
while True:
    if size == 0:
        sys.stdin.readline()
        continue
    facts = [f for n in range(length // 2, length // 2 + size) for f in usual_trial(n)]
    journal.append(facts, expect=length)
    length += len(facts)
    print("length", length, flush=True)
"""


def writing_process(url, name, size, **options):
    """Another process that holds the study, appends ``size`` trials at a time for ever, and prints what is acknowledged.

    With size 0 it only holds the study.
    """
    return child(WRITER, url, name, str(size), **options)


def child(code, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def acknowledged(process):
    """The length in the next line the writing process prints."""
    word, length = process.stdout.readline().split()
    assert word == "length"
    return int(length)


def kill(process):
    """kill -9, and what it had printed before."""
    process.kill()
    rest = process.stdout.read()  # communicate() would forget what the last readline left in its buffer
    process.communicate()
    # The last line may be cut.
    return [int(line.split()[1]) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
