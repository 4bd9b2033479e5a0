"""Co-kriging: Gaussian processes of losses at several fidelities, each a multiple of the one below plus a correction.

f_1(x) is a Gaussian process, and f_l(x) = offset + slope f_{l-1}(x) + scale g_l(x), with g_l another Gaussian process.
Observations at a low fidelity count as far as the next one follows it; where the two differ, and by how much, is learned
from the trials that reached both. Each process is conditioned on the residuals of the one before, so its cost is that of
its own observations.

Kennedy, O'Hagan: Predicting the Output from a Complex Computer Code When Fast Approximations Are Available. Biometrika
87, 2000, section 2.1.
Le Gratiet, Garnier: Recursive co-kriging model for design of computer experiments with multiple levels of fidelity.
International Journal for Uncertainty Quantification 4, 2014, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.curves import Link
from raytune_hpo.numerics.gaussian import Posterior


@dataclass(frozen=True)
class Correction:
    """The step from one fidelity to the next.

    Attributes:
        link: the regression of losses at the next fidelity on those at the one below.
        posterior: of the residuals, in units of the link's sd.
    """

    link: Link
    posterior: Posterior


@dataclass(frozen=True)
class Cokriging:
    """The posterior of the loss at the highest fidelity.

    Attributes:
        bottom: of the loss at the lowest fidelity.
        corrections: from there to the highest one.
        seen: (n, q) features of the rows that were observed at any fidelity.
    """

    bottom: Posterior
    corrections: Sequence[Correction]
    seen: Array

    def predict(self, Z: Array) -> tuple[Array, Array]:
        """Means and standard deviations (m,) of the loss without noise at features (m, q). (Le Gratiet, eqs. 10, 11)"""
        mean, sd = self.bottom.predict(Z)
        for link, posterior in self._steps():
            more, more_sd = posterior.predict(Z)
            mean = link(mean) + link.sd * more
            sd = np.hypot(link.slope * sd, link.sd * more_sd)
        return mean, sd

    def slopes(self, Z: Array) -> tuple[Array, Array, Array, Array]:
        """Means (m,), standard deviations (m,), and the gradients (m, q) of both by the features."""
        mean, sd, dmean, dsd = self.bottom.slopes(Z)
        for link, posterior in self._steps():
            more, more_sd, dmore, dmore_sd = posterior.slopes(Z)
            mean, dmean = link(mean) + link.sd * more, link.slope * dmean + link.sd * dmore
            total = np.hypot(link.slope * sd, link.sd * more_sd)
            below, own = link.slope**2 * sd / total, link.sd**2 * more_sd / total
            sd, dsd = total, below[:, None] * dsd + own[:, None] * dmore_sd
        return mean, sd, dmean, dsd

    @property
    def means(self) -> Array:
        """Means (n,) of the loss at the highest fidelity, at all rows that were observed."""
        return self.predict(self.seen)[0]

    def draw(self, Z: Array, rng: np.random.Generator) -> Array:
        """One joint sample (m,) of the loss without noise at features (m, q)."""
        sample = self.bottom.draw(Z, rng)
        for link, posterior in self._steps():
            sample = link(sample) + link.sd * posterior.draw(Z, rng)
        return sample

    def fantasised(self, Z: Array) -> Cokriging:
        """The posterior as if pending rows (p, q) had ended with their expected losses at every fidelity."""
        corrections = [replace(c, posterior=c.posterior.fantasised(Z)) for c in self.corrections]
        return Cokriging(self.bottom.fantasised(Z), corrections, self.seen)

    def _steps(self) -> list[tuple[Link, Posterior]]:
        return [(correction.link, correction.posterior) for correction in self.corrections]
