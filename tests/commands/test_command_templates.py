"""Templates: what a value holds reaches the program as one argument, byte for byte, or is refused."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytune_hpo.commands.template import Template
from raytune_hpo.errors import ObjectiveError, SpecError
from tests.commands.programs import SHOW_ARGUMENTS, python

NASTY = [
    "; rm -rf ~",
    "$(id)",
    "`id`",
    "a\nb",
    "-x",
    "",
    "a'b",
    'a"b',
    "\\",
    "{x}",
    "${HOME}",
    "*",
    "~",
    "é",
    "\x7f",
    "!!",
    "#",
    "a b",
]
TEXTS = st.one_of(
    st.sampled_from(NASTY), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
)


def arguments_of(words: list[str]) -> list[str]:
    """The arguments that reached a program which shows them."""
    done = subprocess.run(words, capture_output=True, check=True, timeout=20)
    return [bytes.fromhex(line).decode("utf-8", "surrogateescape") for line in done.stdout.decode().split("\n")]


@settings(max_examples=100)
@given(values=st.lists(TEXTS, min_size=1, max_size=3))
def test_values_reach_the_program_unchanged(values):
    names = [f"v{i}" for i in range(len(values))]
    template = Template([*python(SHOW_ARGUMENTS), *(f"--{name}={{{name}}}" for name in names)])
    found = arguments_of(template.filled(dict(zip(names, values, strict=True))))
    assert found == [f"--{name}={value}" for name, value in zip(names, values, strict=True)]


@settings(max_examples=100)
@given(values=st.lists(TEXTS, min_size=1, max_size=3))
def test_values_reach_the_program_unchanged_through_a_shell(values):
    names = [f"v{i}" for i in range(len(values))]
    shown = python(SHOW_ARGUMENTS)
    program = " ".join([*shown[:-1], '"$CODE"', *(f"pre{{{name}}}post" for name in names)])
    words = Template(f"CODE='{SHOW_ARGUMENTS.replace(chr(39), chr(34))}'; {program} | cat", shell="bash").filled(
        dict(zip(names, values, strict=True))
    )
    assert words[:3] == ["bash", "-o", "pipefail"]
    assert arguments_of(words) == [f"pre{value}post" for value in values]


def test_a_text_is_split_before_values_are_put_in():
    assert Template("xargs -P {jobs} -n {n} 'a b'").filled({"jobs": 4, "n": "2 3"}) == [
        "xargs",
        "-P",
        "4",
        "-n",
        "2 3",
        "a b",
    ]
    assert Template("a --x={x} {{b}}").filled({"x": True}) == ["a", "--x=true", "{b}"]


def test_a_word_whose_parameter_is_not_active_is_left_out():
    assert Template("ffmpeg --crf={crf} --codec={codec}").filled({"codec": "copy"}) == ["ffmpeg", "--codec=copy"]


@pytest.mark.parametrize("text", ["", "   ", "a 'b", "a {", "a {}", "a {x!r}", "a {x:>3}", "a\0b"])
def test_what_is_no_template_is_refused(text):
    with pytest.raises(SpecError):
        Template(text)


@pytest.mark.parametrize(
    "text",
    [
        'echo "{x}"', "echo '{x}'", "echo `echo {x}`", "echo $'{x}'", 'echo "$(echo "{x}")"', "echo ${y:-{x}}",
        "echo $(({x}))", "cat <<END\n{x}\nEND", "a[{x}]=1", "echo # {x}", "echo $[{x}]",
        'case a in a) echo $(b);; esac {x}', 'echo "a',
    ],
)  # fmt: skip
def test_places_where_quotes_would_not_hold_are_refused(text):
    with pytest.raises(SpecError):
        Template(text, shell="bash")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("echo {x}", "echo 'a b'"),
        ('echo "$(echo {x})"', "echo \"$(echo 'a b')\""),
        ("echo ${HOME} {x} {{x}}", "echo ${HOME} 'a b' {x}"),
        ("sort <<< {x}", "sort <<< 'a b'"),
        ("f() { echo {x}; }; f", "f() { echo 'a b'; }; f"),
        ("awk '{{print}}' {x}", "awk '{print}' 'a b'"),
        ("a # it's\necho {x}", "a # it's\necho 'a b'"),
    ],
)
def test_places_of_a_shell_program(text, filled):
    assert Template(text, shell="bash").filled({"x": "a b"})[-1] == filled


@pytest.mark.parametrize(("text", "shell"), [("eval {x}", "bash"), ("sh -c {x}", None), ("[[ {x} -eq 3 ]]", "bash")])
def test_what_may_run_a_value_is_warned_of(text, shell):
    assert "may run what a value holds" in Template(text, shell=shell).warnings[0]
    assert Template(f"echo {text}".replace("{x}", "x"), shell=shell).warnings == []


def test_what_no_argument_can_hold_fails_the_trial_with_the_rule():
    template = Template("echo {x}")
    with pytest.raises(ObjectiveError, match="NUL"):
        template.filled({"x": "a\0b"})
    with pytest.raises(ObjectiveError, match=r"131,071 bytes, 'x' has 1,048,576"):
        template.filled({"x": "a" * 2**20})
    with pytest.raises(ObjectiveError, match="UTF-8"):
        template.filled({"x": "\ud800"})


def test_unknown_names_are_told_with_the_nearest():
    with pytest.raises(SpecError, match="did you mean 'jobs'"):
        Template("xargs -P {job}").check(["jobs"])
