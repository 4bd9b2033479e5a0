"""Presets: optimisers by their names in the literature, a mode and its specification.

Cho et al., IEEE Access 8, 2020. Modes: RANDOM; TPE; GP, RF with an acquisition function (EI, PI, UCB); GP-NM, which does
not integrate over length scales; GP-ALE, RF-ALE, with a logarithmic transform of small errors; DIV, six arms with a
strategy; BATCH, a worker for each of six arms, SYNC or ASYNC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.samplers.strategies import STRATEGIES

_ACQUISITIONS = ("EI", "PI", "UCB")
_FIRST_DRAWN = 2  # trials before a model is used


def preset(mode: str, spec: str | None = None) -> dict[str, Any]:
    """The sampler of a mode, as ``Tuner`` takes it: ``{"name": ..., option: ...}``.

    Args:
        spec: the acquisition function of a mode with one model (by default EI), the strategy of DIV (SEQ) or BATCH (ASYNC).

    Raises:
        SpecError: there is no such mode, or the mode has no such spec.
    """
    if mode not in MODES:
        raise SpecError(f"unknown mode {mode!r}; {nearest(mode, MODES)}")
    known, make = MODES[mode]
    chosen = known[0] if spec is None and known else spec
    if chosen is not None and chosen not in known:
        way_out = nearest(chosen, known) if known else "leave it out"
        raise SpecError(f"mode {mode!r} has no spec {chosen!r}; {way_out}")
    return make(chosen or "")


def _model(**options: Any) -> Callable[[str], dict[str, Any]]:
    return lambda acquisition: {"acquisition": acquisition.lower(), "n_initial": _FIRST_DRAWN, **options}


def _portfolio(strategy: str) -> dict[str, Any]:
    return {"name": "portfolio", "strategy": strategy, "n_initial": _FIRST_DRAWN}


_GP = {"name": "gp", "marginalize": "slice"}
_RF = {"name": "rf", "random_share": 0.0}
_ERRORS = "hybrid_log_error"
_IN_BATCHES = ("ASYNC", "SYNC")

MODES: Mapping[str, tuple[tuple[str, ...], Callable[[str], dict[str, Any]]]] = {
    "RANDOM": ((), lambda _: {"name": "random"}),
    "TPE": ((), lambda _: {"name": "tpe", "n_initial": _FIRST_DRAWN}),
    "GP": (_ACQUISITIONS, _model(**_GP, transform="none")),
    "GP-NM": (_ACQUISITIONS, _model(name="gp", marginalize="none", transform="none")),
    "GP-ALE": (_ACQUISITIONS, _model(**_GP, transform=_ERRORS)),
    "GP-HLE": (_ACQUISITIONS, _model(**_GP, transform=_ERRORS)),
    "RF": (_ACQUISITIONS, _model(**_RF, transform="none")),
    "RF-ALE": (_ACQUISITIONS, _model(**_RF, transform=_ERRORS)),
    "RF-HLE": (_ACQUISITIONS, _model(**_RF, transform=_ERRORS)),
    "DIV": (tuple(name for name in STRATEGIES if name not in _IN_BATCHES), _portfolio),
    "BATCH": (_IN_BATCHES, _portfolio),
}
