"""The Sobol sequence is scipy's to the last bit, without the time that importing scipy's takes."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import qmc

from raytune_hpo.numerics.direction_numbers import JOE_KUO
from raytune_hpo.numerics.quasi import MAX_SOBOL_DIMS, sobol

MOST = len(JOE_KUO) + 1


def of_scipy(d, start, n, seed):
    engine = qmc.Sobol(d, scramble=seed is not None, rng=seed)
    if start:
        engine.fast_forward(start)
    return engine.random(n)


@pytest.mark.filterwarnings("ignore:The balance properties")
@pytest.mark.parametrize("seed", [None, 0, 7, 2**63])
@pytest.mark.parametrize(("start", "n"), [(0, 1), (0, 16), (1, 3), (16, 16), (1000, 500)])
@pytest.mark.parametrize("d", [1, 2, 13, MOST, MOST + 1])
def test_points_are_those_of_scipy(d, start, n, seed):
    np.testing.assert_array_equal(sobol(d, start, n, seed), of_scipy(d, start, n, seed))


def test_without_dimensions_points_are_empty():
    assert sobol(0, 5, 3, 1).shape == (3, 0)


def test_there_are_no_more_dimensions_than_direction_numbers():
    with pytest.raises(ValueError, match="21201"):
        sobol(MAX_SOBOL_DIMS + 1, 0, 1, None)


def test_a_study_s_first_trials_do_not_wait_for_scipy_s_statistics():
    program = (
        "import sys, raytune_hpo as hpo\n"
        "study = hpo.Study({'x': hpo.uniform(0, 1), 'c': hpo.choice(['a', 'b'])}, metric='loss', storage='memory')\n"
        "for k in range(30): study.tell(study.ask(), {'loss': k % 7})\n"
        "print([name for name in sys.modules if name.startswith('scipy.stats')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
