"""Routes for a study's results: best, front, importances, figures, whether to stop, comparisons, code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from raytune_hpo.display.text import writable
from raytune_hpo.results.records import plain, trial_record
from raytune_hpo.service import shapes
from raytune_hpo.service.access import check_role
from raytune_hpo.service.answers import Answer
from raytune_hpo.service.code import LANGUAGES, code
from raytune_hpo.service.endpoints import Call, Endpoint
from raytune_hpo.service.folds import Fold
from raytune_hpo.service.models.objective import model_of
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.reading_routes import existing, of_study, viewed
from raytune_hpo.service.records import stopping_record
from raytune_hpo.trial import Trial

FIGURES = (
    "history best_so_far curves parallel_coordinates slice contour rank importances timeline duration distribution "
    "pareto pareto_3d hypervolume metrics lineage arms"
).split()
_OF_METRIC = "curves parallel_coordinates slice contour rank importances distribution".split()


async def best(call: Call) -> Answer:
    return await of_study(call, lambda fold: trial_record(best_of(fold)))


def best_of(fold: Fold) -> Trial:
    """The best trial in the first goal.

    Raises:
        NoCompletedTrial: there is none.
    """
    found = fold.ledger.best[0]
    return fold.results.best_trial if found is None else found


async def front(call: Call) -> Answer:
    def read(fold: Fold) -> Any:
        found = fold.results.best_trials
        return {"items": [trial_record(t) for t in found], "next": None, "seq": fold.seq}

    return await of_study(call, read)


async def importances(call: Call) -> Answer:
    metric = call.query.metric

    def read(fold: Fold) -> Any:
        shares = fold.once(("importances", metric), lambda: fold.results.importances(metric))
        completed = len(fold.by_loss)
        return {"method": "ped_anova", "completed": completed, "importances": plain(shares), "seq": fold.seq}

    return await of_study(call, read)


async def stopping(call: Call) -> Answer:
    return await of_study(call, lambda fold: stopping_record(fold, call.service.now(fold)))


async def figure(call: Call) -> Answer | Response:
    name = str(call.request.path_params["figure"])
    if name not in FIGURES:
        raise Problem("not-found", f"a figure is one of {', '.join(FIGURES)}; got {name[:40]!r}")
    metric = call.query.metric
    if metric is not None and name not in _OF_METRIC:
        detail = f"the figures of one metric are {', '.join(_OF_METRIC)}, not {name}; leave out metric={metric[:40]!r}"
        raise Problem("bad-request", detail)
    options = {} if metric is None else {"metric": metric}

    answer = await of_study(call, lambda fold: drawn(fold, name, options))
    if answer.body is None:
        return answer
    return Response(answer.body, 200, dict(answer.headers), "application/json")


def drawn(fold: Fold, name: str, options: Mapping[str, str]) -> str:
    """A figure as JSON for plotly."""
    plot = getattr(fold.results.plot, name)
    return fold.once(("figure", name, *options.items()), lambda: str(plot(**options).to_json()))


async def best_code(call: Call) -> Answer | Response:
    language = call.query.language

    def read(fold: Fold) -> str:
        found = best_of(fold) if call.query.trial is None else existing(fold, call.query.trial)
        if found.losses is None:
            raise Problem("no-result-yet", f"trial {found.number} has not completed, so that it has no value to repeat")
        return writable(code(fold, found, language, model_of(fold.ledger.spec)))

    answer = await of_study(call, read)
    if answer.body is None:
        return answer
    _, file, media = LANGUAGES[language]
    headers = {**answer.headers, "Content-Disposition": f'attachment; filename="{file}"'}
    return Response(answer.body, 200, headers, media)


async def compare(call: Call) -> Answer:
    names = list(dict.fromkeys(call.query.study))
    for name in names:
        check_role(call.token, "viewer", name)
    items = [(await call.service.standing(name)).record() for name in names]
    return Answer(body={"items": items, "next": None, "seq": sum(item.get("seq", 0) for item in items)})


ENDPOINTS: tuple[Endpoint, ...] = (
    viewed("/studies/{study}/best", "get_best", "The best trial", best, errors=["no-result-yet"]),
    viewed(
        "/studies/{study}/best/code",
        "get_best_code",
        "The best configuration as code",
        best_code,
        query=shapes.CodeQuery,
        errors=["no-result-yet"],
        media="text/plain",
    ),
    viewed("/studies/{study}/front", "list_front", "The Pareto front", front),
    viewed(
        "/studies/{study}/importances",
        "get_importances",
        "Importances of parameters",
        importances,
        query=shapes.MetricQuery,
    ),
    viewed("/studies/{study}/stopping", "get_stopping", "Whether it still finds anything, and what is left", stopping),
    viewed("/studies/{study}/figures/{figure}", "get_figure", "A figure for plotly", figure, query=shapes.MetricQuery),
    viewed("/compare", "compare_studies", "Studies side by side", compare, query=shapes.CompareQuery),
)
