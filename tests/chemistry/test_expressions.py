"""Arithmetic as text: what is read, what is refused, values and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.chemistry import Arrhenius, Conditions, CosmicRay, Expression, Reaction
from simulators.chemistry.arithmetic import Scope, read_functions
from simulators.chemistry.conditions import Local
from simulators.chemistry.expression_rates import template
from simulators.chemistry.expressions import densities, names, parse, unparse
from simulators.chemistry.reduce import reduce

pytestmark = pytest.mark.smoke

T, N_H = 80.0, 3e3

#: Text, and the same in Python with T and n.
VALUES = [
    ("1.5d-3+.5*2.e1", "1.5e-3+.5*2.e1"),
    ("-2**2*3", "-2**2*3"),
    ("2**-1", "2**-1"),
    ("2**3**2", "2**3**2"),
    ("1-2-3", "1-2-3"),
    ("12/2/3*2", "12/2/3*2"),
    ("-(-3)", "3"),
    ("+4", "4"),
    ("0.0_8 + 1_4", "1"),
    ("Tgas**(-.5)*T32**2", "T**-.5*(T/300)**2"),
    ("DEXP(-1d2*invT)*dsqrt(tgas)", "np.exp(-100/T)*np.sqrt(T)"),
    ("1d1**(logT)", "T"),
    ("lnTe+log(invTe)", "0"),
    ("te/8.617343d-5", "T"),
    ("sqrTgas*invsqrT*invT32*T32", "1"),
    ("min(Tgas,1d1,3d0)+max(2d0,Tgas)", "3+T"),
    ("abs(-Tgas)", "T"),
    ("merge(1d0,2d0,Tgas.gt.5d1)", "1"),
    ("merge(Tgas,2d0,Tgas<=5d1)", "2"),
    ("merge(3d0,4d0,1.lt.2)", "3"),
    ("Piecewise((1,Tgas<50),(2*Tgas,Tgas<90),(3,True))", "2*T"),
    ("Piecewise((1,Tgas<50))", "0"),
    ("user_Av+user_Tdust+user_crate*1e17+chi", "4+20+2+3"),
    ("nH+get_Hnuclei(n(:))", "2*n"),
    ("n(idx_H2)+n(idx_Hj)+n_global(idx_E)", "n*(.5+.1+.2)"),
    ("sum(n(1:nmols))", "n*.8"),
    ("user_column*2", "14"),
    ("mine*2+f(2,Tgas)", "2*(T+1)+(2*T)**2+1"),
    ("tanh(0.5)+sin(Tgas)+cos(1)", "np.tanh(.5)+np.sin(T)+np.cos(1)"),
]
DEFINED = {"mine": "other+1", "other": "Tgas"}
FUNCTIONS = {"f": (("a", "b"), ("c = a*b", "return c**2+1"))}
SPECIES = {"H2": 0.5, "H+": 0.1, "e-": 0.2, "*": 0.8}


def scope(temperature=T, defined=DEFINED):
    cell = Conditions(
        N_H, temperature, zeta=2e-17, G0=3.0, A_V=4.0, T_dust=20.0, extras={"column": 7.0}
    )
    trees = {name: parse(text, FUNCTIONS) for name, text in defined.items()}
    local = Local(cell)
    return Scope(local, trees, read_functions(FUNCTIONS), lambda name: local.n_H * SPECIES[name])


@pytest.mark.parametrize(("text", "expected"), VALUES)
def test_values(text, expected):
    tree = parse(text, FUNCTIONS)
    expected = eval(expected, {"np": np, "T": T, "n": N_H})
    tolerance = 1e-12 if jnp.zeros(()).dtype == jnp.float64 else 2e-5
    for form in (tree, parse(unparse(tree), FUNCTIONS)):
        found = np.asarray(scope().value(form)).reshape(())
        np.testing.assert_allclose(found, expected, tolerance, atol=tolerance)
    opened, numbers = template(tree)
    again = np.asarray(scope().value(opened, [jnp.asarray(x) for x in numbers])).reshape(())
    np.testing.assert_allclose(again, expected, 3 * tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "open(1)",
        "().__class__",
        "[1]",
        "lambda: 1",
        "a.b",
        "a b",
        "1..2",
        "(1",
        "1)",
        "2+",
        "",
        "a;b",
        "exp()",
        "exp(1,2)",
        "merge(1,2)",
        "n(3)",
        "n(idx_Qq)",
        "f'x'",
        "a=1",
        "(" * 100 + "1" + ")" * 100,
        "-" * 5000 + "1",
        "1+" * 5000 + "1",
        "2**" * 5000 + "1",
    ],
)
def test_what_is_no_arithmetic_is_refused(text):
    with pytest.raises(ValueError, match=r"^(expression|species): ") as caught:
        parse(text)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


def test_the_longest_expression_that_is_read_has_a_value():
    assert scope().value(parse("1+" * 298 + "1")) == 299.0
    assert scope().value(parse("2**" * 4 + "1")) == 65536.0
    assert scope().value(parse("(" * 59 + "1" + ")" * 59)) == 1.0


def test_names_and_densities():
    tree = parse("exp(-mine)*n(idx_H2)/get_hnuclei(n(:))")
    assert names(tree) == {"exp", "mine", "get_hnuclei"} and densities(tree) == {"H2"}


@pytest.mark.parametrize(
    ("defined", "message"),
    [
        ({}, r"uses 'mine', which is not given; .* extras=\{'mine': ...\}"),
        ({"mine": "other", "other": "mine"}, r"'mine' is defined by itself"),
    ],
)
def test_names_without_a_meaning(defined, message):
    with pytest.raises(ValueError, match=message):
        scope(defined=defined).value(parse("2*mine"))


@pytest.mark.parametrize(
    "text",
    [
        "(Tgas-80)**.5",
        "1/(Tgas-80)",
        "log(Tgas-80)",
        "exp(Tgas*1d9)",
        "exp(-Tgas*1d9)**.3",
        "0*Tgas**1d3",
        "1d-17/(1d-17+Tgas*1d-38)",
        "sqrt(0*Tgas)",
        "Piecewise((sqrt(Tgas-90),Tgas>90),(1,True))",
        "(Tgas-80)**(Tgas-80)",
        "(Tgas-80)**(-2)",
    ],
)
def test_derivatives_stay_finite_where_the_formula_breaks(text):
    tree = parse(text)

    def value(temperature):
        return jnp.sum(jnp.arctan(scope(temperature).value(tree)))

    found = jax.value_and_grad(value)(jnp.asarray(T))
    assert np.all(np.isfinite(found))


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("2d-16*T32**(-1.3)*exp(-23*invT)", Arrhenius(2e-16, -1.3, 23.0)),
        ("3d-9", Arrhenius(3e-9)),
        ("1.35d-10*T32*1.2*exp(-9610.*invT)", Arrhenius(1.62e-10, 1.0, 9610.0)),
        ("4d-10/sqrt(3d2*invT)/exp(1d2/Tgas)", Arrhenius(4e-10, 0.5, 100.0)),
        ("1d-9*exp(-(1d2+2d2)*invT)*exp(5d1/Tgas)", Arrhenius(1e-9, 0.0, 250.0)),
        ("hidden*2", Arrhenius(2 * 300.0**0.25, 0.25)),
        ("1d-9*exp(-Tgas)", None),
        ("1d-9+1d-10*T32", None),
        ("1d-9*log(Tgas)", None),
        ("1d-9*user_Av", None),
        ("1d-9*(T32-1)**.5", None),
    ],
)
def test_laws_in_disguise(text, law):
    reaction = Reaction(("C", "O"), ("CO",), Expression(text))
    found = reduce(reaction, {"hidden": "Tgas**.25"}, {}).law
    if law is None:
        assert found == Expression(text)
    else:
        for name in ("alpha", "beta", "gamma"):
            assert getattr(found, name) == pytest.approx(getattr(law, name), rel=1e-12)


def test_cosmic_rays_in_disguise_and_divided_densities():
    one = Reaction(("H2",), ("H", "H"), Expression("1d-1*user_crate"))
    assert reduce(one, {}, {}).law == CosmicRay(0.1)
    two = Reaction(("H", "H"), ("H2",), Expression("3d-18*sqrt(Tgas)/n(idx_H)*nH"))
    found = reduce(two, {}, {})
    assert found.orders == ("H",)
    assert parse(found.law.text) == parse("3e-18*sqrt(Tgas)*nH")
