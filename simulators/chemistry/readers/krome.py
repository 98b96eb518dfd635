"""Networks of KROME and JAFF: commas between the fields, rates as expressions.

Grassi et al. 2014, MNRAS 439, 2386; https://github.com/tgrassi/jaff. "@format:" says what the
fields of the following lines are, "@var:" defines variables, "@common:" names those that come from
the conditions. Functions are read from a file of the same name that ends in .jfunc. The other
directives ask KROME for tables or groups, and change no rate.

As KROME does, a reaction runs only within its range of temperatures. Expressions that are Arrhenius
laws become such, see `reduce`.
"""

import math
import re

from simulators.chemistry.expressions import parse
from simulators.chemistry.laws import Expression
from simulators.chemistry.reduce import reduce
from simulators.chemistry.report import beside

_USUAL = "idx,R,R,R,P,P,P,P,Tmin,Tmax,rate"
_FIELDS = {"idx", "r", "p", "tmin", "tmax", "rate"}
_WITHOUT_EFFECT = re.compile(
    r"@(notab\w*|tab\w*|cr_?st\w+|ghost\w*|storeonce\w*|reactionauto\w*|photo_?st\w+)", re.I
)
_LIMIT = re.compile(r"(<=|>=|<|>|\.(?:le|ge|lt|gt)\.)?(.*)", re.I)
_OPEN = ("<", ">", ".lt.", ".gt.")
_FUNCTION = re.compile(r"@function\s+(\w+)\s*\(([\w\s,]*)\)\s*", re.I)


def matches(lines):
    """Whether some line is a directive of KROME's."""
    return any(re.match(r"@(format|var|common)\s*:", text, re.I) for _, text in lines)


def read(lines):
    """Add all variables, functions and reactions."""
    _functions(lines)
    fields = _USUAL.lower().split(",")
    for number, text in lines.content():
        text = text.split("!")[0].strip()
        directive, _, rest = text.partition(":")
        directive = directive.strip().lower()
        if directive == "@format":
            fields = [field.strip().lower() for field in rest.split(",")]
            if not {"rate", "r", "p"} <= set(fields) <= _FIELDS or fields[-1] != "rate":
                raise lines.error(number, f"fields are {sorted(_FIELDS)}, and the rate is the last")
        elif directive == "@var":
            _variable(lines, number, rest)
        elif text[0] != "@":
            _reaction(lines, number, text, fields)
        elif directive != "@common" and not _WITHOUT_EFFECT.match(text):
            lines.drop(number, "the directive is unknown")
    _reduced(lines)


def _variable(lines, number, text):
    name, equals, value = text.partition("=")
    name, value = name.strip().lower(), value.strip()
    if not equals or not name.isidentifier():
        raise lines.error(number, "a variable is written '@var: name = expression'")
    _check(lines, number, value)
    if lines.definitions.setdefault(name, value) != value:
        raise lines.error(number, f"variable {name!r} was defined before, and otherwise")


def _check(lines, number, text):
    try:
        parse(text, lines.functions)
    except ValueError as error:
        raise lines.error(number, str(error)) from None


def _reaction(lines, number, text, fields):
    values = [value.strip() for value in text.split(",", len(fields) - 1)]
    if len(values) != len(fields):
        raise lines.error(number, f"{len(values)} fields where '@format' has {len(fields)}")
    named = list(zip(fields, values, strict=True))
    sides = [[v for f, v in named if f == side and v] for side in "rp"]
    values = dict(named)
    _check(lines, number, values["rate"])
    low = _limit(lines, number, values.get("tmin", ""), 0.0)
    high = _limit(lines, number, values.get("tmax", ""), math.inf)
    if low > high:
        lines.note(number, f"no temperature is above {low:g} and up to {high:g} K: no upper limit")
        high = math.inf
    lines.add(
        number, *sides, Expression(values["rate"]), t_min=low, t_max=high, outside="zero"
    )  # fmt: skip


def _limit(lines, number, text, without):
    """A limit such as "1d4", ".LE.5.5e3", ">300" or "NONE"; beside an open one, the next number."""
    mark, value = _LIMIT.fullmatch(text).groups()
    if value.strip().upper() in ("", "NONE", "N"):
        return without
    (limit,) = lines.numbers(number, [value], "temperature limit")
    if (mark or "").lower() in _OPEN:
        return beside(limit, math.inf if mark.lower() in (">", ".gt.") else 0.0)
    return limit


def _functions(lines):
    """The functions in the file beside, each up to its return."""
    path = lines.path.with_suffix(".jfunc")
    if not path.is_file():
        return
    beside = type(lines)(path, path.read_text(encoding="utf-8"))
    name = None
    for number, text in beside.content("#"):
        text = text.split("#")[0].strip()
        found = _FUNCTION.fullmatch(text)
        if found:
            name = found[1].lower()
            arguments = tuple(a.strip().lower() for a in found[2].split(",") if a.strip())
            steps = []
        elif name is None or not re.match(r"return\s|\w+\s*=", text):
            raise beside.error(number, "between '@function f(x)' and 'return' stands 'name = ...'")
        else:
            _check(beside, number, re.sub(r"^(return\s|\w+\s*=)", "", text))
            steps.append(re.sub(r"^return\s+", "return ", text))
            if text.startswith("return"):
                beside.functions[name] = arguments, tuple(steps)
                name = None
    lines.functions.update(beside.functions)


def _reduced(lines):
    """Put laws in the place of expressions where that is the same."""
    before = lines.reactions
    lines.reactions = [reduce(r, lines.definitions, lines.functions) for r in before]
    simpler = sum(not isinstance(r.law, Expression) for r in lines.reactions)
    lines.note(
        len(lines.texts), f"{simpler} of {len(before)} expressions are laws of T or of zeta alone"
    )
