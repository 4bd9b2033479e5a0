"""Tasks as files: a Python file, and a folder of tasks."""

from pathlib import Path

A_FILE = """
import raytune_hpo as hpo

space = {"x": hpo.uniform(0, 1), "n": hpo.randint(1, 5)}
metric, mode, num_steps = "score", "max", 6
BONUS = {"of": 0.5}


def objective(config):
    for step in range(1, 7):
        yield {"score": truth(config) - 1 / step, "step": step, "cost_s": 10 * step}


def truth(config):
    return BONUS["of"] - (config["x"] - 0.3) ** 2
"""

A_FOLDER = """
class Curves:
    tags, fidelity = ("curve",), (1, 5)
    space = [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}]

    def curve(self, config):
        losses = [config["x"] + 1 / epoch for epoch in range(1, 6)]
        return losses[:3] + [float("nan")] * 2 if config["x"] > 0.8 else losses

    def curve_time(self, config):
        return [2.0 * epoch for epoch in range(1, 6)]

    def objective(self, config):
        return {"loss": self.curve(config)[-1], "time": 10.0}


class Values:
    tags, fidelity = (), None
    space = [
        {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
        {"name": "rate", "type": "float", "low": 1e-3, "high": 1.0, "log": True, "condition": {"kind": ["a"]}},
    ]
    time = 7.0

    def objective(self, config):
        loss = config.get("rate", float("nan"))
        return {"loss": loss} if self.time is None else {"loss": loss, "time": self.time}


class Untimed(Values):
    time = None


TASKS = {"curves": Curves, "values": Values, "untimed": Untimed}


def names():
    return list(TASKS)


def load(name):
    return TASKS[name]()
"""


def python_file(folder: Path) -> Path:
    path = folder / "made_up.py"
    path.write_text(A_FILE)
    return path


def task_folder(folder: Path) -> Path:
    path = folder / "some_bench"
    path.mkdir()
    (path / "tasks.py").write_text(A_FOLDER)
    return path
