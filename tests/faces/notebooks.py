"""Real notebooks for the tests: cells that a kernel executes, and every display that it sends."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
CARD_IS_DONE = "run._live._thread.join()"  # a line for a cell: the card of `run` has drawn its last state


class Message(NamedTuple):
    """A display as the kernel sent it: its type, the cell that was running, its display id."""

    kind: str
    cell: int
    display_id: str


class Executed:
    """A notebook that has been executed.

    Attributes:
        notebook: as it would be saved.
        displays: in the order in which the kernel sent them.
        stderr: what the kernel's process said beside its messages, its end included.
    """

    def __init__(self, cells: list[str], folder: Path, environment: Mapping[str, str] = os.environ) -> None:
        self.notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        self.displays: list[Message] = []
        log = folder / "kernel.log"
        paths = {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / "ipython")}
        with log.open("w") as stderr:
            client = _Client(self, cwd=str(folder))
            client.execute(env={**environment, **paths}, stderr=stderr)
        self.stderr = log.read_text()

    def outputs(self, cell: int) -> list[Any]:
        return self.notebook.cells[cell].outputs

    def html(self, cell: int) -> str:
        """The only output of a cell, which is HTML."""
        (output,) = self.outputs(cell)
        return output["data"]["text/html"]

    def texts(self) -> str:
        """What the cells printed, warnings included."""
        return "".join(o["text"] for cell in self.notebook.cells for o in cell.outputs if o["output_type"] == "stream")


class _Client(NotebookClient):
    def __init__(self, executed: Executed, cwd: str) -> None:
        super().__init__(executed.notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": cwd}})
        self._executed = executed

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        display_id = msg["content"].get("transient", {}).get("display_id")
        if display_id:
            self._executed.displays.append(Message(msg["msg_type"], cell_index, display_id))
        return super().process_message(msg, cell, cell_index)


def assert_one_card_updated_in_place(executed: Executed, cell: int) -> None:
    """One display, below its cell, and one or more updates of that one."""
    first, *others = executed.displays
    assert (first.kind, first.cell) == ("display_data", cell)
    assert others, "the card was never updated"
    assert {(message.kind, message.display_id) for message in others} == {("update_display_data", first.display_id)}
