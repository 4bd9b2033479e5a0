"""Routes for tables, models and installed objectives: what studies need whose trials the service runs itself."""

from __future__ import annotations

import asyncio
from pathlib import PurePath
from typing import Any

from starlette.datastructures import UploadFile

from raytune_hpo.display.text import cut, visible
from raytune_hpo.errors import HpoError
from raytune_hpo.service.answers import Answer
from raytune_hpo.service.bodies import form_of
from raytune_hpo.service.endpoints import Call
from raytune_hpo.service.models import installed
from raytune_hpo.service.models.estimators import estimators_of
from raytune_hpo.service.models.scores import scores_of
from raytune_hpo.service.models.tables import MAX_BYTES, Tables, catalogue
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.reading_routes import viewed
from raytune_hpo.service.study_routes import edited

FIELD = "file"  # of the form that brings a table
MAX_UPLOAD = MAX_BYTES + 16_384  # of a form around a table
_LONGEST = 100


async def estimators(call: Call) -> Answer:
    """The models and the scores, by task."""
    tasks = ("classification", "regression")
    items = {e.name: e.record() for task in tasks for e in estimators_of(task)}
    scores = [{"name": s.name, "mode": s.mode, "task": s.task} for task in tasks for s in scores_of(task)]
    return Answer(body={"items": list(items.values()), "next": None, "metrics": scores})


async def objectives(call: Call) -> Answer:
    """The installed objectives, with the parameters that each searches."""
    folder = call.service.studies.folder
    items = await asyncio.to_thread(lambda: [_objective(name, call) for name in installed.found(folder)])
    return Answer(body={"items": items, "next": None})


def _objective(name: str, call: Call) -> dict[str, Any]:
    """An objective in the list; the error instead, if it cannot be loaded."""
    try:
        found = installed.load(name, call.service.studies.folder)
    except HpoError as error:
        return {"name": name, "summary": "", "parameters": [], "error": visible(cut(str(error), 300))}
    parameters = [column.name for column in found.space.columns]
    return {"name": name, "summary": found.summary, "parameters": parameters, "error": None}


async def list_datasets(call: Call) -> Answer:
    uploaded = await asyncio.to_thread(call.service.studies.tables.uploaded)
    items = [*catalogue(), *(table.line() for table in uploaded)]
    return Answer(body={"items": items, "next": None})


async def add_dataset(call: Call) -> Answer:
    async with form_of(call.request, MAX_UPLOAD) as form:
        table = await uploaded_table(call.service.studies.tables, form.get(FIELD))
    location = call.request.url_for("get_dataset", dataset=table.id).path
    return Answer(body=table.record(), status=201, headers={"Location": location})


async def uploaded_table(tables: Tables, file: object) -> Any:
    """Store the table that was uploaded with a form.

    Raises:
        Problem: the form has no file, or it is too large. NotATable, NoRoom: see ``Tables.add``.
    """
    if not isinstance(file, UploadFile) or not file.filename:
        raise Problem("invalid", f"a table comes as the file {FIELD!r} of a form; choose a CSV file")
    if file.size is not None and file.size > MAX_BYTES:
        raise Problem("too-large", f"a table has at most {MAX_BYTES >> 20} MiB; upload a part of it")
    name = PurePath(file.filename.replace("\\", "/")).name
    title = "".join(c for c in name if c.isprintable())[:_LONGEST] or "table.csv"
    return await tables.add(file.file, title)


async def get_dataset(call: Call) -> Answer:
    return Answer(body=(await call.service.studies.table(str(call.request.path_params["dataset"]))).record())


async def delete_dataset(call: Call) -> Answer:
    await call.service.studies.delete_table(str(call.request.path_params["dataset"]))
    return Answer(status=204)


ENDPOINTS = (
    viewed("/estimators", "list_estimators", "The models that can be trained here", estimators),
    viewed("/objectives", "list_objectives", "The objectives that are installed here", objectives),
    edited("GET", "/datasets", "list_datasets", "The tables", list_datasets),
    edited(
        "POST",
        "/datasets",
        "add_dataset",
        "Upload a table: a CSV file with a line of names",
        add_dataset,
        form=FIELD,
        status=201,
        errors=["too-large", "invalid", "no-room"],
    ),
    edited("GET", "/datasets/{dataset}", "get_dataset", "A table: its columns, and what to think of them", get_dataset),
    edited(
        "DELETE",
        "/datasets/{dataset}",
        "delete_dataset",
        "Delete a table",
        delete_dataset,
        status=204,
        errors=["in-use"],
    ),
)
