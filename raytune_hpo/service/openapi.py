"""The OpenAPI document, generated from the table of endpoints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from raytune_hpo import __version__
from raytune_hpo.service.endpoints import Endpoint
from raytune_hpo.service.problems import KINDS
from raytune_hpo.service.shapes import Shape

_ALWAYS = (
    "bad-request",
    "bad-host",
    "no-token",
    "forbidden",
    "not-found",
    "too-many-requests",
    "internal",
    "unreadable",
    "unavailable",
)
_WITH_BODY = ("too-large", "invalid")


def document(endpoints: Sequence[Endpoint], root_path: str = "") -> dict[str, Any]:
    """The OpenAPI 3.1 document of these endpoints."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(f"/v1{endpoint.path}", {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "raytune-hpo", "version": __version__, "description": "Studies over HTTP."},
        "servers": [{"url": root_path or "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": endpoint.summary}
    if endpoint.status != 204:
        schema = {"type": "object"} if endpoint.media == "application/json" else {"type": "string"}
        success["content"] = {endpoint.media: {"schema": schema}}
    responses = {str(endpoint.status): success}
    if endpoint.name == "create_study":
        responses["200"] = {**success, "description": "The very same study is there"}
    if endpoint.method == "GET":
        responses["202"] = {"description": "The study is being read; come again"}
        responses["304"] = {"description": "Nothing has changed"}
    kinds = [*_ALWAYS, *(_WITH_BODY if endpoint.body else ()), *endpoint.errors]
    if endpoint.is_creating:
        kinds += ["key-in-use", "key-reused"]
    for status in sorted({KINDS[kind].status for kind in kinds}):
        titles = [KINDS[kind].title for kind in kinds if KINDS[kind].status == status]
        responses[str(status)] = {
            "description": "; ".join(dict.fromkeys(titles)),
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    operation = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": f"For the role {endpoint.role} and those above.",
        "parameters": [*_in_path(endpoint), *_in_query(endpoint.query), *_in_headers(endpoint)],
        "responses": responses,
    }
    if endpoint.body is not None:
        reference = _schema(endpoint.body, schemas)
        is_needed = any(field.is_required() for field in endpoint.body.model_fields.values())
        operation["requestBody"] = {"required": is_needed, "content": {"application/json": {"schema": reference}}}
    if endpoint.form is not None:
        file = {"type": "string", "contentMediaType": "text/csv"}
        form: dict[str, Any] = {"type": "object", "required": [endpoint.form], "properties": {endpoint.form: file}}
        operation["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": form}}}
    return operation


def _in_path(endpoint: Endpoint) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", endpoint.path)
    whole = {"type": "integer", "minimum": 0}
    kinds = {"number": whole, "position": whole}
    return [
        {"name": name, "in": "path", "required": True, "schema": kinds.get(name, {"type": "string", "minLength": 1})}
        for name in names
    ]


def _in_query(shape: type[Shape]) -> list[dict[str, Any]]:
    made = shape.model_json_schema(by_alias=True)
    needed = made.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in needed, "schema": schema}
        for name, schema in made.get("properties", {}).items()
    ]


def _in_headers(endpoint: Endpoint) -> list[dict[str, Any]]:
    if not endpoint.is_creating:
        return []
    schema = {"type": "string", "minLength": 1, "maxLength": 255}
    return [{"name": "Idempotency-Key", "in": "header", "required": False, "schema": schema}]


def _schema(shape: type[Shape], schemas: dict[str, Any]) -> dict[str, str]:
    """A reference to a shape's schema; the schema and those it refers to are added to ``schemas``."""
    made = shape.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(made.pop("$defs", {}))
    schemas[shape.__name__] = made
    return {"$ref": f"#/components/schemas/{shape.__name__}"}


_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"pointer": {"type": "string"}, "message": {"type": "string"}}},
        },
    },
}
