"""What the neighbours' tests share."""

from __future__ import annotations

import pytest

from tests.integrations.neighbours import Promoted, Story


@pytest.fixture(scope="session")
def story() -> Story:
    return Story()


@pytest.fixture(scope="session")
def promoted(tmp_path_factory) -> Promoted:
    return Promoted(f"sqlite:///{tmp_path_factory.mktemp('promoted')}/studies.db")


@pytest.fixture
def storage(tmp_path):
    return str(tmp_path / "studies.db")
