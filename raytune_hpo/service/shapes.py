"""Shapes of requests: bodies and queries as pydantic models, from which the OpenAPI document takes its schemas."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from raytune_hpo.service import floats
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.validation_words import in_words

MAX_METRICS, MAX_METRIC_NAME = 64, 100
_UNKNOWN = "unknown_field"  # the type of an error
MAX_OUTPUT = 65_536  # characters that are kept of what a trial printed
Count = int | None
Metrics = Annotated[
    dict[str, Any],
    BeforeValidator(floats.read_metrics),
    Field(description='by name; numbers that are not finite are {"$float": "nan"}, "inf" or "-inf"'),
]

Measurements = Annotated[dict[str, float], BeforeValidator(floats.read_metrics)]


def _interval(bounds: Any) -> Any:
    return tuple(floats.read(bounds)) if isinstance(bounds, list) else bounds


Interval = Annotated[tuple[float, float], BeforeValidator(_interval)]


class Shape(BaseModel):
    """Base of all shapes: fields that it does not declare are refused."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _with_known_names(cls, data: Any) -> Any:
        """Refuse an unknown field here, where the known ones can be named."""
        known = [field.alias or name for name, field in cls.model_fields.items()]
        unknown = next((name for name in data if name not in known), None) if isinstance(data, dict) else None
        if unknown is not None:
            named = {"name": unknown, "known": ", ".join(known) or "none"}
            raise PydanticCustomError(_UNKNOWN, "is not known; known: {known}", named)
        return data

    @model_validator(mode="before")
    @classmethod
    def _with_whole_numbers(cls, data: Any) -> Any:
        """In JSON, 2.0 is the whole number 2: some languages know no other."""
        return {name: cls._whole(name, value) for name, value in data.items()} if isinstance(data, dict) else data

    @classmethod
    def _whole(cls, name: Any, value: Any) -> Any:
        kind = cls.model_fields[name].annotation if name in cls.model_fields else None
        is_whole = isinstance(value, float) and value.is_integer() and int in (kind, *get_args(kind))
        return int(value) if is_whole else value


class OverHttp(Shape):
    """Workers come over HTTP and fetch its trials."""

    kind: Literal["http"] = "http"


class _Here(Shape):
    """The service measures it by itself, in processes beside it."""

    num_workers: int = Field(default=1, ge=1, le=64, description="trials at once")
    trial_timeout_s: float = Field(default=600.0, ge=1, le=86_400)
    memory_mb: int = Field(
        default=2_048, ge=64, le=1 << 20, description="of a trial, beyond what its process begins with"
    )


class ModelsOnTable(_Here):
    """Models of scikit-learn, trained on a table."""

    kind: Literal["sklearn"]
    dataset: str = Field(max_length=100, examples=["bundled:iris"])
    target: str = Field(max_length=200, examples=["target"])
    task: Literal["classification", "regression"] = "classification"
    folds: int = 5
    left_out: list[str] = Field(default_factory=list, max_length=2_000)
    estimators: dict[str, dict[str, dict[str, Any]] | None] = Field(
        min_length=1,
        max_length=32,
        description="the hyperparameters of each model that are tuned, each with what is changed; null: as proposed",
        examples=[{"random_forest": {"n_estimators": {"low": 50, "high": 200}}, "svm": None}],
    )


class InstalledObjective(_Here):
    """An objective that is installed beside the service."""

    kind: Literal["entry_point"]
    name: str = Field(max_length=200)


class NewStudy(Shape):
    """A study to be made."""

    name: str = Field(min_length=1, max_length=200, examples=["tune-lr"])
    objective: OverHttp | ModelsOnTable | InstalledObjective = Field(default_factory=OverHttp, discriminator="kind")
    space: dict[str, Any] | None = Field(
        default=None,
        description="Parameters by name; see docs/service.md. Models and installed objectives bring their own",
        examples=[{"lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}}],
    )
    metric: str | list[str] = "loss"
    mode: str | list[str] = "min"
    sampler: str | dict[str, Any] = "auto"
    scheduler: str | dict[str, Any] | None = None
    limits: Limits = Field(default_factory=lambda: Limits())
    seed: Count = Field(default=None, ge=0)
    max_retries: int = Field(default=2, ge=0, le=100)
    valid_range: Interval | dict[str, Interval] | None = Field(
        default=None,
        description="Lowest and highest valid value; one outside fails its trial. With several metrics, by metric. "
        'An end that is open is {"$float": "-inf"} or "inf"',
        examples=[[0, 1]],
    )
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


class Measured(Shape):
    """A trial that was measured elsewhere."""

    config: dict[str, Any]
    status: Literal["completed", "failed", "pruned"] = "completed"
    metrics: Metrics = Field(default_factory=dict)
    error: str | None = Field(default=None, max_length=MAX_OUTPUT)
    duration_s: float | None = Field(default=None, ge=0, le=1e9)


class Observations(Shape):
    """Trials that were measured elsewhere. They become trials of the study, all of them or none."""

    observations: list[Measured] = Field(min_length=1, max_length=2_500)
    source: str = Field(default="elsewhere", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="stands as their worker")


class Outcome(Shape):
    """How an attempt at a trial has ended."""

    attempt: int = Field(ge=1)
    status: Literal["completed", "failed", "pruned"] = "completed"
    metrics: Metrics = Field(default_factory=dict)
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
    """A heartbeat."""

    ttl_s: float | None = Field(default=None, ge=1, le=3_600)


class StepReport(Shape):
    """Metrics at a step."""

    step: int = Field(ge=0, le=2**53)
    metrics: Metrics


class ReportsOfAttempt(Shape):
    """Reports of a running trial, in the order of their steps.

    ``checkpoint`` says where the worker keeps what it needs to continue after the last of these steps.
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


class WindowNumber(Shape):
    """The candidate that a person lets proceed."""

    number: int = Field(ge=0, le=10**15)


class Why(Shape):
    """Why something is done to a running system; it stands in the journal."""

    reason: str = Field(default="", max_length=1_000)


class Baseline(Why):
    """What a running system falls back to from now on."""

    config: dict[str, Any]


class RangeCounts(Shape):
    """How many values of a metric lay below each bound, and in the end above all of them."""

    bounds: list[float] = Field(min_length=1, max_length=1_000)
    counts: list[float] = Field(min_length=2, max_length=1_001)


class SystemWindow(Shape):
    """What a running system measured from one time to another, in epoch seconds."""

    start: float = Field(ge=0, le=1e11)
    end: float = Field(ge=0, le=1e11)
    metrics: Measurements = Field(default_factory=dict, max_length=MAX_METRICS)
    context: Measurements = Field(default_factory=dict, max_length=MAX_METRICS)
    histograms: dict[str, RangeCounts] = Field(default_factory=dict, max_length=MAX_METRICS)
    count: float = Field(default=1.0, gt=0, le=1e15, description="requests, by which means are weighted")


class SystemMeasurements(Shape):
    """What a group of a running system runs, and what it measured."""

    group: Literal["control", "canary"]
    running: dict[str, Any] | None = Field(default=None, description="its configuration, as it says itself")
    source: str = Field(
        default="",
        max_length=200,
        description="the machine that measured: windows with the same start are added up if it differs, else replaced",
    )
    windows: list[SystemWindow] = Field(default_factory=list, max_length=1_000)


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


class Repeats(Shape):
    """How many of the best configurations are run again, and how often."""

    top: int = Field(default=5, ge=1, le=20)
    repeats: int = Field(default=10, ge=2, le=100, description="of each")


class MetricQuery(Shape):
    metric: str | None = Field(default=None, max_length=200)


class CompareQuery(Shape):
    study: list[str] = Field(min_length=1, max_length=20)


class CodeQuery(Shape):
    language: Literal["json", "python", "yaml", "command", "sklearn"] = "json"
    trial: int | None = Field(default=None, ge=0, description="that has completed; the best by default")


class SystemConfigQuery(Shape):
    group: Literal["control", "canary"]
    wait_s: float = Field(default=0.0, ge=0, le=30, description="how long to wait for another configuration")


class TimelineQuery(Shape):
    begin: float = Field(default=0.0, ge=0, le=1e11, alias="from", description="epoch seconds")
    end: float = Field(default=1e11, ge=0, le=1e11, alias="to", description="epoch seconds")
    limit: int = Field(default=1_000, ge=1, le=10_000, description="the newest windows that are answered")


class DiffQuery(Shape):
    one: int = Field(ge=0, le=10**15)
    other: int = Field(ge=0, le=10**15)


class EventsQuery(Shape):
    facts: bool = False


class NoQuery(Shape):
    pass


NewStudy.model_rebuild()


def checked(shape: type[Shape], data: Any, *, is_query: bool = False) -> Any:
    """Validate data against a shape. Queries have numbers as text, bodies must have them as numbers.

    Raises:
        Problem: with the JSON pointer to each error.
    """
    try:
        return shape.model_validate(data, strict=not is_query)
    except ValidationError as error:
        found = [(_pointer(each, data), in_words(each)) for each in error.errors(include_url=False)]
        where, message = found[0]
        what = f"the query's {where.lstrip('/')}" if is_query else where or "the body"
        raise Problem("bad-request" if is_query else "invalid", f"{what} {message}", errors=found) from None


def _pointer(error: ErrorDetails, data: Any) -> str:
    """The JSON pointer to an error, without the names of union members that pydantic puts in its path."""
    path = error["loc"] + ((error["ctx"]["name"],) if error["type"] == _UNKNOWN else ())
    kept, here = [], data
    for place, key in enumerate(path):
        is_absent = error["type"] == "missing" and place == len(path) - 1
        is_field = isinstance(here, dict) and (key in here or is_absent)
        if is_field or (isinstance(here, list) and isinstance(key, int)):
            kept.append(key)
            try:
                here = here[key]
            except (KeyError, IndexError):
                here = None
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in kept)


def check_metrics(metrics: dict[str, Any]) -> None:
    """Refuse an absurd number of metrics, or absurdly long names.

    Raises:
        Problem: there are too many metrics, or names are too long.
    """
    if len(metrics) > MAX_METRICS:
        raise Problem("invalid", f"a result has at most {MAX_METRICS} metrics, got {len(metrics)}; leave some out")
    for name in metrics:
        if not 1 <= len(name) <= MAX_METRIC_NAME:
            raise Problem("invalid", f"a metric's name has 1 to {MAX_METRIC_NAME} characters, got {len(name)}")
