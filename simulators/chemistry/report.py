"""What is worth knowing about a network that was read: counts, lines left out, duplicates."""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Duplicate:
    """Entries of one reaction, and the temperatures at which each is used.

    Attributes:
        reaction: the reaction as text.
        entries: the indices of its reactions in the network.
        used: for each, the temperatures [K] between which it is used.
        alike: whether two of them are the same in all numbers.
    """

    reaction: str
    entries: tuple[int, ...]
    used: tuple[tuple[float, float], ...]
    alike: bool

    @property
    def summed(self):
        """Whether entries are added up, having overlapping ranges."""
        spans = sorted(self.used)
        return any(spans[i + 1][0] < spans[i][1] for i in range(len(spans) - 1))

    def __str__(self):
        spans = ", ".join(f"{i}: {low:g}-{high:g} K" for i, (low, high) in self._pairs())
        how = "added up" if self.summed else "used"
        return f"{self.reaction} ({how} {spans}{'; two are alike' if self.alike else ''})"

    def _pairs(self):
        return zip(self.entries, self.used, strict=True)


@dataclass(frozen=True)
class Report:
    """What reading a network found.

    Attributes:
        source: the file and its format.
        species, reactions: how many there are; each range of temperatures counts as a reaction.
        dropped: lines left out, each with file, line number, text and the reason.
        notes: what was read otherwise than written, with the reason.
        duplicates: the reactions with several entries.
        outside: what is done outside of ranges of temperature (`Reaction.outside`), and for how
            many reactions that have one.

    As text it has the first 20 of each.
    """

    source: str = ""
    species: int = 0
    reactions: int = 0
    dropped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    outside: tuple[tuple[str, int], ...] = ()

    def __str__(self):
        summed = sum(d.summed for d in self.duplicates)
        alike = sum(d.alike for d in self.duplicates)
        head = (
            f"{self.source or 'network'}: {self.species} species, {self.reactions} reactions, all "
            f"conserving elements and charge; {len(self.dropped)} lines left out; "
            f"{len(self.duplicates)} reactions with several entries ({summed} added up, "
            f"{alike} of them with entries alike)"
        )
        if self.outside:
            ways = ", ".join(f"{count} by {way!r}" for way, count in self.outside)
            head += f"; outside their ranges of temperature {ways}"
        parts = (self.dropped, self.notes, tuple(map(str, self.duplicates)))
        return "\n".join([head, *(line for part in parts for line in _first(part))])


def outside(reactions):
    """How many of the reactions with a range do what outside it."""
    limited = [r.outside for r in reactions if r.t_min > 0.0 or r.t_max < np.inf]
    return tuple(sorted(Counter(limited).items()))


def _first(lines, most=20):
    """Some lines, and how many more there are."""
    more = len(lines) - most
    return [*lines[:most], *([f"... and {more} more"] if more > 0 else [])]


def duplicates(reactions):
    """The `Duplicate`s among reactions."""
    spans = windows(reactions)
    found = []
    for entries in _sets(reactions):
        if len(entries) > 1:
            laws = [(reactions[i].law, reactions[i].t_min, reactions[i].t_max) for i in entries]
            used = tuple((float(spans[i, 0]), float(spans[i, 1])) for i in entries)
            alike = len(set(laws)) < len(laws)
            found.append(Duplicate(str(reactions[entries[0]]), tuple(entries), used, alike))
    return tuple(found)


def windows(reactions):
    """The temperatures [low, high) at which each entry is used, shape (R, 2) [K].

    Each entry of a reaction is used in its range, and in the gaps between ranges and outside all of
    them the nearest is. Where ranges overlap, or are the same, the entries are added up.
    """
    span = np.tile([0.0, np.inf], (len(reactions), 1))
    for entries in _sets(reactions):
        ranges = {(reactions[i].t_min, reactions[i].t_max) for i in entries}
        if len(ranges) > 1:
            for i in entries:
                span[i] = _use(reactions[i].t_min, reactions[i].t_max, ranges)
    for i, reaction in enumerate(reactions):
        if reaction.outside.startswith("zero"):
            span[i, 0] = max(span[i, 0], reaction.t_min)
        if reaction.outside == "zero":
            span[i, 1] = min(span[i, 1], beside(reaction.t_max, np.inf))
    return span


def _use(low, high, ranges):
    """From where to where an entry with a range is used, beside others with theirs."""
    start, end = 0.0, np.inf
    if any(a < low <= b for a, b in ranges):
        start = low
    elif below := [b for _, b in ranges if b < low]:
        start = _border(max(below), low)
    if any(a <= high < b for a, b in ranges):
        end = high
    elif above := [a for a, _ in ranges if a > high]:
        end = _border(high, min(above))
    return start, end


def beside(temperature, towards):
    """The next temperature that even float32 tells apart.

    >>> beside(300.0, np.inf) > 300.0 > beside(300.0, 0.0)
    True
    """
    return float(np.nextafter(np.float32(temperature), np.float32(towards)))


def _border(low, high):
    """Between two ranges: halfway, but where the upper one begins if it is open at its end."""
    return high if high <= beside(low, np.inf) else 0.5 * (low + high)


def _sets(reactions):
    """Indices of the reactions, those of one reaction together."""
    found = defaultdict(list)
    for i, reaction in enumerate(reactions):
        found[reaction.same].append(i)
    return found.values()
