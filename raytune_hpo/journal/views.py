"""The views for people who use plain SQL: studies, trials and reports. Described in docs/storage.md.

They say of every trial what ``trial.evolve`` says. The text is the same for all databases but for four words: how a
text, a number, a whole number and an object are taken out of a fact's body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from raytune_hpo.facts import Status

VIEW_NAMES = ("studies", "trials", "reports")


@dataclass(frozen=True, kw_only=True)
class _Dialect:
    text: Callable[[str, str], str]
    number: Callable[[str, str], str]
    whole: Callable[[str, str], str]  # beyond 64 bits: the largest number that there is
    object: Callable[[str, str], str]
    setup: tuple[str, ...] = ()


def _sqlite_value(table: str, key: str) -> str:
    return f"json_extract({table}.body, '$.{key}')"


def _sqlite_text(table: str, key: str) -> str:
    # SQLite would end a text at its first NUL, and hand out half a surrogate pair as broken UTF-8. Python makes such
    # halves of the bytes in undecodable file names: they are shown as Latin-1.
    body = f"replace({table}.body, '\\u0000', '\\ufffd')"
    body = f"CASE WHEN {table}.body GLOB '*\\ud[89ab]*' THEN {body} ELSE replace({body}, '\\udc', '\\u00') END"
    return f"json_extract({body}, '$.{key}')"


# JSON may hold what PostgreSQL's text cannot: the character NUL, and halves of surrogate pairs. They become U+FFFD, or
# one such fact would make every query on a view fail.
_POSTGRES_JSON = r"""
CREATE FUNCTION raytune_json(body text) RETURNS json LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT CASE WHEN body !~ '\\u0000|\\ud[89a-f]' THEN body
  ELSE regexp_replace(body, '\\u0000|\\ud[89ab]..(?!\\ud[c-f])|(?<!\\ud[89ab]..)\\ud[c-f]..', '\\ufffd', 'g')
END::json
$$"""

_LARGEST = 2**63 - 1


def _postgres_number(table: str, key: str) -> str:
    # What is no number, such as {"$float": "inf"}, would make the whole query fail.
    value = f"raytune_json({table}.body) -> '{key}'"
    return f"(CASE json_typeof({value}) WHEN 'number' THEN ({value}) #>> '{{}}' END)::double precision"


def _postgres_whole(table: str, key: str) -> str:
    value = f"(raytune_json({table}.body) ->> '{key}')::numeric"
    # least and greatest pass over NULL, which has to stay one.
    return f"(CASE WHEN {value} IS NOT NULL THEN greatest(least({value}, {_LARGEST}), -{_LARGEST}) END)::bigint"


_DIALECTS = {
    "sqlite": _Dialect(
        text=_sqlite_text,
        number=_sqlite_value,
        whole=lambda table, key: f"CAST({_sqlite_value(table, key)} AS integer)",
        object=_sqlite_value,
    ),
    "postgresql": _Dialect(
        text=lambda table, key: f"(raytune_json({table}.body) ->> '{key}')",
        number=_postgres_number,
        whole=_postgres_whole,
        object=lambda table, key: f"(raytune_json({table}.body) -> '{key}')",
        setup=(_POSTGRES_JSON,),
    ),
}


def statements(dialect: str) -> list[str]:
    """The statements that create the views, in order."""
    words = _DIALECTS[dialect]
    return [*words.setup, _trials(words), _reports(words), _studies(words)]


def _trials(db: _Dialect) -> str:
    """A trial is its first Started, its latest one, what followed that, and the last report since or still held then."""
    return f"""
CREATE VIEW trials AS
SELECT
  s.name AS study,
  t.number,
  CASE latest.kind WHEN 'Started' THEN 'running' WHEN 'Requeued' THEN 'waiting' ELSE {db.text("latest", "status")} END
    AS status,
  coalesce({db.whole("begun", "attempt")}, 1) AS attempt,
  {db.object("created", "config")} AS config,
  coalesce({db.object("latest", "metrics")}, {db.object("report", "metrics")}, '{{}}') AS metrics,
  CASE WHEN latest.kind <> 'Requeued' THEN {db.text("begun", "worker")} END AS worker,
  {db.number("created", "at")} AS created_at,
  coalesce({db.number("latest", "started_at")}, {db.number("begun", "at")}) AS started_at,
  CASE WHEN latest.kind = 'Finished' THEN {db.number("latest", "at")} END AS finished_at,
  {db.number("latest", "duration_s")} AS duration_s,
  {db.text("latest", "error")} AS error,
  CASE WHEN latest.kind = 'Finished' THEN {db.text("latest", "reason")} END AS reason
FROM (
  SELECT study_id, number,
    min(CASE WHEN kind = 'Started' THEN seq END) AS created_seq,
    max(CASE WHEN kind = 'Started' THEN seq END) AS begun_seq,
    max(CASE WHEN kind IN ('Started', 'Requeued', 'Finished') THEN seq END) AS latest_seq,
    max(CASE WHEN kind = 'Reported' THEN seq END) AS report_seq
  FROM raytune_facts WHERE number IS NOT NULL GROUP BY study_id, number
) t
JOIN raytune_studies s ON s.id = t.study_id
JOIN raytune_facts created ON created.study_id = t.study_id AND created.seq = t.created_seq
JOIN raytune_facts begun ON begun.study_id = t.study_id AND begun.seq = t.begun_seq
JOIN raytune_facts latest ON latest.study_id = t.study_id AND latest.seq = t.latest_seq
LEFT JOIN raytune_facts report ON report.study_id = t.study_id AND report.seq = CASE
  WHEN t.report_seq > t.begun_seq THEN t.report_seq
  WHEN {db.whole("begun", "from_step")} IS NOT NULL THEN (
    SELECT max(f.seq) FROM raytune_facts f
    WHERE f.study_id = t.study_id AND f.number = t.number AND f.kind = 'Reported' AND NOT EXISTS (
      SELECT 1 FROM raytune_facts later
      WHERE later.study_id = f.study_id AND later.number = f.number AND later.kind = 'Started' AND later.seq > f.seq
        AND coalesce({db.whole("later", "from_step")} < {db.whole("f", "step")}, TRUE)
    )
  ) END"""


def _reports(db: _Dialect) -> str:
    return f"""
CREATE VIEW reports AS
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


def _studies(db: _Dialect) -> str:
    counts = "".join(f",\n  coalesce(t.{status}, 0) AS {status}" for status in Status)
    sums = "".join(f",\n    sum(CASE status WHEN '{status}' THEN 1 ELSE 0 END) AS {status}" for status in Status)
    return f"""
CREATE VIEW studies AS
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
