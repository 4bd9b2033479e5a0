"""The cost of the journal's digests: trials that do nothing, with digests and without, interleaved.

    python benchmarks/digests.py            # two minutes on one core
    python benchmarks/digests.py --quick    # tiny sizes: does it run?

One thread runs trials and writes an SQLite journal; CPU time is measured. Each round runs trials with digests and
without, in the opposite order of the round before; the result is the ratio within a round. Writes results/digests.json.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from math import exp, log, sqrt
from statistics import mean, stdev
from unittest import mock

from common import Figure, at_most, run

import raytune_hpo as hpo
from raytune_hpo.journal import schema, sqljournal

_T = 2.09  # of Student's t with 19 degrees of freedom: 95 %


def seconds(num_trials: int, *, with_digests: bool) -> float:
    """Processor seconds of a study."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if not with_digests:
            stack.enter_context(mock.patch.object(sqljournal, "digest_of", lambda *_: ""))
            stack.enter_context(mock.patch.object(schema, "seal", lambda *_: None))
        begin = time.process_time()
        hpo.tune(
            lambda config: config["x"], {"x": hpo.uniform(0, 1)}, sampler="random", num_trials=num_trials, seed=1,
            max_concurrent=1, runtime="local", storage=f"sqlite:///{folder}/studies.db", progress=False,
        )  # fmt: skip
        return time.process_time() - begin


def measure_digests(quick: bool) -> list[Figure]:
    """The ratio with its interval."""
    num_trials, rounds = (100, 2) if quick else (5_000, 20)
    seconds(100, with_digests=True)  # what is loaded once
    ratios = []
    for number in range(rounds):
        ways = (True, False) if number % 2 else (False, True)
        took = {way: seconds(num_trials, with_digests=way) for way in ways}
        ratios.append(log(took[True] / took[False]))
    half = _T * stdev(ratios) / sqrt(rounds)
    detail = {"ratios": [exp(r) for r in ratios], "interval": [exp(mean(ratios) - half), exp(mean(ratios) + half)]}
    what = "processor time of a trial that does nothing, with digests against without"
    return [at_most(1.05, name="digests", what=what, measured=exp(mean(ratios)), unit="times", detail=detail)]


if __name__ == "__main__":
    run(str(__doc__), {"digests": measure_digests})
