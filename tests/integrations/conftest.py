"""What the neighbours' tests share."""

from __future__ import annotations

import pytest

from tests.integrations.neighbours import Story


@pytest.fixture(scope="session")
def story() -> Story:
    return Story()


@pytest.fixture
def storage(tmp_path):
    return str(tmp_path / "studies.db")
