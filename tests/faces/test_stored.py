"""The door to stored studies: where they are, and that it is closed again."""

from __future__ import annotations

import pytest

from raytune_hpo import cluster
from raytune_hpo.api import stored
from raytune_hpo.journal import MemoryStorage


class Closing(MemoryStorage):
    is_closed = False

    def close(self):
        self.is_closed = True


@pytest.fixture
def elsewhere(monkeypatch):
    """Studies on a cluster, as far as the door can see."""
    studies, calls = Closing(), []
    monkeypatch.setattr(cluster, "connect", lambda address: calls.append(address), raising=False)
    monkeypatch.setattr(cluster, "remote_storage", lambda words: calls.append(words) or studies, raising=False)
    return studies, calls


def test_an_address_leads_to_the_cluster_and_what_was_opened_there_is_closed_whatever_happens(elsewhere):
    studies, calls = elsewhere
    with pytest.raises(ZeroDivisionError), stored.opened("s.db", "ray://head:10001") as found:
        assert found is studies and not found.is_closed
        raise ZeroDivisionError
    assert calls == ["ray://head:10001", "s.db"]
    assert studies.is_closed


def test_a_process_outside_its_cluster_finds_the_studies_there(elsewhere, monkeypatch):
    studies, calls = elsewhere
    monkeypatch.setattr(cluster, "is_remote", lambda: True)
    with stored.opened() as found:
        assert found is studies
    assert calls == [None] and studies.is_closed


def test_without_an_address_studies_are_here(elsewhere):
    here = Closing()
    with stored.opened(here) as found:
        assert found is here
    assert here.is_closed and elsewhere[1] == []
