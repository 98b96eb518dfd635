"""KROME's and JAFF's networks: the file with expressions at hand, and bad lines."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.chemistry import Conditions, Expression, Network, RateTable
from tests.properties import QUICK

N_H, ZETA, A_V, T_DUST = 4e3, 3e-17, 1.5, 14.0
TEMPERATURES = np.array([5.0, 80.0, 2500.0, 3e4])


@pytest.fixture(scope="module")
def thin(shared_data):
    return Network.read(shared_data / "chemistry" / "react_COthin.jet")


@pytest.fixture(scope="module")
def rates():
    return jax.jit(lambda table, c, y: table(c, y), compiler_options=QUICK)


def cells():
    return Conditions(N_H, jnp.asarray(TEMPERATURES), zeta=ZETA, A_V=A_V, T_dust=T_DUST)


def abundances(network):
    return jnp.asarray([0.1 + 0.01 * i for i in range(len(network.species))])


def test_the_whole_file(thin):
    report = thin.report
    assert (report.species, report.reactions, report.dropped) == (37, 287, ())
    assert any("no temperature is above 21140" in note for note in report.notes)
    assert "192 of 287 expressions are laws of T or of zeta alone" in report.notes[-1]
    assert {"He++", "Si++", "H-", "HOC+", "e-"} < set(thin.species)
    table = RateTable.of(thin)
    # the sum over all densities is in the three-body rates
    assert table.depends == tuple(range(37))


def in_python(text):
    text = re.sub(r"(?<=[\d.])[dD](?=[-+\d])", "e", text)
    text = re.sub(r"n(_global)?\(idx_(\w+)\)", r"N('\2')", text.replace("0.0_8", "0.0"))
    return re.sub(r"\b(sum|get_Hnuclei)\(n\(.*?\)\)", r"\1_()", text).lower()


def by_hand(path, T, y):
    """Rates of the lines in the file, evaluated as Python: (line, k, low, high) of each."""
    names = {
        "tgas": T, "t32": T / 300, "invt32": 300 / T, "invtgas": 1 / T, "sqrtgas": math.sqrt(T),
        "user_crate": ZETA, "user_av": A_V, "user_tdust": T_DUST, "exp": math.exp,
        "dexp": math.exp, "sqrt": math.sqrt, "log": math.log, "log10": math.log10,
        "merge": lambda a, b, c: a if c else b, "get_hnuclei_": lambda: N_H,
        "sum_": lambda: N_H * sum(y.values()), "n": lambda name: N_H * y[name.upper()],
        "fselfh2": self_shielding, "fhnoj": lambda av: math.exp(-2.55 * av + 0.0165 * av**2),
    }  # fmt: skip
    text = path.read_text().splitlines()
    late = []
    for line in text:
        if line.startswith("@var"):
            late.append(line.split(":", 1)[1].split("=", 1))
    for _ in range(3):
        for name, value in late:
            try:
                names[name.strip().lower()] = eval(in_python(value), names)
            except NameError:
                continue
    form = []
    for number, line in enumerate(text, 1):
        if line.startswith("@format"):
            form = line.split(":")[1].split(",")
        elif line.strip() and line[0] not in "#@":
            fields = line.split(",", len(form) - 1)
            named = dict(zip(form, fields, strict=True))
            low, high = (
                float(re.sub(r"[<>]|\.[A-Z]{2}\.", "", named.get(f, "NONE")).replace("d", "e"))
                if named.get(f, "NONE") != "NONE"
                else default
                for f, default in (("Tmin", 0.0), ("Tmax", 1e99))
            )
            bodies = sum(f == "R" and bool(v) for f, v in zip(form, fields, strict=True))
            try:
                k = eval(in_python(named["rate"]), names)
            except OverflowError:
                k = 0.0
            yield number, k * N_H ** (bodies - 1), low, high


def self_shielding(column, b):
    x = 2e-15 * column
    return 0.965 / (1 + x / (1e-5 * b)) ** 2 + 0.035 / math.sqrt(1 + x) * math.exp(
        max(-8.5e-4 * math.sqrt(1 + x), -250.0)
    )


def test_every_rate_against_the_lines(thin, rates, shared_data):
    y = abundances(thin)
    k = np.array(rates(RateTable.of(thin), cells(), y))
    row = {int(r.where.split(":")[1]): i for i, r in enumerate(thin.reactions)}
    path = shared_data / "chemistry" / "react_COthin.jet"
    named = {n.upper().replace("E-", "E"): float(v) for n, v in zip(thin.species, y, strict=True)}
    tolerance = 1e-10 if k.dtype == np.float64 else 2e-4
    checked = set()
    for cell, T in enumerate(TEMPERATURES):
        for number, expected, low, high in by_hand(path, T, named):
            reaction = thin.reactions[row[number]]
            if reaction.orders == ("H",) and reaction.reactants == ("H", "H"):
                expected *= named["H"]
            if low < T < high and expected > 1e-37:
                assert k[row[number], cell] == pytest.approx(expected, rel=tolerance), reaction
                checked.add(number)
            elif not low <= T <= high and low < high:
                assert k[row[number], cell] == 0.0
    # one line of C+ + e- has no temperature of its own, and three-body rates may be too small
    assert len(checked) > 275


def test_h2_on_grains_goes_with_one_power_of_h(thin):
    (found,) = [r for r in thin.reactions if r.reactants == ("H", "H") and r.orders != r.reactants]
    assert found.orders == ("H",) and "n(idx_h)" not in found.law.text.lower()


def test_derivatives_are_finite(thin):
    table = RateTable.of(thin)
    wide = Conditions(jnp.array([1e-2, 1e3, 1e10]), jnp.array([2.0, 1e3, 1e8]), A_V=30.0)
    y = jnp.stack([jnp.zeros(37), abundances(thin), jnp.ones(37)], 1)

    def total(arguments):
        return jnp.sum(jnp.arctan(arguments[0](arguments[1], arguments[2])))

    gradient = jax.jit(jax.grad(total), compiler_options=QUICK)((table, wide, y))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


def test_abundances_are_asked_for(thin):
    with pytest.raises(ValueError, match=r"use densities of species; call it with abundances"):
        jax.eval_shape(RateTable.of(thin), cells())


GOOD = ["@common: user_x", "@var: a = 2d0*user_x", "@format:idx,R,R,P,Tmin,Tmax,rate"]


def read(tmp_path, *lines, functions=None):
    path = tmp_path / "network.ntw"
    path.write_text("\n".join([*GOOD, *lines]))
    if functions:
        (tmp_path / "network.jfunc").write_text(functions)
    return Network.read(path)


def test_variables_limits_and_functions(tmp_path, rates):
    network = read(
        tmp_path,
        "1,HE,H+,HEH+,>1d1,.LE.3d2,a*double(Tgas)  ! helium",
        "2,HE,H+,HEH+,>3d2,NONE,a*Tgas**2",
        "@noTabNext",
        functions="# nothing\n@function double(q)  # twice\nw = q  # it\nreturn 2 * w\n",
    )
    first, second = network.reactions
    assert first.t_max == 300.0 < second.t_min < 300.0001 and second.t_max == np.inf
    assert first.reactants == ("He", "H+") and first.outside == "zero"
    assert all(isinstance(r.law, Expression) for r in network.reactions)
    cell = Conditions(1.0, jnp.array([10.0, 20.0, 300.0, 301.0]), extras={"x": 3.0})
    k = rates(RateTable.of(network), cell, None)
    np.testing.assert_allclose(k[0], [0.0, 6 * 40.0, 6 * 600.0, 0.0])
    np.testing.assert_allclose(k[1], [0.0, 0.0, 0.0, 6 * 301.0**2], 1e-6)
    with pytest.raises(ValueError, match=r"network.ntw:4: He \+ H\+ .* extras=\{'x': ...\}"):
        jax.eval_shape(RateTable.of(network), Conditions(1.0, 20.0), None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,H,H,H2,NONE,NONE,1d-9*foo(2)", r"calls 'foo', which is not known"),
        ("1,H,H,H2,NONE,NONE,1d-9*", r"cannot be read at its end"),
        ("1,H,H,H2,NONE,1d-9", r"6 fields where '@format' has 7"),
        ("1,H,H,H2,NONE,warm,1d-9", r"temperature limit: 'warm' is no number"),
        ("1,H,H,H3,NONE,NONE,1d-9", r"does not conserve H \(\+2 -> \+3\)"),
        ("1,H,Qq,H,NONE,NONE,1d-9", r"'Qq' is no formula"),
        ("@var: a = 3", r"variable 'a' was defined before, and otherwise"),
        ("@var: b 3", r"a variable is written"),
        ("@var: b = (3", r"cannot be read at its end"),
        ("@format:idx,R,P", r"the rate is the last"),
        ("@format:idx,R,P,speed,rate", r"the rate is the last"),
    ],
)
def test_malformed_lines_are_named(tmp_path, line, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, "1,H,H,H2,NONE,NONE,1d-9", line)
    assert str(caught.value).startswith("network.ntw:5: ") and "\n" not in str(caught.value)


def test_bad_functions_and_unknown_directives(tmp_path):
    with pytest.raises(ValueError, match=r"network.jfunc:2: between '@function"):
        read(tmp_path, "1,H,H,H2,NONE,NONE,1d-9", functions="@function f(x)\nimport os\n")
    (tmp_path / "network.jfunc").unlink()
    report = read(tmp_path, "1,H,H,H2,NONE,NONE,1d-9", "@explode: 3").report
    assert "network.ntw:5: left out, the directive is unknown: '@explode: 3'" in report.dropped
