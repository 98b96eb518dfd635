"""The lines of one file, and the network that grows from them."""

from simulators.chemistry.network import Network, Reaction, UnbalancedError
from simulators.chemistry.report import Report


class Lines:
    """What all readers share: numbered lines in, reactions out, and messages that name the line.

    Args:
        path: the file.
        text: its content.
        unbalanced: "raise" or "drop".

    Attributes:
        reactions, definitions, functions: what the reader has found so far.
    """

    def __init__(self, path, text, unbalanced="raise"):
        self.path = path
        self.texts = text.splitlines()
        self.reactions, self.definitions, self.functions = [], {}, {}
        self._unbalanced = unbalanced
        self._dropped, self._notes = [], []

    def __iter__(self):
        """Pairs of a line's number, from 1, and its text."""
        return iter(enumerate(self.texts, 1))

    def content(self, comments="#!"):
        """The lines that are neither empty nor comments."""
        return [(i, t) for i, t in self if t.strip() and t.lstrip()[0] not in comments]

    def error(self, number, reason):
        """The error for a line that cannot be read."""
        text = self.texts[number - 1].strip() if number <= len(self.texts) else ""
        return ValueError(f"{self.path.name}:{number}: {reason}; the line is {text[:100]!r}.")

    def numbers(self, number, texts, what):
        """The numbers that texts stand for.

        Raises:
            ValueError: for a text that is no finite number.
        """
        values = []
        for text in texts:
            try:
                value = float(text.lower().replace("d", "e"))
            except ValueError:
                raise self.error(number, f"{what}: {text.strip()!r} is no number") from None
            if not abs(value) < float("inf"):
                raise self.error(number, f"{what}: {text.strip()!r} is not finite")
            values.append(value)
        return values

    def drop(self, number, reason):
        """Leave a line out, and say so in the report."""
        text = " ".join(self.texts[number - 1].split())
        self._dropped.append(f"{self.path.name}:{number}: left out, {reason}: {text[:100]!r}")

    def note(self, number, remark):
        """Report something about a line that is read."""
        self._notes.append(f"{self.path.name}:{number}: {remark}")

    def add(self, number, reactants, products, law, **range_):
        """Add the reaction of a line."""
        here = f"{self.path.name}:{number}"
        range_.setdefault("where", here)
        try:
            reaction = Reaction(tuple(reactants), tuple(products), law, **range_)
        except ValueError as error:
            reason = str(error).removeprefix(f"{range_['where']}: ").rstrip(".")
            if self._unbalanced == "raise" or not isinstance(error, UnbalancedError):
                raise self.error(number, reason) from None
            self.drop(number, reason.split(";")[0])
        else:
            self.reactions.append(reaction)

    def network(self, format):
        """The network of all that was added."""
        if not self.reactions:
            raise ValueError(
                f"{self.path.name}: no reaction was found, read as {format}; is it another format?"
            )
        report = Report(
            source=f"{self.path.name} ({format})",
            dropped=tuple(self._dropped),
            notes=tuple(self._notes),
        )
        return Network(tuple(self.reactions), self.definitions, self.functions, report)
