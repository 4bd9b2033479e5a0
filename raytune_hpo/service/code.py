"""Code: the best configuration as Python, a script or command-line arguments, ready to copy."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from pprint import pformat
from typing import Any

from raytune_hpo.analysis.columns import flattened
from raytune_hpo.display.text import number
from raytune_hpo.results.records import plain
from raytune_hpo.service.folds import Fold
from raytune_hpo.service.models.objective import ModelObjective
from raytune_hpo.service.models.script import script
from raytune_hpo.service.problems import Problem
from raytune_hpo.trial import Trial

# By the name in the URL: the label, the name of the file, and its media type.
LANGUAGES: Mapping[str, tuple[str, str, str]] = {
    "sklearn": ("scikit-learn script", "best.py", "text/x-python"),
    "python": ("Python dict", "best_config.py", "text/x-python"),
    "json": ("JSON", "best.json", "application/json"),
    "yaml": ("YAML", "best.yaml", "application/yaml"),
    "command": ("command line", "best.txt", "text/plain"),
}


def languages(model: ModelObjective | None) -> list[str]:
    """The languages in which a study's best configuration is available; a script only for studies of models on tables."""
    return [name for name in LANGUAGES if model is not None or name != "sklearn"]


def code(fold: Fold, trial: Trial, language: str, model: ModelObjective | None) -> str:
    """A trial's configuration in one of the languages.

    Raises:
        Problem: this language is not available for the study.
    """
    goal = fold.ledger.spec.goals[0]
    values = ", ".join(f"{g.metric} {number(trial.metrics[g.metric])}" for g in fold.ledger.spec.goals)
    about = f"{fold.name}, trial {trial.number}: {values}"
    if language == "sklearn":
        if model is None:
            known = ", ".join(languages(None))
            raise Problem("bad-request", f"a script is there for studies of models from data; languages here: {known}")
        return script(model, trial.config, " ".join(about.split()), float(trial.metrics[goal.metric]))
    return _WRITERS[language](plain(trial.config), " ".join(about.split()))


def _yaml(config: dict[str, Any], about: str) -> str:
    import yaml

    return f"# {about}\n{yaml.safe_dump(config, allow_unicode=True, sort_keys=False)}"


def _command(config: dict[str, Any], about: str) -> str:
    values = {name: v if isinstance(v, str) else json.dumps(v) for name, v in flattened(config).items()}
    return shlex.join(f"--{name.replace('/', '.')}={value}" for name, value in values.items()) + "\n"


_WRITERS: Mapping[str, Callable[[dict[str, Any], str], str]] = {
    "json": lambda config, about: json.dumps(config, indent=2, ensure_ascii=False) + "\n",
    "python": lambda config, about: f"# {about}\nconfig = {pformat(config, sort_dicts=False)}\n",
    "yaml": _yaml,
    "command": _command,
}
