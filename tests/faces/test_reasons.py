"""Why trials failed, in one line: the exception's own words, from new journals and from old ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

import raytune_hpo as hpo
from raytune_hpo.analysis.failures import reason_of_failure
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.snapshot import snapshot_of
from raytune_hpo.errors import HpoError
from raytune_hpo.progress.card import card
from raytune_hpo.progress.words import line_of
from tests.faces.studies import done, failed, results_of


def of_message(message):
    """Results of a study whose objective raises an exception with this message."""

    def objective(config):
        raise ValueError(message)

    return hpo.tune(
        objective, {"x": hpo.uniform(0, 1)}, num_trials=2, sampler="random", seed=0, name="s",
        runtime="local", storage="memory", progress=False,
    )  # fmt: skip


MESSAGES = [f"my data is missing\n{rest}" for rest in ("second line", "Hint: look at it", "  in column 3\nend")]


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("is_old", [False, True])
def test_a_message_of_several_lines_is_told_by_its_first(message, is_old):
    trial = of_message(message)[0]
    assert reason_of_failure(replace(trial, reason=None) if is_old else trial) == "ValueError: my data is missing"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("the trial ran longer than trial_timeout_s=3", "the trial ran longer than trial_timeout_s=3"),
        (
            "Traceback (most recent call last):\n  ...\ntorch.NoRoom: none\nTry less",
            "torch.NoRoom: none",
        ),
        ('Traceback (most recent call last):\n  File "a", line 1, in f\n    x\nKeyError\n', "KeyError"),
        ("", "no message"),
    ],
)
def test_errors_of_old_journals_have_reasons_too(error, reason):
    assert reason_of_failure(replace(results_of(failed())[0], error=error, reason=None)) == reason


def test_of_a_chain_the_last_exception_is_the_reason():
    first = 'Traceback (most recent call last):\n  File "a", line 1, in f\n    x\nKeyError: 1\n\n'
    second = (
        'During handling of the above ...:\n\nTraceback (most recent call last):\n  File "a", line 3, in f\n    y\n'
    )
    trial = replace(results_of(failed())[0], error=f"{first}{second}RuntimeError: no such row\nwas 1", reason=None)
    assert reason_of_failure(trial) == "RuntimeError: no such row"


def test_every_face_gives_the_reason(tmp_path):
    results = of_message(MESSAGES[0])
    with pytest.raises(HpoError, match="trial 0 failed with: ValueError: my data is missing$"):
        _ = results.best_trial
    assert "failed with: ValueError: my data is missing" in str(results)
    assert "second line" not in str(results) + results._repr_html_()
    plots = pytest.importorskip("plotly") and results.plot
    assert "ValueError: my data is missing" in plots.history().to_json()
    plots.page(tmp_path / "page.html")
    assert "ValueError: my data is missing" in (tmp_path / "page.html").read_text()


def test_the_first_failure_is_told_while_a_study_runs():
    ledger = Ledger(results_of().spec)
    ledger.first_failure = of_message(MESSAGES[0])[0]
    ledger.counts[ledger.first_failure.status] = 3
    seen = snapshot_of(ledger, 0.0)
    assert "3 failed, the first: ValueError: my data is missing" in line_of(seen, None)
    assert "the first failure:</span>" in card(seen, None) and "ValueError: my data is missing" in card(seen, None)
    assert "the first" not in line_of(snapshot_of(Ledger(results_of(done(0.5)).spec), 0.0), None)
