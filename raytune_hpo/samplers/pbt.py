"""Population based training: members that fall behind copy the weights and settings of better ones, and vary the settings.

Jaderberg, Dalibard, Osindero, Czarnecki, Donahue, Razavi, Vinyals, Green, Dunning, Simonyan, Fernando, Kavukcuoglu:
Population Based Training of Neural Networks. arXiv:1711.09846, 2017, section 3 and algorithm 1, with truncation
selection (section 4.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from raytune_hpo.errors import SpecError
from raytune_hpo.options import number_option
from raytune_hpo.protocols import Traits
from raytune_hpo.samplers.members import Segment
from raytune_hpo.samplers.perturbation import Perturbation
from raytune_hpo.samplers.training import TrainingPopulation
from raytune_hpo.trial import Trial


class PBT(TrainingPopulation):
    """Population based training (PBT): training and tuning at once, with settings that change on the way.

    A population trains in segments of ``interval`` steps, each a separate trial. After its segment, a member that is among
    the worst copies the checkpoint and the settings of one of the best, and explores: a number is multiplied by one of the
    factors in ``perturb`` (on a log scale, a fixed shift); a number in steps moves by at least one step, a value of an
    ordinal to a neighbour; with the probability ``redraw`` a setting is drawn anew instead, the only way in which
    categories change. The others continue with their own weights and settings. Scores are compared at the newest
    generation that half of the members have reached: at equal steps, and without waiting. With several metrics, members
    on the first Pareto front are the best.

    The objective must save checkpoints, and load a donor's weights but use its own settings. ``num_trials`` counts
    segments: ``population`` times ``max_steps / interval`` of them train all members to the end, and without
    ``num_trials`` the study ends then. A member whose training returns before the end of its segment has ended. One whose
    segment fails copies as the worst do, and ends after five failures in a row. The points of ``points_to_evaluate`` are
    the first members. It brings its scheduler, ``segments``.

    Args:
        max_steps: after how many steps training ends.
        population: how many members there are; the paper has 20 to 80.
        interval: steps of a segment: long enough for a change of settings to show in the score.
        quantile: which share of the members copies, and is copied, up to a half; at least one member.
        perturb: the factors by which a number may be multiplied.
        redraw: the probability with which a setting is drawn anew when it is explored.

    Raises:
        SpecError: an option out of range.
    """

    traits: ClassVar[Traits] = replace(TrainingPopulation.traits, multi_goal=True)

    def __init__(
        self,
        *,
        max_steps: int | None = None,
        population: int = 10,
        interval: int = 1,
        quantile: float = 0.2,
        perturb: Sequence[float] = (0.8, 1.2),
        redraw: float = 0.25,
    ) -> None:
        self._set("pbt", max_steps, population, interval, quantile)
        self.redraw = number_option("pbt", "redraw", redraw, least=0, most=1)
        if isinstance(perturb, (str, bytes)) or not isinstance(perturb, Sequence) or not perturb:
            raise SpecError(
                f"pbt needs a list of factors perturb, got perturb={perturb!r}; leave it out for (0.8, 1.2)"
            )
        self.perturb = tuple(number_option("pbt", "perturb", factor, above=0) for factor in perturb)

    def explored(self, copied: Segment, running: Sequence[Trial], rng: np.random.Generator) -> Mapping[str, Any]:
        """The copied settings, each multiplied by a factor or drawn anew."""
        x = self._cube.space.encode([copied.config])[0]
        return self._cube.config(Perturbation(self._cube, self.perturb, self.redraw).of(x, rng))
