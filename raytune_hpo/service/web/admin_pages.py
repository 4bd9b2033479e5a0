"""Pages about the service itself: its tokens, and the machine that it runs on."""

from __future__ import annotations

import asyncio
import platform
import shutil
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from raytune_hpo import __version__
from raytune_hpo.core.versions import installed_versions
from raytune_hpo.display.text import seconds_of, size
from raytune_hpo.errors import SpecError
from raytune_hpo.service.models.tables import QUOTA_BYTES
from raytune_hpo.service.tokens import BROWSER, ROLES, Token
from raytune_hpo.service.web.addresses import field, fields_of, root_of
from raytune_hpo.service.web.frame import Frame
from raytune_hpo.service.web.static_files import plotly_version


class AdminPages:
    """Tokens for admins, the system for editors."""

    def __init__(self, frame: Frame) -> None:
        self._frame, self._service = frame, frame.service

    def routes(self) -> list[BaseRoute]:
        page = self._frame.page
        return [
            page("/tokens", "admin", self._tokens),
            page("/tokens", "admin", self._make, method="POST"),
            page("/tokens/{token}/revoke", "admin", self._revoke, method="POST"),
            page("/system", "editor", self._system),
            page("/tables/{table}/delete", "editor", self._delete_table, method="POST"),
        ]

    async def _tokens(self, request: Request, token: Token) -> Response:
        return self._listed(request, token)

    def _listed(self, request: Request, token: Token, *, status: int = 200, **values: Any) -> Response:
        shown = [
            {**one.record(), "is_own": one.id == token.id, "label": "a browser" if one.label == BROWSER else one.label}
            for one in self._service.access.tokens.list()
        ]
        return self._frame.html(
            request,
            "tokens.html",
            status=status,
            token=token,
            here="tokens",
            rows=shown,
            roles=ROLES,
            **{"secret": "", "error": "", **values},
        )

    async def _make(self, request: Request, token: Token) -> Response:
        """Create a token, and show its secret, which cannot be shown again."""
        form = await fields_of(request)
        expires, study = field(form, "expires"), field(form, "study")
        try:
            secret, made = self._service.access.tokens.create(
                field(form, "role"),
                study=study or None,
                expires_in_s=seconds_of(expires) if expires else None,
                label=field(form, "label")[:100],
            )
        except (SpecError, ValueError) as error:
            return self._listed(request, token, status=422, error=str(error))
        return self._listed(request, token, secret=secret, made=made)

    async def _revoke(self, request: Request, token: Token) -> Response:
        await asyncio.to_thread(self._service.access.revoke, request.path_params["token"])
        return RedirectResponse(f"{root_of(request)}/tokens", 303)

    async def _system(self, request: Request, token: Token) -> Response:
        studies = self._service.studies
        uploaded = await asyncio.to_thread(studies.tables.uploaded)
        disk = shutil.disk_usage(Path.cwd())
        leases = [workers.leases for workers in studies.all_workers()]
        facts = [
            ("raytune-hpo", __version__),
            ("system", f"{platform.system()} {platform.machine()}"),
            ("studies are kept in", studies.storage.url),
            ("studies that run here", f"{len(studies.all_hosted()):,}"),
            ("workers over HTTP", f"{sum(len(book.all()) for book in leases):,}"),
            ("leases expired", f"{sum(book.num_expired for book in leases):,}"),
            ("disk", f"{size(disk.free)} free of {size(disk.total)}"),
            ("uploaded tables", f"{size(sum(table.num_bytes for table in uploaded))} of {size(QUOTA_BYTES)}"),
            ("objectives", "none" if studies.folder is None else str(studies.folder)),
        ]
        versions = {**installed_versions(), "plotly": plotly_version() or "not installed: no figures"}
        return self._frame.html(
            request,
            "system.html",
            token=token,
            here="system",
            facts=facts,
            versions=versions,
            tables=[{**table.line(), "users": studies.users_of(table.id)} for table in uploaded],
        )

    async def _delete_table(self, request: Request, token: Token) -> Response:
        await self._service.studies.delete_table(request.path_params["table"])
        return RedirectResponse(f"{root_of(request)}/system", 303)
