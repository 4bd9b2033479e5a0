from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from raytune_hpo.schedulers.ranking import Ordered

ENTRIES = st.lists(st.tuples(st.integers(0, 8), st.sampled_from([0.0, 1.0, 1.5, 2.0, 7.0])), min_size=1, max_size=30)


@given(ENTRIES, st.integers(0, 9), st.sampled_from([0.0, 1.2, 1.5, 9.0]))
def test_every_answer_is_that_of_sorting_the_others(entries, number, loss):
    ranking, losses = Ordered(), {}
    for key, value in entries:
        ranking.put(key, (value,))
        losses[key] = value
    others = [value for key, value in losses.items() if key != number]
    assert ranking.num_others(number) == len(others)
    assert ranking.num_better(number, (loss,)) == sum(other < loss for other in others)
    if others:
        assert ranking.quantile(number, 0.5) == median(others)
