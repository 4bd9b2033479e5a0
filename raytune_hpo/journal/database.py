"""Interface of a database, as far as SQL does not cover it: how to connect, who may write, and what an error means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from raytune_hpo.errors import JournalError

FAILURES = (SQLAlchemyError, OSError)  # what may come out of a database; OSError is the lock file's


class Right(Protocol):
    """The right to write one study, until it is released or the process is gone."""

    def claim(self, connection: Connection) -> bool:
        """Take it, or make sure of it after a new connection; whether it is ours."""
        ...

    def holder(self) -> str:
        """Who has it if not we, as far as one can know."""
        ...

    def check(self) -> None:
        """Make sure, before an append, that what is written will be found later.

        Raises:
            JournalError: it would not.
        """
        ...

    def confirm(self) -> None:
        """Make sure, before an append is acknowledged, that what was written is where it belongs.

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
        """Bring what was committed to where it outlives an accident; called when a study is taken up, and now and then.

        Never fails: what was committed is safe without it, as long as nobody meddles with the files.
        """

    @abstractmethod
    def passes(self, error: BaseException) -> bool:
        """Whether the failure may go away if one waits."""

    @abstractmethod
    def explain(self, error: BaseException) -> JournalError:
        """The failure in our words."""

    @contextmanager
    def speaking_our_words(self) -> Iterator[None]:
        """No exception of a driver leaves this package."""
        try:
            yield
        except FAILURES as error:
            raise self.explain(error) from None  # the driver's own words may repeat a password


def cause(error: BaseException) -> BaseException:
    """The driver's own exception inside SQLAlchemy's."""
    return getattr(error, "orig", None) or error
