"""Bandit strategies of a portfolio, by name: they choose the arm that suggests next.

Cho et al.: Basic Enhancement Strategies When Using Bayesian Optimization for Hyperparameter Tuning of Deep Neural
Networks. IEEE Access 8, 2020. Hoffman, Brochu, de Freitas: Portfolio Allocation for Bayesian Optimization. UAI 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics import bandits

_ETA = 1.0  # of HEDGE
_ETA_OF_NOMINEES = 0.1  # of BO-HEDGE


@dataclass(frozen=True, kw_only=True)
class BanditState:
    """The input of a strategy.

    Attributes:
        turn: how many suggestions arms have made.
        num_arms: k, the number of arms.
        arms: (t,) which arm suggested each finished trial.
        rewards: (t,) the rewards of these trials; larger is better.
        credits: (k,) the sum of the rewards that the nominees of each arm would have had.
        hours: the hours spent in trials.
        busy: (k,) how many pending trials each arm has.
    """

    turn: int
    num_arms: int
    arms: Array
    rewards: Array
    credits: Array
    hours: float
    busy: Array


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """A bandit strategy: a rule for the arms' probabilities, and the data that it needs.

    Attributes:
        probabilities: function that returns the probabilities (k,) of the arms.
        says: a description in one line.
        is_log: rewards are |log10(1 - r)|, which separates good ones.
        nominates: every arm nominates a configuration at every turn, and is credited for it.
        by_truth: nominees are credited with their true losses, for instance from a lookup table.
        waits: the next batch begins when all trials of the last one have ended.
        with_random: with more workers than arms, the further workers get random draws.
    """

    probabilities: Callable[[BanditState], Array]
    says: str
    is_log: bool = False
    nominates: bool = False
    by_truth: bool = False
    waits: bool = False
    with_random: bool = False


def _hedge(state: BanditState) -> Array:
    return bandits.softmax(bandits.sums(state.rewards, state.arms, state.num_arms), _ETA)


def _hedge_of_nominees(state: BanditState) -> Array:
    return bandits.softmax(state.credits, _ETA_OF_NOMINEES)


def _epsilon_greedy(state: BanditState) -> Array:
    means = bandits.means(state.rewards, state.arms, state.num_arms)
    return bandits.greedy(means, bandits.falling_epsilon(len(state.arms), state.num_arms))


def _greedy_in_time(state: BanditState) -> Array:
    means = bandits.means(state.rewards, state.arms, state.num_arms)
    return bandits.greedy(means, bandits.epsilon_of_hours(state.hours))


def _knock_out(state: BanditState) -> Array:
    left = bandits.survivors(state.rewards, state.arms, state.num_arms)
    return _only(int(left[state.turn % len(left)]), state.num_arms)


def _one_each(state: BanditState) -> Array:
    """The arm with the fewest pending trials and, among equals, the fewest turns."""
    turns = state.busy + np.bincount(state.arms, minlength=state.num_arms)
    return _only(int(np.lexsort((turns, state.busy))[0]), state.num_arms)


def _only(arm: int, num_arms: int) -> Array:
    return np.asarray(np.arange(num_arms) == arm, dtype=float)


STRATEGIES: Mapping[str, Strategy] = {
    "SEQ": Strategy(
        probabilities=lambda state: _only(state.turn % state.num_arms, state.num_arms), says="one arm after the other"
    ),
    "RANDOM": Strategy(probabilities=lambda state: np.full(state.num_arms, 1 / state.num_arms), says="any arm"),
    "HEDGE": Strategy(probabilities=_hedge, says="softmax of what each arm has brought"),
    "BO-HEDGE": Strategy(
        probabilities=_hedge_of_nominees, says="softmax of what its nominees are expected to bring", nominates=True
    ),
    "BO-HEDGE-T": Strategy(
        probabilities=_hedge_of_nominees,
        says="softmax of what its nominees would truly have brought",
        nominates=True,
        by_truth=True,
    ),
    "BO-HEDGE-LE": Strategy(
        probabilities=_hedge_of_nominees, says="BO-HEDGE with logarithmic rewards", nominates=True, is_log=True
    ),
    "BO-HEDGE-LET": Strategy(
        probabilities=_hedge_of_nominees,
        says="BO-HEDGE-T with logarithmic rewards",
        nominates=True,
        by_truth=True,
        is_log=True,
    ),
    "EG": Strategy(probabilities=_epsilon_greedy, says="mostly the best mean, more so as trials pass"),
    "EG-LE": Strategy(probabilities=_epsilon_greedy, says="EG with logarithmic rewards", is_log=True),
    "GT": Strategy(probabilities=_greedy_in_time, says="mostly the best mean, more so as hours pass"),
    "GT-LE": Strategy(probabilities=_greedy_in_time, says="GT with logarithmic rewards", is_log=True),
    "SKO": Strategy(probabilities=_knock_out, says="rounds of ten trials an arm; the worst is out"),
    "SYNC": Strategy(
        probabilities=_one_each, says="a worker for each arm; all wait for the slowest", waits=True, with_random=True
    ),
    "ASYNC": Strategy(probabilities=_one_each, says="a worker for each arm; nobody waits", with_random=True),
}
