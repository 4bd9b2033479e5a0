"""Presets: stopping rules under the names that the literature gives them.

Cho et al., IEEE Access 8, 2020: the compound rule with beta = 0.1 (Deca), 0.2 (Penta) and 0.25 (Tetra).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "deca": {"name": "tercet", "beta": 0.1},
    "penta": {"name": "tercet", "beta": 0.2},
    "tetra": {"name": "tercet", "beta": 0.25},
    # In the runs that the paper reports, the first checkpoint was as strict as the second.
    "deca-recorded": {"name": "tercet", "beta": 0.1, "variant": "recorded"},
    "penta-recorded": {"name": "tercet", "beta": 0.2, "variant": "recorded"},
    "tetra-recorded": {"name": "tercet", "beta": 0.25, "variant": "recorded"},
}
