"""Pages that create studies, of three kinds: models on a table, your own workers, and installed objectives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pprint import pformat
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from raytune_hpo.core.messages import Answer, Assignment
from raytune_hpo.display.text import duration, number
from raytune_hpo.errors import HpoError
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.rng import derive
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.service.bodies import form_of
from raytune_hpo.service.data_routes import FIELD, MAX_UPLOAD, uploaded_table
from raytune_hpo.service.models import installed
from raytune_hpo.service.models.measuring import Measurer, NotReady
from raytune_hpo.service.models.tables import Table, catalogue
from raytune_hpo.service.new_study import plan_for
from raytune_hpo.service.problems import Problem, problem_of
from raytune_hpo.service.shapes import NewStudy, checked
from raytune_hpo.service.tokens import Token
from raytune_hpo.service.web.addresses import field, fields_of, root_of, study_address
from raytune_hpo.service.web.frame import Frame
from raytune_hpo.service.web.model_form import SAMPLERS, SCHEDULERS, ModelForm

CHECK_S = 120.0  # the limit for a trial run of one configuration
_EXAMPLE = {
    "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "layers": {"type": "int", "low": 1, "high": 8},
}
_FIRST = {
    "name": "",
    "metric": "loss",
    "mode": "min",
    "num_trials": "100",
    "sampler": "auto",
    "scheduler": "none",
    "num_workers": "1",
}


class NewPages:
    """The pages that create studies, for editors."""

    def __init__(self, frame: Frame) -> None:
        self._frame, self._studies = frame, frame.service.studies

    def routes(self) -> list[BaseRoute]:
        page = self._frame.page
        return [
            page("/new", "editor", self._doors),
            page("/new/model", "editor", self._model),
            page("/new/model", "editor", self._start_model, method="POST"),
            page("/new/table", "editor", self._upload, method="POST"),
            page("/new/workers", "editor", self._of_workers),
            page("/new/workers", "editor", self._start_of_workers, method="POST"),
            page("/new/installed", "editor", self._installed),
            page("/new/installed", "editor", self._start_installed, method="POST"),
        ]

    async def _doors(self, request: Request, token: Token) -> Response:
        folder = self._studies.folder
        return self._html(
            request, token, "new.html", num_installed=len(await asyncio.to_thread(installed.found, folder))
        )

    def _html(self, request: Request, token: Token, template: str, *, status: int = 200, **values: Any) -> Response:
        if token.study is not None:
            raise Problem("forbidden", "this token is for one study; use a token for all studies to make others")
        return self._frame.html(request, template, status=status, token=token, here="new", **values)

    # -------------------------------------------------------------------------------------------- models

    async def _upload(self, request: Request, token: Token) -> Response:
        try:
            async with form_of(request, MAX_UPLOAD) as form:
                table = await uploaded_table(self._studies.tables, form.get(FIELD))
        except HpoError as error:
            return await self._choose(request, token, str(error), status=problem_of(error).status)
        except Problem as problem:
            return await self._choose(request, token, problem.detail, status=problem.status)
        return RedirectResponse(f"{root_of(request)}/new/model?{urlencode({'data': table.id})}", 303)

    async def _model(self, request: Request, token: Token) -> Response:
        query = request.query_params
        if "data" not in query:
            return await self._choose(request, token, "")
        form = ModelForm.first(await self._studies.table(query["data"]), query.get("target", ""), query.get("task", ""))
        return self._form(request, token, form)

    async def _choose(self, request: Request, token: Token, error: str, status: int = 200) -> Response:
        """The first step: the choice of a table."""
        uploaded = await asyncio.to_thread(self._studies.tables.uploaded)
        return self._html(
            request, token, "new_table.html", status=status, bundled=catalogue(), uploaded=uploaded, error=error
        )

    def _form(self, request: Request, token: Token, form: ModelForm, **values: Any) -> Response:
        errors = values.pop("errors", ())
        status = values.pop("status", 200)
        shown = {"tried": None, "code": "", **form.shown(errors), **values}
        return self._html(request, token, "new_model.html", status=status, **shown)

    async def _start_model(self, request: Request, token: Token) -> Response:
        """Create the study; or only try one configuration, depending on the button."""
        sent = await fields_of(request)
        form = ModelForm.sent(await self._studies.table(field(sent, "data")), sent)
        try:
            new = checked(NewStudy, form.request())
            if field(sent, "do") == "check":
                plan = await asyncio.to_thread(plan_for, new, self._studies.tables, self._studies.folder)
                tried = await self._tried(plan, form.table, new)
                return self._form(
                    request,
                    token,
                    form,
                    tried=tried,
                    code=_python(self._frame.service_address(request), form.request()),
                )
            return await self._started(request, token, new)
        except (Problem, HpoError) as error:
            errors = _errors_of(error)
            return self._form(request, token, form, errors=errors, status=422)

    async def _tried(self, plan: RunPlan, table: Table, new: NewStudy) -> dict[str, str]:
        """Try one random configuration; its result, and an estimate of how long the study will take."""
        path = None if table.path is None else str(table.path)
        task = {"spec": plan.spec.to_json(), "table": path, "folder": None}
        objective: Any = new.objective
        memory = objective.memory_mb << 20
        measurer = Measurer(task, timeout_s=min(CHECK_S, objective.trial_timeout_s), memory_bytes=memory)
        space = plan.spec.space
        (config,) = space.sample(1, derive(plan.spec.seed, "check"))
        try:
            end = await measurer.measure(Assignment(number=0, attempt=1, config=space.pack(config)), _go_on)
        except NotReady as error:
            return {"bad": str(error)}
        finally:
            await measurer.close()
        took_s, goal = end.duration_s or 0.0, plan.spec.goals[0]
        if end.status is not Status.COMPLETED:
            return {"bad": f"One configuration failed after {duration(took_s)}: {end.reason}"}
        said = f"One configuration ran: {duration(took_s)}, {goal.metric} {number(end.metrics[goal.metric])}."
        trials, workers = new.limits.num_trials, objective.num_workers
        if trials is None:
            return {"good": said}
        on = f"{workers} worker{'s' if workers > 1 else ''}"
        return {"good": said, "left": f"{trials} trials on {on} take about {duration(trials * took_s / workers)}."}

    # -------------------------------------------------------------------------------------------- the other doors

    async def _of_workers(self, request: Request, token: Token) -> Response:
        values = {**_FIRST, "space": json.dumps(_EXAMPLE, indent=1)}
        return self._other(request, token, "new_workers.html", values)

    def _other(self, request: Request, token: Token, template: str, values: dict[str, str], **more: Any) -> Response:
        shown = {"v": values, "samplers": SAMPLERS, "schedulers": SCHEDULERS}
        return self._html(request, token, template, **{"errors": [], "wrong": {}, **shown, **more})

    async def _start_of_workers(self, request: Request, token: Token) -> Response:
        sent = await fields_of(request)
        values = {**_FIRST, "space": "", **{name: field(sent, name) for name in sent}}
        try:
            body = {**_common(sent), "space": _json_of(values["space"])}
            return await self._started(request, token, checked(NewStudy, body))
        except (Problem, HpoError) as error:
            return self._other(request, token, "new_workers.html", values, status=422, **_wrong(_errors_of(error)))

    async def _installed(self, request: Request, token: Token) -> Response:
        values = {**_FIRST, "objective": "", "trial_timeout": "10m"}
        return await self._of_installed(request, token, values)

    async def _of_installed(self, request: Request, token: Token, values: dict[str, str], **more: Any) -> Response:
        folder = self._studies.folder
        known = await asyncio.to_thread(lambda: [_described(name, folder) for name in installed.found(folder)])
        return self._other(request, token, "new_installed.html", values, objectives=known, **more)

    async def _start_installed(self, request: Request, token: Token) -> Response:
        sent = await fields_of(request)
        values = {**_FIRST, "objective": "", **{name: field(sent, name) for name in sent}}
        try:
            workers = _whole_of(values["num_workers"], "/objective/num_workers", "At once") or 1
            objective = {"kind": installed.KIND, "name": values["objective"], "num_workers": workers}
            return await self._started(request, token, checked(NewStudy, {**_common(sent), "objective": objective}))
        except (Problem, HpoError) as error:
            return await self._of_installed(request, token, values, status=422, **_wrong(_errors_of(error)))

    async def _started(self, request: Request, token: Token, new: NewStudy) -> Response:
        if token.study is not None:
            raise Problem("forbidden", "this token is for one study; use a token for all studies to make others")
        if "/" in new.name or new.name in (".", ".."):
            detail = f"Name: the name of a study here has no '/'; got {new.name[:60]!r}"
            raise Problem("invalid", detail, errors=[("/name", detail)])
        await self._studies.create(new)
        return RedirectResponse(study_address(request, new.name), 303)


async def _go_on(step: int, metrics: Any) -> Answer:
    """Answers every report of a trial run with "continue"."""
    return Answer(verdict=Verdict.CONTINUE)


def _common(sent: FormData) -> dict[str, Any]:
    """The fields that all kinds of studies have."""
    scheduler = field(sent, "scheduler")
    num_trials = _whole_of(field(sent, "num_trials"), "/limits/num_trials", "Trials")
    return {
        "name": field(sent, "name"),
        "metric": field(sent, "metric"),
        "mode": field(sent, "mode"),
        "sampler": field(sent, "sampler"),
        **({} if scheduler in ("", "none") else {"scheduler": scheduler}),
        "limits": {} if num_trials is None else {"num_trials": num_trials},
    }


def _whole_of(text: str, where: str, label: str) -> int | None:
    plain = text.replace(",", "")
    if not plain:
        return None
    if not (plain.isascii() and plain.isdigit() and len(plain) < 16):
        message = f"{label}: a whole number; got {text[:40]!r}"
        raise Problem("invalid", message, errors=[(where, message)])
    return int(plain)


def _json_of(text: str) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"Space: must be JSON, an object of parameters by name; {str(error)[:80]}"
        raise Problem("invalid", message, errors=[("/space", message)]) from None
    return found


def _described(name: str, folder: Any) -> dict[str, Any]:
    try:
        found = installed.load(name, folder)
    except HpoError as error:
        return {"name": name, "summary": "", "parameters": "", "error": str(error)[:300]}
    return {
        "name": name,
        "summary": found.summary,
        "parameters": ", ".join(column.name for column in found.space.columns),
        "error": "",
    }


def _errors_of(error: Problem | HpoError) -> Sequence[tuple[str, str]]:
    problem = error if isinstance(error, Problem) else problem_of(error)
    return problem.errors or (("", problem.detail),)


def _wrong(errors: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Errors in the form that the templates of the smaller forms take."""
    fields = [
        (pointer.strip("/").split("/")[-1] if not pointer.startswith("/space") else "space", m) for pointer, m in errors
    ]
    return {"errors": [{"field": f, "message": m} for f, m in fields], "wrong": dict(reversed(fields))}


def _python(service: str, body: dict[str, Any]) -> str:
    """A Python program that creates the same study at the service of this address."""
    settings = {name: value for name, value in body.items() if name != "name"}
    arguments = ",\n    ".join(
        f"{name}={pformat(value, width=64, sort_dicts=False)}" for name, value in settings.items()
    )
    indented = arguments.replace("\n", "\n    ").replace("\n        ", "\n    ")
    return (
        "import raytune_hpo as hpo\n\n"
        f'client = hpo.Client("{service}")  # the token is in RAYTUNE_HPO_TOKEN\n'
        f"study = client.create_study(\n    {body['name']!r},\n    {indented},\n)\n"
    )
