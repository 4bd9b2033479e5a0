"""Interface of a database, as far as SQL does not cover it: how to connect, who may write, and what an error means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from raytune_hpo.errors import JournalError

FAILURES = (SQLAlchemyError, OSError)  # exceptions of a database; OSError comes from the lock file


class Right(Protocol):
    """The right to write one study, until it is released or the process is gone."""

    def claim(self, connection: Connection) -> bool:
        """Take the right, or verify it after a new connection; returns whether we have it."""
        ...

    def holder(self) -> str:
        """The other process that has it, as far as is known."""
        ...

    def check(self) -> None:
        """Check, before an append, that the database is still the one that readers will open.

        Raises:
            JournalError: it is not.
        """
        ...

    def confirm(self) -> None:
        """Check, before an append is acknowledged, that it was written to that database.

        Raises:
            JournalError: it is not.
        """
        ...

    def release(self) -> None: ...


class Database(ABC):
    """One SQLite file or one PostgreSQL database.

    Attributes:
        url: for messages, without a password.
    """

    url: str

    @abstractmethod
    def write(self) -> Connection:
        """A connection whose transactions may write; the file is created if need be, the tables are not."""

    @abstractmethod
    def read(self) -> Connection | None:
        """A connection that disturbs no writer; None if there is nothing yet to connect to."""

    @abstractmethod
    def right(self, study_id: int, name: str, owner: str) -> Right: ...

    @abstractmethod
    def serialize(self, connection: Connection) -> None:
        """Keep others from creating tables or studies until the current transaction ends."""

    @abstractmethod
    def settle(self, connection: Connection) -> None:
        """Move committed data to the main file (checkpoint the log); called when a study is taken up, and now and then.

        Never raises: committed data is safe without it, as long as the files are not tampered with.
        """

    @abstractmethod
    def passes(self, error: BaseException) -> bool:
        """Whether the failure may be transient."""

    @abstractmethod
    def explain(self, error: BaseException) -> JournalError:
        """The failure as an error of this package."""

    @contextmanager
    def speaking_our_words(self) -> Iterator[None]:
        """Context manager that turns exceptions of the driver into our own."""
        try:
            yield
        except FAILURES as error:
            raise self.explain(error) from None  # the driver's message may contain a password


def cause(error: BaseException) -> BaseException:
    """The driver's own exception inside SQLAlchemy's."""
    return getattr(error, "orig", None) or error
