"""The test of paired differences: wrong no more often than promised, over all looks."""

from __future__ import annotations

import numpy as np

from raytune_hpo.numerics.sequential import Judgement, judged

LOOKS = (4, 8, 16)


def outcome(differences):
    for n in range(1, len(differences) + 1):
        judgement = judged(differences[:n], LOOKS, 0.05)
        if judgement is not Judgement.OPEN:
            return judgement
    return Judgement.OPEN


def test_no_better_is_called_better_at_most_as_often_as_alpha():
    rng = np.random.default_rng(0)
    found = [outcome(rng.standard_normal(16)) for _ in range(400)]
    assert found.count(Judgement.BETTER) / 400 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)
    assert found.count(Judgement.WORSE) / 400 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_what_is_clearly_better_is_found_early():
    rng = np.random.default_rng(1)
    assert all(judged(rng.standard_normal(8) * 0.1 - 1.0, LOOKS, 0.05) is Judgement.BETTER for _ in range(20))


def test_between_looks_and_at_the_last_one():
    assert judged(np.array([-1.0, -1.1, -1.2]), LOOKS, 0.05) is Judgement.OPEN
    assert judged(np.tile([1.0, -1.0], 8), LOOKS, 0.05) is Judgement.UNDECIDED
