import psycopg
import pytest

from raytune_hpo.journal import MemoryStorage, open_storage
from tests.fixtures_postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path / 'studies.db'}"


@pytest.fixture
def postgres_schema(postgres_url, request):
    """A URL into an empty schema of its own."""
    name = f"s{abs(hash(request.node.nodeid))}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{postgres_url}?options=-csearch_path%3D{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request):
    fixture = {"sqlite": "sqlite_url", "postgresql": "postgres_schema"}[request.param]
    return request.getfixturevalue(fixture)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def storage(request):
    if request.param == "memory":
        return MemoryStorage()
    fixture = {"sqlite": "sqlite_url", "postgresql": "postgres_schema"}[request.param]
    return open_storage(request.getfixturevalue(fixture), patience_s=20)
