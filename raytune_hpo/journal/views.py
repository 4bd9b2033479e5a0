"""The views for people who use plain SQL: studies, trials, reports and checkpoints. Described in docs/storage.md.

They agree with ``trial.evolve`` on every trial. The SQL is the same for all databases except how a text, a number, a whole
number and an object are extracted from a fact's body, and how a view is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import blake2b

from raytune_hpo.facts import Status

VIEW_NAMES = ("studies", "trials", "reports", "checkpoints")


@dataclass(frozen=True, kw_only=True)
class _Dialect:
    """The SQL dialect of one kind of database; a key with a dot leads into an object.

    Attributes:
        drops: whether CREATE needs its place to be empty. Where it does not, it keeps what others have built on a view, and
            may add columns at its end.
        noted: the query whose text has the digest that ``statements`` has left in the database.
        note: the statement that leaves it; empty where the text of a view is kept, with its comments.
    """

    text: Callable[[str, str], str]
    number: Callable[[str, str], str]
    whole: Callable[[str, str], str]  # beyond 64 bits: the largest number that there is
    object: Callable[[str, str], str]
    feasible: str  # whether the metrics of the fact ``latest`` keep all outcome constraints
    by_number: str = ""  # after a table: look its rows up by study and number
    setup: tuple[str, ...] = ()
    drops: bool = True
    create: str = "CREATE VIEW"
    noted: str
    note: str = ""


def _sqlite_value(table: str, key: str) -> str:
    return f"json_extract({table}.body, '$.{key}')"


def _sqlite_number(table: str, key: str) -> str:
    # What is not a number, such as {"$float": "inf"}, would count as 0 in a sum.
    value = _sqlite_value(table, key)
    return f"(CASE WHEN typeof({value}) IN ('integer', 'real') THEN {value} END)"


def _sqlite_whole(table: str, key: str) -> str:
    return f"CAST({_sqlite_number(table, key)} AS integer)"


def _sqlite_text(table: str, key: str) -> str:
    # SQLite would end a text at its first NUL, and hand out half a surrogate pair as broken UTF-8. Python makes such
    # halves of the bytes in undecodable file names: they are shown as Latin-1.
    body = f"replace({table}.body, '\\u0000', '\\ufffd')"
    body = f"CASE WHEN {table}.body GLOB '*\\ud[89ab]*' THEN {body} ELSE replace({body}, '\\udc', '\\u00') END"
    return f"json_extract({body}, '$.{key}')"


# A constraint whose metric is missing or no number counts as broken. A study's first fact holds its constraints.
_SQLITE_FEASIBLE = """NOT EXISTS (
    SELECT 1 FROM raytune_facts first, json_each(first.body, '$.spec.constraints') bound
    WHERE first.study_id = created.study_id AND first.seq = 0 AND NOT EXISTS (
      SELECT 1 FROM json_each(latest.body, '$.metrics') metric
      WHERE metric.key = json_extract(bound.value, '$.metric') AND metric.type IN ('integer', 'real')
        AND CASE json_extract(bound.value, '$.mode')
          WHEN 'max' THEN metric.value >= json_extract(bound.value, '$.threshold')
          ELSE metric.value <= json_extract(bound.value, '$.threshold') END
    )
  )"""

_POSTGRES_FEASIBLE = """NOT EXISTS (
    SELECT 1 FROM raytune_facts first,
      LATERAL json_array_elements(raytune_json(first.body) #> '{spec,constraints}') bound,
      LATERAL (SELECT raytune_json(latest.body) -> 'metrics' -> (bound ->> 'metric') AS value) metric
    WHERE first.study_id = created.study_id AND first.seq = 0 AND CASE
      WHEN json_typeof(metric.value) IS DISTINCT FROM 'number' THEN TRUE
      WHEN bound ->> 'mode' = 'max'
        THEN metric.value::text::double precision < (bound ->> 'threshold')::double precision
      ELSE metric.value::text::double precision > (bound ->> 'threshold')::double precision END
  )"""


# JSON may hold what PostgreSQL's text cannot: the character NUL, and halves of surrogate pairs. They become U+FFFD, or
# one such fact would make every query on a view fail.
_POSTGRES_JSON = r"""
CREATE OR REPLACE FUNCTION raytune_json(body text) RETURNS json LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT CASE WHEN body !~ '\\u0000|\\ud[89a-f]' THEN body
  ELSE regexp_replace(body, '\\u0000|\\ud[89ab]..(?!\\ud[c-f])|(?<!\\ud[89ab]..)\\ud[c-f]..', '\\ufffd', 'g')
END::json
$$"""

_LARGEST = 2**63 - 1


def _postgres_object(table: str, key: str) -> str:
    return f"(raytune_json({table}.body) #> '{{{key.replace('.', ',')}}}')"


def _postgres_text(table: str, key: str) -> str:
    return f"({_postgres_object(table, key)} #>> '{{}}')"


def _postgres_digits(table: str, key: str) -> str:
    # What is not a number, such as {"$float": "inf"}, would make the whole query fail.
    value = _postgres_object(table, key)
    return f"(CASE json_typeof({value}) WHEN 'number' THEN ({value}) #>> '{{}}' END)"


def _postgres_number(table: str, key: str) -> str:
    return f"{_postgres_digits(table, key)}::double precision"


def _postgres_whole(table: str, key: str) -> str:
    value = f"{_postgres_digits(table, key)}::numeric"
    # least and greatest pass over NULL, which has to stay one.
    return f"(CASE WHEN {value} IS NOT NULL THEN greatest(least({value}, {_LARGEST}), -{_LARGEST}) END)::bigint"


_DIALECTS = {
    "sqlite": _Dialect(
        text=_sqlite_text,
        number=_sqlite_number,
        whole=_sqlite_whole,
        object=_sqlite_value,
        feasible=_SQLITE_FEASIBLE,
        by_number=" INDEXED BY raytune_facts_by_number",  # without statistics, SQLite would rather read a whole study
        noted="SELECT sql FROM sqlite_master WHERE type = 'view' AND name = 'trials'",
    ),
    "postgresql": _Dialect(
        text=_postgres_text,
        number=_postgres_number,
        whole=_postgres_whole,
        object=_postgres_object,
        feasible=_POSTGRES_FEASIBLE,
        setup=(_POSTGRES_JSON,),
        drops=False,
        create="CREATE OR REPLACE VIEW",
        noted="SELECT obj_description(to_regclass('trials'), 'pg_class')",
        note="COMMENT ON VIEW trials IS 'of raytune_hpo, {digest}'",
    ),
}


def statements(dialect: str, taken: Collection[str] = (), *, anew: bool = False) -> list[str]:
    """The statements that create the views, in order, or put them in the place of those of an earlier version.

    Args:
        taken: names that something else in the database has; views of these names are left out.
        anew: whether the views of an earlier version are dropped first where they could be replaced.
    """
    db, queries, digest = _DIALECTS[dialect], _queries(dialect), digest_of(dialect)
    names = [name for name in queries if name not in taken]
    dropped = [f"DROP VIEW IF EXISTS {name}" for name in reversed(names)] if anew or db.drops else []
    created = [f"{db.create} {name} AS /* {digest} */ {queries[name]}" for name in names]
    noted = [db.note.format(digest=digest)] if db.note and "trials" in names else []
    return [*db.setup, *dropped, *created, *noted]


def digest_of(dialect: str) -> str:
    """The digest of the views' definition, by which a database shows whether it has this one."""
    text = "\n".join([*_DIALECTS[dialect].setup, *_queries(dialect).values()])
    return blake2b(text.encode(), digest_size=8).hexdigest()


def noted(dialect: str) -> str:
    """The query for the text in which the database keeps the digest of its views; it has no row, or NULL, if it has none."""
    return _DIALECTS[dialect].noted


def _queries(dialect: str) -> dict[str, str]:
    """The views' queries by their names, each after those that it reads."""
    db = _DIALECTS[dialect]
    return {"trials": _trials(db), "reports": _reports(db), "checkpoints": _checkpoints(db), "studies": _studies(db)}


def _trials(db: _Dialect) -> str:
    """A trial is its first Started, its latest one, what followed that, and the last report since or still held then.

    Each is looked up by the trial's number, in the index on it: one trial of many is found without a look at the others.

    New columns come last: those of an earlier version keep their places.
    """
    return f"""
SELECT
  s.name AS study,
  created.number,
  CASE latest.kind WHEN 'Started' THEN 'running' WHEN 'Requeued' THEN 'waiting' WHEN 'Paused' THEN 'paused'
    ELSE {db.text("latest", "status")} END AS status,
  coalesce({db.whole("begun", "attempt")}, 1) AS attempt,
  {db.object("created", "config")} AS config,
  coalesce({db.object("latest", "metrics")}, {db.object("report", "metrics")}, '{{}}') AS metrics,
  CASE WHEN latest.kind <> 'Requeued' AND NOT EXISTS (
    SELECT 1 FROM raytune_facts f{db.by_number}
    WHERE f.study_id = created.study_id AND f.number = created.number AND f.kind = 'Paused' AND f.seq > begun.seq
  ) THEN {db.text("begun", "worker")} END
    AS worker,
  {db.number("created", "at")} AS created_at,
  coalesce({db.number("latest", "started_at")}, {db.number("begun", "at")}) AS started_at,
  CASE WHEN latest.kind = 'Finished' THEN {db.number("latest", "at")} END AS finished_at,
  (
    SELECT sum({db.number("f", "duration_s")}) FROM raytune_facts f{db.by_number}
    WHERE f.study_id = created.study_id AND f.number = created.number AND f.kind IN ('Paused', 'Finished')
  ) AS duration_s,
  {db.text("latest", "error")} AS error,
  CASE WHEN latest.kind = 'Finished' THEN {db.text("latest", "reason")} END AS reason,
  {db.whole("report", "step")} AS step,
  {db.whole("created", "parent")} AS parent,
  {db.whole("begun", "until")} AS until,
  {db.whole("begun", "from_trial")} AS from_trial,
  {db.whole("begun", "from_step")} AS from_step,
  CASE WHEN latest.kind = 'Finished' AND {db.text("latest", "status")} = 'completed' THEN {db.feasible} END AS feasible
FROM raytune_studies s
JOIN raytune_facts created{db.by_number} ON created.study_id = s.id AND created.seq = (
  SELECT min(f.seq) FROM raytune_facts f{db.by_number}
  WHERE f.study_id = created.study_id AND f.number = created.number AND f.kind = 'Started'
)
JOIN raytune_facts begun ON begun.study_id = created.study_id AND begun.seq = (
  SELECT max(f.seq) FROM raytune_facts f{db.by_number}
  WHERE f.study_id = created.study_id AND f.number = created.number AND f.kind = 'Started'
)
JOIN raytune_facts latest ON latest.study_id = created.study_id AND latest.seq = (
  SELECT max(f.seq) FROM raytune_facts f{db.by_number}
  WHERE f.study_id = created.study_id AND f.number = created.number
    AND f.kind IN ('Started', 'Requeued', 'Paused', 'Finished')
)
LEFT JOIN raytune_facts report ON report.study_id = created.study_id AND report.seq = coalesce(
  (
    SELECT max(f.seq) FROM raytune_facts f{db.by_number}
    WHERE f.study_id = created.study_id AND f.number = created.number AND f.kind = 'Reported' AND f.seq > begun.seq
  ),
  CASE WHEN {db.whole("begun", "from_step")} IS NOT NULL THEN (
    SELECT max(f.seq) FROM raytune_facts f{db.by_number}
    WHERE f.study_id = created.study_id AND f.number = created.number AND f.kind = 'Reported' AND NOT EXISTS (
      SELECT 1 FROM raytune_facts later{db.by_number}
      WHERE later.study_id = f.study_id AND later.number = f.number AND later.kind = 'Started' AND later.seq > f.seq
        AND coalesce({db.whole("later", "from_step")} < {db.whole("f", "step")}, TRUE)
    )
  ) END
)
WHERE created.kind = 'Started' AND created.number IS NOT NULL"""


def _reports(db: _Dialect) -> str:
    return f"""
SELECT
  s.name AS study,
  f.number,
  {db.whole("f", "attempt")} AS attempt,
  {db.whole("f", "step")} AS step,
  {db.object("f", "metrics")} AS metrics,
  {db.text("f", "verdict")} AS verdict,
  {db.number("f", "at")} AS at
FROM raytune_facts f JOIN raytune_studies s ON s.id = f.study_id
WHERE f.kind = 'Reported'"""


def _checkpoints(db: _Dialect) -> str:
    """The checkpoints that are kept: those that no later fact released or replaced."""
    return f"""
SELECT
  s.name AS study,
  f.number,
  {db.whole("f", "attempt")} AS attempt,
  {db.whole("f", "step")} AS step,
  {db.whole("f", "checkpoint.bytes")} AS bytes,
  {db.text("f", "checkpoint.url")} AS url,
  {db.text("f", "checkpoint.node")} AS node,
  {db.number("f", "at")} AS at
FROM raytune_facts f JOIN raytune_studies s ON s.id = f.study_id
WHERE f.kind = 'Saved' AND NOT EXISTS (
  SELECT 1 FROM raytune_facts later
  WHERE later.study_id = f.study_id AND later.number = f.number AND later.seq > f.seq
    AND later.kind IN ('Saved', 'Released') AND {db.whole("later", "step")} = {db.whole("f", "step")}
)"""


_COUNTED_LAST = (Status.PAUSED,)  # what an earlier version did not count comes after what it did


def _studies(db: _Dialect) -> str:
    ordered = [*(status for status in Status if status not in _COUNTED_LAST), *_COUNTED_LAST]
    counts = "".join(f",\n  coalesce(t.{status}, 0) AS {status}" for status in ordered)
    sums = "".join(f",\n    sum(CASE status WHEN '{status}' THEN 1 ELSE 0 END) AS {status}" for status in ordered)
    return f"""
SELECT
  s.name,
  s.created_at,
  {db.number("latest", "at")} AS last_fact_at,
  coalesce(t.num_trials, 0) AS num_trials{counts}
FROM raytune_studies s
LEFT JOIN raytune_facts latest
  ON latest.study_id = s.id AND latest.seq = (SELECT max(seq) FROM raytune_facts f WHERE f.study_id = s.id)
LEFT JOIN (
  SELECT study, count(*) AS num_trials{sums}
  FROM trials GROUP BY study
) t ON t.study = s.name"""
