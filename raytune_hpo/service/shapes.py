"""Shapes of what comes in: bodies and queries as pydantic models, from which the OpenAPI document takes their schemas."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raytune_hpo.service.problems import Problem

MAX_METRICS, MAX_METRIC_NAME = 64, 100
MAX_OUTPUT = 65_536  # characters that are kept of what a trial printed
Count = int | None


class Shape(BaseModel):
    """Nothing but the fields that are named."""

    model_config = ConfigDict(extra="forbid")


class NewStudy(Shape):
    """A study to be made. Workers come over HTTP and fetch its trials."""

    name: str = Field(min_length=1, max_length=200, examples=["tune-lr"])
    space: dict[str, Any] = Field(
        description="Parameters by name; see docs/service.md",
        examples=[{"lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}}],
    )
    metric: str | list[str] = "loss"
    mode: str | list[str] = "min"
    sampler: str | dict[str, Any] = "auto"
    scheduler: str | dict[str, Any] | None = None
    limits: Limits = Field(default_factory=lambda: Limits())
    seed: int | None = Field(default=None, ge=0)
    max_retries: int = Field(default=2, ge=0, le=100)
    points: list[dict[str, Any]] = Field(default_factory=list, max_length=1_000)


class Limits(Shape):
    """When the study ends, whichever comes first. What is left out has no limit."""

    num_trials: Count = Field(default=None, ge=1, le=10_000_000)
    time_budget_s: float | None = Field(default=None, gt=0)
    target: float | None = None
    max_failures: Count = Field(default=None, ge=1)
    num_steps: Count = Field(default=None, ge=1)


class Extension(Shape):
    """Limits that shall hold from now on; those that are left out stay."""

    limits: Limits


class Reason(Shape):
    """Why a study is stopped."""

    reason: str = Field(default="stopped by the user", min_length=1, max_length=200)


class Configs(Shape):
    """Configurations to try next."""

    configs: list[dict[str, Any]] = Field(min_length=1, max_length=1_000)


class Outcome(Shape):
    """How an attempt at a trial has ended."""

    attempt: int = Field(ge=1)
    status: Literal["completed", "failed", "pruned"] = "completed"
    metrics: dict[str, Any] = Field(default_factory=dict)
    error: str | None = Field(default=None, max_length=MAX_OUTPUT)
    output: str = Field(default="", max_length=MAX_OUTPUT)
    duration_s: float | None = Field(default=None, ge=0, le=1e9)
    checkpoint: str | None = Field(default=None, max_length=1_024)


class NumberedOutcome(Outcome):
    """How an attempt at a trial has ended, and which trial it was."""

    number: int = Field(ge=0)


class Asking(Shape):
    """A worker asks for trials, and tells how earlier ones have ended."""

    worker: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["gpu-7"])
    limit: int = Field(default=1, ge=1, le=64)
    ttl_s: float = Field(default=60.0, ge=1, le=3_600)
    wait_s: float = Field(default=10.0, ge=0, le=30)
    holding: list[int] = Field(default_factory=list, max_length=64)
    finished: list[NumberedOutcome] = Field(default_factory=list, max_length=256)


class Renewal(Shape):
    """A sign of life."""

    ttl_s: float | None = Field(default=None, ge=1, le=3_600)


class StepReport(Shape):
    """Metrics at a step."""

    step: int = Field(ge=0, le=2**53)
    metrics: dict[str, Any]


class ReportsOfAttempt(Shape):
    """Reports of a running trial, in the order of their steps.

    ``checkpoint`` says where the worker keeps what it needs to go on after the last of these steps.
    """

    attempt: int = Field(ge=1)
    reports: list[StepReport] = Field(min_length=1, max_length=1_000)
    checkpoint: str | None = Field(default=None, max_length=1_024)


class NewToken(Shape):
    """A token to be made."""

    role: Literal["viewer", "worker", "editor", "admin"]
    study: str | None = Field(default=None, max_length=200)
    expires_in_s: float | None = Field(default=None, gt=0)
    label: str = Field(default="", max_length=100)


# ------------------------------------------------------------------------------------------------ queries


class StudiesQuery(Shape):
    state: Literal["running", "ended"] | None = None
    q: str = Field(default="", max_length=200)
    sort: Literal["created", "name", "trials"] = "created"
    limit: int = Field(default=100, ge=1, le=1_000)
    cursor: str | None = Field(default=None, max_length=1_000)


class TrialsQuery(Shape):
    status: Literal["waiting", "running", "paused", "completed", "pruned", "failed"] | None = None
    sort: Literal["number", "-number", "metric", "duration"] = "number"
    where: str | None = Field(default=None, max_length=200)
    limit: int = Field(default=100, ge=1, le=1_000)
    cursor: str | None = Field(default=None, max_length=1_000)


class PageQuery(Shape):
    limit: int = Field(default=100, ge=1, le=1_000)
    cursor: str | None = Field(default=None, max_length=1_000)


class FactsQuery(Shape):
    start: int = Field(default=0, ge=0, alias="from")
    limit: int = Field(default=1_000, ge=1, le=10_000)


class MetricQuery(Shape):
    metric: str | None = Field(default=None, max_length=200)


class EventsQuery(Shape):
    facts: bool = False


class NoQuery(Shape):
    pass


NewStudy.model_rebuild()


def checked(shape: type[Shape], data: Any, *, is_query: bool = False) -> Any:
    """The data as the shape has it; numbers in queries are text, those in bodies are numbers.

    Raises:
        Problem: with a pointer to everything that is wrong.
    """
    try:
        return shape.model_validate(data, strict=not is_query)
    except ValidationError as error:
        found = [(_pointer(e["loc"]), e["msg"]) for e in error.errors(include_url=False, include_context=False)]
        where, message = found[0]
        what = f"the query's {where.lstrip('/')}" if is_query else where or "the body"
        raise Problem("bad-request" if is_query else "invalid", f"{what}: {message}", errors=found) from None


def _pointer(path: tuple[int | str, ...]) -> str:
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)


def check_metrics(metrics: dict[str, Any]) -> None:
    """Refuse what no objective means to say.

    Raises:
        Problem: there are too many metrics, or names are too long.
    """
    if len(metrics) > MAX_METRICS:
        raise Problem("invalid", f"a result has at most {MAX_METRICS} metrics, got {len(metrics)}; leave some out")
    for name in metrics:
        if not 1 <= len(name) <= MAX_METRIC_NAME:
            raise Problem("invalid", f"a metric's name has 1 to {MAX_METRIC_NAME} characters, got {len(name)}")
