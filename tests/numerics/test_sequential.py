"""The test of paired differences: wrong no more often than promised, over all looks."""

from __future__ import annotations

import numpy as np

from raytune_hpo.numerics.sequential import Judgement, judged

LOOKS = (4, 8, 16)


def outcome(differences, known=None):
    return ended(differences, known)[0]


def ended(differences, known=None):
    """The judgement, and after how many pairs."""
    for n in range(1, len(differences) + 1):
        judgement = judged(differences[:n], LOOKS, 0.05, known)
        if judgement is not Judgement.OPEN:
            return judgement, n
    return Judgement.OPEN, len(differences)


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


def test_known_noise_keeps_alpha_and_finds_what_is_better_in_fewer_pairs():
    rng = np.random.default_rng(2)
    no_better = [outcome(rng.standard_normal(16), rng.standard_normal(20)) for _ in range(400)]
    assert no_better.count(Judgement.BETTER) / 400 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)
    better = [(rng.standard_normal(16) - 1.6, rng.standard_normal(20)) for _ in range(200)]
    alone, beside = ([ended(d, known if has else None) for d, known in better] for has in (False, True))
    assert np.mean([n for _, n in beside]) < 0.85 * np.mean([n for _, n in alone])
    assert np.mean([judgement is Judgement.BETTER for judgement, _ in beside]) > 0.95


def test_a_candidate_that_is_noisier_than_what_is_known_is_judged_by_its_own_noise():
    rng = np.random.default_rng(3)
    wild = [outcome(4.0 * rng.standard_normal(16), rng.standard_normal(20)) for _ in range(400)]
    assert wild.count(Judgement.BETTER) / 400 < 0.15  # 0.3 with the pooled deviation alone


def test_where_noise_is_known_what_is_hardly_ever_found_better_is_given_up_even_between_looks():
    known, worse, even = np.tile([1.0, -1.0], 10), np.array([0.6, 0.2, 0.1, 0.3, 0.2]), -0.2 * np.ones(5)
    assert judged(worse[:4], LOOKS, 0.05) is judged(worse, LOOKS, 0.05) is Judgement.OPEN
    assert judged(worse[:3], LOOKS, 0.05, known) is Judgement.OPEN
    assert judged(worse[:4], LOOKS, 0.05, known) is judged(worse, LOOKS, 0.05, known) is Judgement.UNDECIDED
    assert judged(even, LOOKS, 0.05, known) is Judgement.OPEN
