"""Loading of a user's Python file as a module."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from raytune_hpo.errors import HpoError, SpecError


def load_file(path: Path) -> ModuleType:
    """The user's file as a module.

    Raises:
        HpoError: the file raised; the message gives the line.
    """
    name = f"raytune_hpo_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpecError(f"FILE is a Python file, got {str(path)!r}")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))  # as `python FILE.py` does, for modules in the same folder
    sys.modules[name] = module  # dataclasses look up their module while they are created
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise HpoError(f"{path} cannot be run: {_where(error, path)}") from error
    finally:
        # If a module cannot be imported, Ray sends its functions by value, as other machines need them.
        del sys.modules[name]
    return module


def _where(error: Exception, path: Path) -> str:
    text = traceback.format_exception_only(error)[-1].strip()
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).name == path.name]
    return f"{text} (line {lines[-1]})" if lines else text
