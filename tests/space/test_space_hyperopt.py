"""hyperopt's expressions are taken as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from raytune_hpo.errors import SpaceError
from raytune_hpo.space import Space
from tests.space.agreement import assert_agreement

pytest.importorskip("hyperopt")
from hyperopt import hp
from hyperopt.pyll.base import scope
from hyperopt.pyll.stochastic import sample


def domains() -> dict[str, Any]:
    shared = hp.uniform("shared", 0, 1)
    return {
        "uniform": hp.uniform("uniform", -1, 1),
        "loguniform": hp.loguniform("loguniform", -5, 0),
        "quniform": hp.quniform("quniform", 0, 10.3, 2),
        "qloguniform": hp.qloguniform("qloguniform", 0, 3, 1),
        "normal": hp.normal("normal", 1, 2),
        "qnormal": hp.qnormal("qnormal", 0, 5, 2),
        "lognormal": hp.lognormal("lognormal", 0, 1),
        "qlognormal": hp.qlognormal("qlognormal", 0, 1, 0.5),
        "randint": hp.randint("randint", 5),
        "randint_between": hp.randint("randint_between", 2, 7),
        "uniformint": hp.uniformint("uniformint", 1, 9),
        "choice": hp.choice("choice", ["x", 3, (1, 2)]),
        "pchoice": hp.pchoice("pchoice", [(0.2, "p"), (0.8, {"z": hp.uniform("z", 0, 1)})]),
        "model": hp.choice(
            "model",
            [
                {"kind": "svm", "C": hp.lognormal("C", 0, 1), "shared": shared},
                {"kind": "forest", "depth": scope.int(hp.quniform("depth", 1, 5, 1)), "shared": shared},
            ],
        ),
    }


def test_every_expression_draws_what_hyperopt_draws() -> None:
    rng = np.random.default_rng(3)
    assert_agreement(Space(domains()), [sample(domains(), rng) for _ in range(2000)])


def test_a_whole_space_may_be_one_choice() -> None:
    space = Space(hp.choice("model", [{"kind": "svm", "C": hp.uniform("C", 0, 1)}, {"kind": "forest"}]))
    assert [column.name for column in space.columns] == ["model", "model/svm/C"]
    assert {config["kind"] for config in space.sample(50, np.random.default_rng(0))} == {"svm", "forest"}


def test_a_label_in_two_places_that_are_active_together_is_refused() -> None:
    shared = hp.uniform("shared", 0, 1)
    with pytest.raises(SpaceError, match="label 'shared'"):
        Space({"a": shared, "b": shared})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Space({"a": 1 + hp.uniform("x", 0, 1)}), "parameter 'a': hyperopt's expression 'add'"),
        (lambda: Space({"a": scope.int(hp.uniform("x", 0, 1))}), "scope.int"),
        (lambda: Space(hp.uniform("x", 0, 1)), "a dict of names"),
    ],
)
def test_what_is_no_search_space_is_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        make()


@pytest.mark.parametrize(
    "domain", [hp.loguniform("n", 1e-5, 1e3), hp.qloguniform("n", 0, 1000, 2)], ids=["log", "qlog"]
)
def test_log_bounds_that_are_no_logarithms_are_refused_by_the_name_of_their_parameter(domain):
    with pytest.raises(SpaceError, match="parameter 'size': bounds of hyperopt's log domains are logarithms, got"):
        Space({"size": domain})
