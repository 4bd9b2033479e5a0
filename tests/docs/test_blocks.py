"""How pages are read: which blocks there are, what belongs to them, and what authors are told to mend."""

from __future__ import annotations

import textwrap

import pytest

from tests.docs.blocks import PageError, blocks


def page(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


def test_blocks_come_in_order_with_the_lines_on_which_they_begin() -> None:
    text = page("""
        # A page
        ```python
        x = 1

        y = 2
        ```
        It prints
        ```
        3
        ```
        """)
    first, second = blocks(text)
    assert (first.language, first.code, first.line) == ("python", "x = 1\n\ny = 2\n", 3)
    assert (second.language, second.code, second.line) == ("", "3\n", 9)


def test_what_is_given_is_run_where_it_stands_though_nobody_sees_it() -> None:
    text = page("""
        <!-- given:
        def train():
            return 1
        -->

        ```python
        loss = train()
        ```
        <!-- given: assert loss == 1 -->

        Text.
        """)
    before, shown, after = blocks(text)
    assert before.code.strip() == "def train():\n    return 1"
    assert (before.language, before.line) == ("python", 1), "its first line is that of the comment"
    assert shown.code == "loss = train()\n"
    assert (after.code, after.line) == ("assert loss == 1 \n", 9)


def test_a_mark_may_name_several_tests_and_a_reason_is_a_sentence() -> None:
    text = page("""
        <!-- tested by: tests/a.py::one, tests/b.py::two -->
        ```bash
        ray up cluster.yaml
        ```
        <!-- not run: it costs money -->
        ```dockerfile
        FROM python
        ```
        """)
    first, second = blocks(text)
    assert first.tests == ("tests/a.py::one", "tests/b.py::two") and first.is_marked
    assert second.reason == "it costs money" and second.is_marked


def test_blocks_in_lists_lose_their_indent_and_longer_fences_hold_shorter_ones() -> None:
    text = page("""
        * an item

            ```python
            if True:
                x = 1
            ```

        ````text
        ```python
        not a block
        ```
        ````
        """)
    first, second = blocks(text)
    assert first.code == "if True:\n    x = 1\n"
    assert second.language == "text" and "not a block" in second.code


def test_comments_inside_blocks_and_other_comments_mean_nothing() -> None:
    text = page("""
        <!-- a remark
        over two lines -->
        Text.
        ```text
        <!-- given: x = 1 -->
        ```
        """)
    (block,) = blocks(text)
    assert block.language == "text" and not block.is_marked


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```sql\nSELECT 1;\n```\n", "line 2: nobody knows how to run a block in 'sql'; put before it <!-- tested by:"),
        ("<!-- not run: why -->\nText.\n```python\n```\n", "line 1: 'not run' speaks of the block that follows it"),
        ("<!-- not run: x -->\n<!-- not run: y -->\n```python\n```\n", "line 2: a block has one comment of a kind"),
        ("<!-- not run: why -->\n", "line 1: 'not run' speaks of the block that follows it, and none does"),
        ("Text\n```python\nx = 1\n", "line 2: a block begins here and does not end"),
        ("<!-- given: x = 1\n", "line 1: a comment begins here and does not end"),
    ],
)
def test_what_an_author_should_mend_is_said_with_its_line(text: str, said: str) -> None:
    with pytest.raises(PageError) as refused:
        blocks(text)
    assert said in str(refused.value)


def test_a_mark_without_a_test_or_a_reason_is_no_mark() -> None:
    with pytest.raises(PageError, match="nobody knows"):
        blocks("<!-- not run: -->\n```sql\nSELECT 1;\n```\n")
