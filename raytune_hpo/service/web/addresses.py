"""URLs of pages, including a prefix that a proxy strips; and the fields of forms."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from raytune_hpo.service.bodies import MAX_BODY, MAX_FIELDS, read_body
from raytune_hpo.service.problems import Problem


def root_of(request: Request) -> str:
    """The URL prefix of all pages."""
    return str(request.scope.get("root_path", ""))


def base_of(request: Request) -> str:
    """The URL of the page of the study that a request is about."""
    return study_address(request, request.path_params["study"])


def study_address(request: Request, name: str) -> str:
    """The URL of the page of the study of this name."""
    return f"{root_of(request)}/studies/{urlpart(name)}"


def urlpart(name: str) -> str:
    """A name, quoted as one segment of a URL's path."""
    return quote(name, safe="")


async def fields_of(request: Request) -> FormData:
    """The fields of a form without files, in their order; one name may stand several times.

    Raises:
        Problem: there are too many, or the form is too large.
    """
    text = (await read_body(request, MAX_BODY)).decode("utf-8", "replace")
    try:
        found: list[tuple[str, UploadFile | str]] = [
            (name, value) for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
        ]
    except ValueError:
        raise Problem("too-large", f"a form here has at most {MAX_FIELDS:,} fields; send fewer") from None
    return FormData(found)


def field(form: FormData, name: str) -> str:
    """A field's text, stripped; empty if the field is missing."""
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""
