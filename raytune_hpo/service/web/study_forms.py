"""Actions of the forms on a study's pages; each redirects back to the page."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from raytune_hpo.service.problems import Problem
from raytune_hpo.service.shapes import Limits, Repeats, checked
from raytune_hpo.service.study_routes import confirmed
from raytune_hpo.service.tokens import Token
from raytune_hpo.service.web.addresses import base_of, field, fields_of, root_of
from raytune_hpo.service.web.frame import Frame


class StudyForms:
    """The actions that change a study."""

    def __init__(self, frame: Frame) -> None:
        self._frame, self._studies = frame, frame.service.studies

    def routes(self) -> list[BaseRoute]:
        actions = {
            "stop": self._stop,
            "continue": self._continue,
            "extend": self._extend,
            "enqueue": self._enqueue,
            "withdraw": self._withdraw,
            "confirm": self._confirm,
        }
        found: list[BaseRoute] = [
            self._frame.page(f"/studies/{{study}}/{verb}", "editor", action, method="POST")
            for verb, action in actions.items()
        ]
        return [*found, self._frame.page("/studies/{study}/delete", "admin", self._delete, method="POST")]

    async def _stop(self, request: Request, token: Token) -> Response:
        await self._studies.stop(request.path_params["study"], "stopped by the user")
        return RedirectResponse(base_of(request), 303)

    async def _continue(self, request: Request, token: Token) -> Response:
        await self._studies.resume(request.path_params["study"])
        return RedirectResponse(base_of(request), 303)

    async def _extend(self, request: Request, token: Token) -> Response:
        limits: Limits = checked(
            Limits, {"num_trials": _whole(await fields_of(request), "num_trials", "Trials in all")}
        )
        await self._studies.extend(request.path_params["study"], limits.model_dump(exclude_unset=True))
        return RedirectResponse(base_of(request), 303)

    async def _enqueue(self, request: Request, token: Token) -> Response:
        text = field(await fields_of(request), "config")
        try:
            config = json.loads(text)
        except (ValueError, RecursionError):
            config = None
        if not isinstance(config, dict):
            raise Problem("invalid", f'A configuration is a JSON object such as {{"lr": 0.1}}; got {text[:60]!r}')
        await self._studies.enqueue(request.path_params["study"], [config])
        return RedirectResponse(base_of(request), 303)

    async def _withdraw(self, request: Request, token: Token) -> Response:
        position = _whole(await fields_of(request), "position", "A position in the queue")
        await self._studies.withdraw(request.path_params["study"], position)
        return RedirectResponse(f"{base_of(request)}#queue", 303)

    async def _confirm(self, request: Request, token: Token) -> Response:
        fields = await fields_of(request)
        labels = {"top": "Configurations", "repeats": "Repeats of each"}
        given: Repeats = checked(Repeats, {name: _whole(fields, name, label) for name, label in labels.items()})
        await confirmed(self._frame.service, request.path_params["study"], given)
        return RedirectResponse(f"{base_of(request)}/best#confirmed", 303)

    async def _delete(self, request: Request, token: Token) -> Response:
        await self._studies.delete(request.path_params["study"])
        return RedirectResponse(f"{root_of(request)}/", 303)


def _whole(form: Any, name: str, label: str) -> int:
    text = field(form, name).replace(",", "")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Problem("invalid", f"{label}: a whole number; got {text[:40]!r}")
    return int(text)
