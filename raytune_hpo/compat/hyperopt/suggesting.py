"""Suggestions of this package's samplers as hyperopt's documents.

hyperopt's labels become the columns of a flat space; once the choices are made, the expression determines which of them
are active. The sampler is told the contents of hyperopt's ``Trials``, so that it learns from pickled and continued ones.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hyperopt.base import JOB_STATE_CANCEL, JOB_STATE_DONE, JOB_STATE_ERROR, STATUS_OK, miscs_update_idxs_vals

from raytune_hpo import registry
from raytune_hpo.core.asking import ask
from raytune_hpo.facts import Status
from raytune_hpo.goals import make_goals
from raytune_hpo.protocols import Sampler, Suggestion, bound_sampler
from raytune_hpo.space.choices import Choice
from raytune_hpo.space.dialects.hyperopt import distribution_of
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.growing import flat_space
from raytune_hpo.trial import Trial

_GOALS = make_goals("loss", "min", None, None)
_samplers: weakref.WeakKeyDictionary[Any, dict[str, Learning]] = weakref.WeakKeyDictionary()


def suggested(
    part: Mapping[str, Any], new_ids: Sequence[int], domain: Any, trials: Any, seed: int
) -> list[dict[str, Any]]:
    """Documents of the next trials, as hyperopt's algorithms return them.

    Args:
        part: the sampler's name, with its options.
        domain, trials: hyperopt's.
    """
    learning = _samplers.setdefault(trials, {})
    key = repr(sorted(part.items()))
    if key not in learning or learning[key].expression is not domain.expr:
        learning[key] = Learning(part, domain, int(seed))
    labels = sorted(domain.params)  # in hyperopt's order, which scripts see in ``best`` and in ``vals``
    documents: list[dict[str, Any]] = []
    for tid in new_ids:
        values = learning[key].next(tid, [*_documents(trials), *documents], int(seed))
        misc = {"tid": tid, "cmd": domain.cmd, "workdir": domain.workdir}
        idxs = {label: [tid] if label in values else [] for label in labels}
        vals = {label: [values[label]] if label in values else [] for label in labels}
        miscs_update_idxs_vals([misc], idxs, vals)
        documents += trials.new_trial_docs([tid], [None], [domain.new_result()], [misc])
    return documents


class Learning:
    """A sampler that learns from the contents of one ``Trials``.

    Args:
        seed: of the first suggestion.
    """

    def __init__(self, part: Mapping[str, Any], domain: Any, seed: int) -> None:
        self.expression = domain.expr
        # Labels whose numbers are positions.
        self._choices = {label for node in _nodes(domain.expr) if (label := _chooser(node)) is not None}
        self._domains = {label: self._domain(label, node) for label, node in domain.params.items()}
        self._seed = seed
        space = flat_space(self._domains)
        self._sampler: Sampler = bound_sampler(registry.make("sampler", dict(part)), space, _GOALS, seed)
        self._told: set[int] = set()

    def _domain(self, label: str, node: Any) -> Domain:
        if node.name == "literal":  # a script has replaced the distribution by a value
            return Choice([node.obj])
        domain = distribution_of(node)
        if label in self._choices and not isinstance(domain, Choice):
            return Choice(range(domain.size or 0))
        return domain

    def next(self, tid: int, documents: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
        """The values of the labels that are active in the next trial.

        Args:
            documents: all trials so far.
        """
        pending = []
        for document in documents:
            number = document["tid"]
            if number in self._told or document["state"] == JOB_STATE_CANCEL:  # the latter never ran: nothing to learn
                continue
            trial = self._trial(document)
            if trial.status is Status.RUNNING:
                pending.append(trial)
            else:
                self._told.add(number)
                self._sampler.tell(trial)
        outcome = ask(self._sampler, tid, pending if self._sampler.traits.reads_pending else (), seed)
        assert isinstance(outcome, Suggestion), "these samplers always have something to suggest"
        active = _active(self.expression, outcome.config)
        return {label: _scalar(outcome.config[label]) for label in self._domains if label in active}

    def _trial(self, document: Mapping[str, Any]) -> Trial:
        """A document of hyperopt as a trial of this package."""
        drawn = document["misc"]["vals"]  # of an earlier search, perhaps, which had other labels too
        config = {label: self._plain(label, drawn[label][0]) for label in self._domains if len(drawn.get(label, ()))}
        loss = _loss(document)
        has_ended = document["state"] in (JOB_STATE_DONE, JOB_STATE_ERROR)
        status = Status.RUNNING if not has_ended else Status.FAILED if loss is None else Status.COMPLETED
        return Trial(
            number=document["tid"],
            config=config,
            status=status,
            metrics={} if loss is None else {"loss": loss},
            losses=None if loss is None else (loss,),
        )

    def _plain(self, label: str, value: Any) -> Any:
        plain = value.item() if hasattr(value, "item") else value
        return int(plain) if isinstance(self._domains[label], Choice) else plain


def _documents(trials: Any) -> list[Mapping[str, Any]]:
    """The documents of an experiment, with those of trials that raised, which ``trials.trials`` leaves out."""
    held = getattr(trials, "_dynamic_trials", None)  # None: of MongoTrials, whose documents are in a database
    found = [*trials.trials, *trials.handle.jobs_error()] if held is None else held
    return [each for each in found if trials._exp_key is None or each["exp_key"] == trials._exp_key]


def _loss(document: Mapping[str, Any]) -> float | None:
    result = document["result"]
    loss = result.get("loss")
    if document["state"] != JOB_STATE_DONE or result.get("status") != STATUS_OK or loss is None:
        return None
    return float(loss) if math.isfinite(float(loss)) else None


def _scalar(value: Any) -> Any:
    """A number in the form in which hyperopt's own algorithms return it."""
    return np.int64(value) if isinstance(value, int) else np.float64(value)


def _nodes(expression: Any) -> list[Any]:
    from hyperopt.pyll import dfs

    return list(dfs(expression))


def _chooser(node: Any) -> str | None:
    """The label that chooses among a node's branches; None if it has no branches, or if no label alone chooses."""
    if node.name != "switch" or node.pos_args[0].name != "hyperopt_param":
        return None
    return str(node.pos_args[0].arg["label"].obj)


def _active(expression: Any, values: Mapping[str, Any]) -> set[str]:
    """The labels that an expression needs, given the values of the choices."""
    found: set[str] = set()
    seen: set[int] = set()
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        label = _chooser(node)
        if node.name == "hyperopt_param":
            found.add(str(node.arg["label"].obj))
        elif label is not None:
            waiting += [node.pos_args[0], node.pos_args[1 + int(values[label])]]
        else:
            waiting += node.inputs()
    return found
