"""Digests of batches, by which an audit finds facts that were changed, removed or added after they were written.

Each append adds one digest, of the previous digest and its facts as they are stored. A copy of a study has the same digests
in any storage. They guard against accidents and edits, not against someone who recomputes them; and the removal of the last
batches together with their digests goes undetected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice

StoredFact = tuple[str, int, int | None, str]  # kind, version, trial number, body
Batch = tuple[int, str]  # the position of its first fact, and its digest
_SIZE = 16  # bytes: forgery is not the concern, accidents and edits are


@dataclass(frozen=True, kw_only=True)
class Integrity:
    """The result of verifying a study by its digests.

    Attributes:
        num_batches: the number of batches that are unchanged.
        num_untold: the number of facts at the beginning that have no digest, and so cannot be verified.
        broken: ranges of changed facts: positions of the first and the last, from 0.
    """

    num_batches: int
    num_untold: int
    broken: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        untold = f"facts 0 to {self.num_untold - 1} have no digest, so whether they were changed cannot be told"
        if self.broken:
            parts = [_not_those(first, last) for first, last in self.broken]
        elif self.num_batches:
            parts = [
                f"digests of {self.num_batches} batches hold: no fact was changed, taken away or added since it was written"
            ]
        else:
            return "the journal has no digests: whether a fact was changed since it was written cannot be told"
        return "; ".join([*parts, untold] if self.num_untold else parts)


def digest_of(previous: str, first: int, facts: Sequence[StoredFact]) -> str:
    """The digest of a batch.

    Args:
        previous: the digest of the batch before; empty if there is none.
        first: the position of the first fact.
    """
    lines = [f"{previous} {first} {len(facts)}", *[f"{kind} {v} {number} {body}" for kind, v, number, body in facts]]
    return blake2b("\n".join(lines).encode("utf-8", "surrogatepass"), digest_size=_SIZE).hexdigest()


def verify(batches: Sequence[Batch], facts: Iterable[StoredFact], length: int) -> Integrity:
    """Compare a study with its digests.

    Args:
        batches: in order.
        facts: from the first one that has a digest to the last one there is.
        length: the number of all facts.
    """
    if not batches:
        return Integrity(num_batches=0, num_untold=length)
    broken: list[tuple[int, int]] = []
    num_good, previous, rest = 0, "", iter(facts)
    for (first, digest), end in zip(batches, _ends(batches, length), strict=True):
        batch = list(islice(rest, max(0, end - first)))
        if digest == digest_of(previous, first, batch):
            num_good += 1
        else:
            _join(broken, first, max(first, end - 1))
        previous = digest
    return Integrity(num_batches=num_good, num_untold=batches[0][0], broken=tuple(broken))


def _ends(batches: Sequence[Batch], length: int) -> Iterator[int]:
    """The ends of batches, each where the next one begins: a fact without a digest invalidates the batch before it."""
    yield from (min(first, length) for first, _ in batches[1:])
    yield length


def _join(stretches: list[tuple[int, int]], first: int, last: int) -> None:
    if stretches and stretches[-1][1] + 1 == first:
        first = stretches.pop()[0]
    stretches.append((first, last))


def _not_those(first: int, last: int) -> str:
    if first == last:
        return f"fact {first} is not the one that was written"
    return f"facts {first} to {last} are not those that were written"
