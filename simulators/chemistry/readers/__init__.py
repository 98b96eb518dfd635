"""Files of reactions: one module for each format, chosen by what the file looks like."""

import os
import re
from pathlib import Path

from simulators.chemistry.network import Network
from simulators.chemistry.readers import kida, krome, osu, simba, table, uclchem, umist
from simulators.chemistry.readers.lines import Lines

#: Each has `matches(lines)`, whether a file looks like that, and `read(lines)`, which fills them.
FORMATS = {
    "table": table,
    "umist": umist,
    "kida": kida,
    "krome": krome,
    "uclchem": uclchem,
    "osu": osu,
    "simba": simba,
}


def read(path: str | os.PathLike, format: str | None = None, unbalanced: str = "raise") -> Network:
    """See `Network.read`."""
    path = Path(path)
    if format is not None and format not in FORMATS:
        raise ValueError(f"Network.read: format={format!r}; give one of {list(FORMATS)} or None.")
    if unbalanced not in ("raise", "drop"):
        raise ValueError(f"Network.read: unbalanced={unbalanced!r}; give 'raise' or 'drop'.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name}: not text ({error}); give a file of reactions.") from None
    if not text.strip():
        raise ValueError(f"{path.name}: the file is empty; give a file of reactions.")
    lines = Lines(path, text, unbalanced)
    if format is None:
        fitting = [name for name, reader in FORMATS.items() if reader.matches(lines)]
        if not fitting:
            first = re.sub(r"\s+", " ", text.strip().splitlines()[0])[:60]
            raise ValueError(
                f"{path.name}: it looks like none of the formats {sorted(FORMATS)} (it starts with "
                f"{first!r}); give `format`."
            )
        format = fitting[0]
    FORMATS[format].read(lines)
    return lines.network(format)
