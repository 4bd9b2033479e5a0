"""Parameters and inputs as they are typed, and domains of counts."""

from __future__ import annotations

import os
import pickle

import pytest

import raytune_hpo as hpo
from raytune_hpo.commands.inputs import Input, read_inputs
from raytune_hpo.commands.parameters import as_point, parsed_domain, parsed_space
from raytune_hpo.errors import SpaceError, SpecError


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("float(1e-3, 1)", hpo.Float(1e-3, 1)),
        ("float(1e-3, 1, log)", hpo.Float(1e-3, 1, log=True)),
        ("float(0, 1, step=0.25)", hpo.Float(0, 1, step=0.25)),
        ("int(1, 256, log)", hpo.Int(1, 256, log=True)),
        ("int(0, 8, 2)", hpo.Int(0, 8, step=2)),
        ("choice(x264, vp9, 'a, b', 3, True)", hpo.Choice(["x264", "vp9", "a, b", 3, True])),
        ("ordinal(low, mid, high)", hpo.Ordinal(["low", "mid", "high"])),
        ("bool", hpo.Choice([False, True])),
        ("fibonacci(1, 64)", hpo.Ordinal([1, 2, 3, 5, 8, 13, 21, 34, 55])),
        ("powers(2, 1, 1024)", hpo.Ordinal([2**i for i in range(11)])),
        ("[1, 2, 4]", hpo.Ordinal([1, 2, 4])),
        ("cores(4)", hpo.Ordinal([1, 2, 4, 7, 8, 9])),
    ],
)
def test_domains_as_they_are_typed(text, domain):
    assert parsed_domain(text) == domain


def test_counts_lie_within_their_bounds():
    assert hpo.fibonacci(4, 20).options == (5, 8, 13)
    assert hpo.powers(10, 5, 1000).options == (10, 100, 1000)
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert own in hpo.cores().options and 2 * own + 1 in hpo.cores().options
    for make in (
        lambda: hpo.fibonacci(6, 7),
        lambda: hpo.powers(2, 5, 7),
        lambda: hpo.powers(1, 1, 8),
        lambda: hpo.cores(0),
    ):
        with pytest.raises(SpaceError):
            make()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("flot(0, 1)", "did you mean 'float'"),
        ("float(0)", "cannot be made"),
        ("float(1, 0)", "cannot be made"),
        ("int(0, 1, lin, 3)", "come log and a step"),
        ("choice(a, 'b)", "are closed"),
        ("[1, 2", "ends with ]"),
        ("3", "a domain is one of"),
        ("choice({1, 2)", "closed"),
    ],
)
def test_what_is_no_domain_is_refused(text, rule):
    with pytest.raises(SpecError, match=rule):
        parsed_domain(text)


@pytest.mark.parametrize("text", ["jobs", "=int(1, 2)", "a b=int(1, 2)"])
def test_what_is_no_parameter_is_refused(text):
    with pytest.raises(SpecError, match="NAME=DOMAIN"):
        parsed_space([text])


def test_parameters_may_depend_on_a_choice():
    typed = ["codec=choice(x264, vp9, copy)", "crf=int(0, 51)", "fast=bool"]
    given = parsed_space(typed, ["crf: codec=x264, vp9", "fast: codec=x264"])
    space = hpo.Space(given)
    assert space.complete({"codec": {"codec": "x264", "crf": 3, "fast": True}})
    assert space.complete(as_point(given, {"codec": "vp9", "crf": 3})) == {"codec": {"codec": "vp9", "crf": 3}}
    assert space.complete(as_point(given, {"codec": "copy"})) == {"codec": {"codec": "copy"}}


@pytest.mark.parametrize("when", ["crf", "crf: codec=av1", "none: codec=x264", "crf: fast=True", "crf: crf=3"])
def test_conditions_that_cannot_hold_are_refused(when):
    with pytest.raises(SpecError):
        parsed_space(["codec=choice(x264, vp9)", "crf=int(0, 51)", "fast=int(0, 1)"], [when])


def test_inputs_are_files_lists_or_seeds(tmp_path):
    for name, size in (("a.txt", 10), ("b.txt", 2000)):
        (tmp_path / name).write_text("x" * size)
    found = read_inputs(["*.txt"], tmp_path)
    assert [(str(one), one.path, one.size) for one in found] == [("a.txt", "a.txt", 10), ("b.txt", "b.txt", 2000)]
    (tmp_path / "list").write_text('a.txt\n{"name": "big", "path": "b.txt", "size": 7}\n\nhttp://x\n')
    assert [(str(one), one.path, one.size) for one in read_inputs(["@list"], tmp_path)] == [
        ("a.txt", "a.txt", 10), ("big", "b.txt", 7), ("http://x", "http://x", None),
    ]  # fmt: skip
    assert read_inputs(["10"], tmp_path) == 10
    sent = pickle.loads(pickle.dumps(Input("n", "p", 3)))
    assert (sent, sent.path, sent.size) == ("n", "p", 3)


@pytest.mark.parametrize("texts", [["none*"], ["@none"], ["@bad"]])
def test_inputs_that_are_not_there_are_refused(texts, tmp_path):
    (tmp_path / "bad").write_text("{not json}\n")
    with pytest.raises(SpecError):
        read_inputs(texts, tmp_path)


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        ('{"size": 3}', "has a name, a path, or both"),
        ('{"name": "a", "size": NaN}', "a size of at least 0"),
        ('{"name": "a", "weight": 1e999}', "both finite"),
        ('{"path": "a", "nmae": "b"}', "has 'nmae', which an instance does not have; did you mean 'name'"),
    ],
)
def test_an_entry_of_a_list_that_breaks_a_rule_is_refused(entry, rule, tmp_path):
    (tmp_path / "list").write_text(f"a.txt\n{entry}\n")
    with pytest.raises(SpecError, match=f"list:2 .*{rule}"):
        read_inputs(["@list"], tmp_path)
