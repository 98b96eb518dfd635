"""Our own table: plain text, one reaction a line, that is read back exactly as it was written.

    # jaxastro chemistry network 1
    @var t4 = tgas/1e4
    @function f(x) = y = 2*x; return exp(-y)
    H2 + CRP -> H2+ + e- | CosmicRay alpha=1.2e-17 zeta_ref=1.36e-17
    C + O2 -> CO + O | Arrhenius 4.7e-11 -0.34 0 | 10 300 | clamp | Smith et al. 2004
    H+ + e- -> H | Expression 2.75e-14*t4**(-0.7)

Fields are apart by vertical bars: the reaction; the law and its numbers, by position or by name
(after "orders=H,H2" if they differ from the reactants, an expression's text); the range of
temperatures [K]; what holds outside (see `Reaction`); and a reference. The last three may be left
out. Lines that start with "# " are comments; "#CO" is CO on a grain.
"""

import dataclasses
import re

from simulators.chemistry.laws import LAWS, Expression

_HEAD = "# jaxastro chemistry network 1"
_FUNCTION = re.compile(r"(\w+)\s*\(([\w\s,]*)\)\s*=\s*(.*)")
_COMMENT = re.compile(r"\s*#(\s|#|$)")
_ARROW = " -> "


def matches(lines):
    """Whether the file says so in its first line."""
    return lines.texts[0].strip() == _HEAD


def read(lines):
    """Add all variables, functions and reactions."""
    for number, text in lines.content(""):
        if _COMMENT.match(text):
            continue
        word, _, rest = text.strip().partition(" ")
        if word == "@var":
            name, equals, value = rest.partition("=")
            if not equals or not name.strip().isidentifier():
                raise lines.error(number, "a variable is written '@var name = expression'")
            lines.definitions[name.strip().lower()] = value.strip()
        elif word == "@function":
            found = _FUNCTION.fullmatch(rest.strip())
            if not found:
                raise lines.error(number, "a function is written '@function f(x, y) = return ...'")
            arguments = tuple(a.strip().lower() for a in found[2].split(","))
            steps = tuple(step.strip() for step in found[3].split(";"))
            lines.functions[found[1].lower()] = (arguments, steps)
        else:
            _reaction(lines, number, [field.strip() for field in text.split("|")])


def _reaction(lines, number, fields):
    if len(fields) < 2 or _ARROW.strip() not in fields[0]:
        raise lines.error(number, "a reaction is written 'A + B -> C | Law numbers | ...'")
    if len(fields) > 5:
        raise lines.error(number, f"{len(fields)} fields where there are at most 5")
    sides = [
        [name.strip() for name in re.split(r"\s\+\s", side.strip())]
        for side in fields[0].split(_ARROW.strip(), 1)
    ]
    more = {}
    if len(fields) > 2 and fields[2]:
        low, *high = fields[2].split()
        if len(high) != 1:
            raise lines.error(number, "temperatures are written 'T_min T_max'")
        more["t_min"], more["t_max"] = (_limit(lines, number, t) for t in (low, *high))
    if len(fields) > 3 and fields[3]:
        more["outside"] = fields[3]
    if len(fields) > 4 and fields[4]:
        more["where"] = fields[4]
    lines.add(number, *sides, _law(lines, number, fields[1]), **more)


def _limit(lines, number, text):
    return float("inf") if text == "inf" else lines.numbers(number, [text], "temperatures")[0]


def _law(lines, number, text):
    name, _, rest = text.partition(" ")
    if name not in LAWS:
        raise lines.error(number, f"{name!r} is no law; the laws are {', '.join(LAWS)}")
    if name == "Expression":
        first, _, after = rest.partition(" ")
        if first.startswith("orders="):
            names = first.removeprefix("orders=")
            return Expression(after.strip(), tuple(names.split(",")) if names else ())
        return Expression(rest.strip())
    known = dataclasses.fields(LAWS[name])
    fields = [f.name for f in known]
    values = {}
    for position, word in enumerate(rest.split()):
        key, equals, value = word.rpartition("=")
        key = key if equals else fields[position] if position < len(fields) else "one more"
        if key not in fields or key in values:
            raise lines.error(number, f"{name} takes {', '.join(fields)} once, and not {key!r}")
        (values[key],) = lines.numbers(number, [value], key)
    missing = [f.name for f in known if f.default is dataclasses.MISSING and f.name not in values]
    if missing:
        raise lines.error(number, f"{name} needs {', '.join(missing)}, too")
    return LAWS[name](**values)


def write(network, path):
    """Write a network.

    Raises:
        ValueError: if a reference holds a vertical bar or ends the line, which would be read as
            something else.
    """
    lines = [_HEAD, f"# {len(network.species)} species, {len(network.reactions)} reactions"]
    lines += [f"@var {name} = {text}" for name, text in network.definitions.items()]
    lines += [
        f"@function {name}({', '.join(arguments)}) = {'; '.join(steps)}"
        for name, (arguments, steps) in network.functions.items()
    ]
    for reaction in network.reactions:
        if re.search(r"[|\n\r]", reaction.where):
            raise ValueError(f"Network.write: where={reaction.where!r} of {reaction} holds a bar.")
        limits = f"{_plain(reaction.t_min)} {_plain(reaction.t_max)}"
        fields = [
            reaction.formula,
            _written(reaction.law),
            limits,
            reaction.outside,
            reaction.where,
        ]
        lines.append(" | ".join(fields).rstrip(" |"))
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def _written(law):
    name = type(law).__name__
    if isinstance(law, Expression):
        orders = "" if law.orders is None else f"orders={','.join(law.orders)} "
        return f"{name} {orders}{law.text}"
    values = (f"{f.name}={_plain(getattr(law, f.name))}" for f in dataclasses.fields(law))
    return " ".join([name, *values])


def _plain(number):
    return repr(float(number))
