"""The page: one file, whole at any moment, safe, and read again only while its study runs."""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import replace

import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import HpoError
from raytune_hpo.plots import page as module
from raytune_hpo.plots.document import _is_wide, figure_section
from raytune_hpo.plots.sections import Section
from raytune_hpo.results import Results
from tests.faces.studies import NASTY, done, results_of
from tests.plots.test_figures import STUDIES, branched

pytest.importorskip("plotly")

TWO = results_of(
    *[done({"loss": 1.0 + i % 7, "size": 1.0 / (1 + i)}, {"x": i / 20, "n": i % 10}) for i in range(20)],
    metric=["loss", "size"],
)


def written(results, path, **more):
    results.plot.page(path, **more)
    return path.read_text()


def headings(text):
    return [title for title in re.findall(r"<h2>([^<]*)</h2>", text) if not title.startswith("Best conf")]


@pytest.mark.parametrize("kind", ["empty", "only failures", "only running", "constants", "one trial"])
def test_a_page_of_little_says_little(kind, tmp_path):
    text = written(STUDIES[kind], tmp_path / "page.html")
    assert text.endswith("</html>")
    assert not {"Importances", "Contours", "Pareto front"} & set(headings(text))


def test_a_page_has_the_figures_that_say_something(tmp_path):
    found = headings(written(branched(60), tmp_path / "page.html"))
    assert found[:4] == ["History", "Best so far", "Learning curves", "Importances"]
    assert found[4:] == [
        *["Parallel coordinates", "Slices", "Contours", "Ranks", "Distribution", "Timeline", "Durations", "Trials"]
    ]


def test_with_several_metrics_the_reader_chooses_among_them(tmp_path):
    text = written(TWO, tmp_path / "page.html")
    assert re.findall(r'data-for="(\d)">([^<]*)<', text) == [("0", "loss"), ("1", "size")]
    assert text.count('data-metric="0"') == text.count('data-metric="1"') > 3
    assert "Pareto front" in headings(text)
    assert "data-for" not in written(STUDIES["everything"], tmp_path / "one.html").partition("<script")[0]


@pytest.mark.parametrize("num", [2, 3, 4])
def test_the_table_of_a_front_has_a_cell_for_each_column(num, tmp_path):
    metrics = ["loss", "size", "time", "cost"][:num]
    trials = [done({m: float((i + 5 * k) % 20 + k) for k, m in enumerate(metrics)}, {"x": i / 20}) for i in range(20)]
    text = written(results_of(*trials, metric=metrics, space={"x": hpo.uniform(0, 1)}), tmp_path / "page.html")
    table = text.partition("<h2>The best trials</h2>")[2].partition("</table>")[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr.*?</tr>", table)]
    price = ["size for a unit of loss"] if num == 2 else []
    assert [re.sub("<.*?>", "", cell) for cell in rows[0]] == ["trial", *metrics, *price, "role", "x", "duration"]
    assert len(rows) > 2 and {len(row) for row in rows} == {len(rows[0])}
    assert not [cell for row in rows for cell in row if "[" in cell]


def test_the_page_is_one_file_and_runs_nothing_of_the_users(tmp_path):
    text = written(STUDIES["nasty"], tmp_path / "page.html")
    assert NASTY not in text
    assert "<script>alert" not in text
    assert len(re.findall(r'id="plotly"', text)) == 1
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", text)
    for data in re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL):
        assert json.loads(data)["data"]
        assert "<" not in data


def test_the_page_of_a_large_study_says_what_it_leaves_out(tmp_path):
    space = {f"p{i}": hpo.randint(0, 50) for i in range(40)}
    one = results_of(done(0.5, {f"p{i}": i for i in range(40)}), space=space)
    text = written(Results(one.spec, [one[0]] * 3000), tmp_path / "page.html")
    assert "the best 500 of 3,000 trials, the first 12 of 40 parameters" in text
    assert len(re.findall("<tr[ >]", text)) == 501


def test_only_a_page_of_a_running_study_reads_itself_again(tmp_path):
    assert "const refreshSeconds = 2.5;" in written(STUDIES["one trial"], tmp_path / "page.html", refresh_s=2.5)
    assert "const refreshSeconds = null;" in written(STUDIES["one trial"], tmp_path / "page.html")


def test_a_page_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    old = written(STUDIES["empty"], path)

    def full(self, target):
        raise OSError("no space left on device")

    monkeypatch.setattr(module.Path, "replace", full)
    with pytest.raises(HpoError, match="no space left.*name a place"):
        STUDIES["one trial"].plot.page(path)
    assert path.read_text() == old
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_a_page_can_be_read_by_whom_other_new_files_can(tmp_path):
    (tmp_path / "other").touch()
    written(STUDIES["empty"], tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.slow
def test_the_page_of_100_000_trials_is_written_in_seconds_and_is_not_too_large(tmp_path):
    thousand = branched(1000)
    large = Results(thousand.spec, [replace(trial, number=i) for i, trial in enumerate(thousand.trials * 100)])
    since = time.process_time()
    large.plot.page(tmp_path / "page.html")
    assert time.process_time() - since < 60
    assert (tmp_path / "page.html").stat().st_size < 15_000_000


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser")
def test_a_browser_without_a_network_draws_the_page_and_keeps_the_readers_place(tmp_path):
    """All figures of the chosen metric are drawn, none of the other; after it was read again, all is as it was."""
    playwright = pytest.importorskip("playwright.sync_api")
    written(TWO, tmp_path / "page.html", refresh_s=4)
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--enable-unsafe-swiftshader"]
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch_persistent_context(
            tmp_path / "profile", executable_path=CHROMIUM, args=flags, offline=True
        )
        tab, errors = browser.new_page(), []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(f"file://{tmp_path}/page.html", timeout=120_000)
        tab.get_by_role("button", name="size", exact=True).first.click()
        place = tab.evaluate("scrollTo(0, 900); window.before = true; scrollY")
        assert tab.locator("button[aria-pressed=true]").inner_text() == "size"
        assert tab.locator("section[data-metric='0']:visible").count() == 0
        tab.wait_for_function("window.before === undefined", timeout=120_000)  # it was read again
        tab.wait_for_selector("section .js-plotly-plot svg", timeout=120_000)
        assert tab.locator("button[aria-pressed=true]").inner_text() == "size"
        assert tab.evaluate("scrollY") == place == 900
        assert errors == []
        browser.close()


def test_a_page_is_small_and_has_no_figure_that_says_nothing(tmp_path):
    text = written(STUDIES["one trial"], tmp_path / "page.html")
    assert len(text) < 2_500_000
    assert headings(text) == ["Trials"]
    assert headings(written(results_of(done(0.5, steps=3)), tmp_path / "curve.html")) == ["Learning curves", "Trials"]


def test_titles_are_text_that_wraps_and_the_figure_is_not_changed(tmp_path):
    results = STUDIES["branches"]
    text = written(results, tmp_path / "page.html")
    assert '<p class="caption">loss against each parameter' in text
    figure = results.plot.slice()
    before = figure.to_json()
    assert '<p class="caption">' in figure_section(Section(title="Slices", says="", figure=figure))
    assert figure.to_json() == before


def test_durations_are_sorted_by_their_seconds(tmp_path):
    text = written(results_of(done(0.5, duration_s=120.0), done(0.4, duration_s=0.05)), tmp_path / "page.html")
    assert 'data-value="120.0">2m<' in text and 'data-value="0.05">50 ms<' in text
    assert 'id="trial-1"' in text


def test_a_page_without_a_feasible_trial_says_why_there_is_no_result(tmp_path):
    study = hpo.Study({"x": hpo.uniform(0, 1)}, sampler="random", storage="memory", outcome_constraints=["mb <= 1"])
    for i in range(4):
        study.tell(study.ask(), {"loss": float(i), "mb": 2.0})
    study.results().plot.page(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    said = "0 of 4 completed trials are feasible; broken: mb &lt;= 1 by 4"
    assert f"<h2>No result yet</h2><p>{said}</p>" in text and "no trial has completed" not in text


def test_a_page_shows_letters_of_any_script_and_numbers_that_differ(tmp_path):
    found = [done({"loss": 1e14 + i}, {"größe": "名前"}) for i in range(4)]
    results_of(*found, space={"größe": hpo.choice(["名前", "b"])}).plot.page(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "&quot;größe&quot;: &quot;名前&quot;" in text
    assert '<td class="number">100000000000003</td>' in text


def test_figures_with_long_labels_are_not_squeezed_on_a_telephone():
    bars = {"yaxis": {"ticktext": ("a_name_of_a_parameter_that_is_long",)}}
    assert _is_wide({"data": [], "layout": bars})
    assert not _is_wide({"data": [], "layout": {"yaxis": {"ticktext": ("lr", "depth")}}})
