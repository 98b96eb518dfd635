"""lenstronomy's dictionaries against lenstronomy, and there and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing import light as lights
from simulators.lensing import mass as masses
from simulators.lensing.interop import (
    LIGHT,
    MASS,
    lens_from_lenstronomy,
    lens_to_lenstronomy,
    light_from_lenstronomy,
    light_to_lenstronomy,
)
from tests.properties import QUICK

pytestmark = pytest.mark.skipif(
    not jax.config.jax_enable_x64, reason="conversions are compared to rounding"
)

X, Y = np.array([0.3, -1.1, 0.4, 2.0]), np.array([0.9, 0.2, -0.7, -1.5])
SKEW = {"e1": 0.1, "e2": -0.15}
PLACE = {"center_x": 0.03, "center_y": -0.02}
IMAGE = np.random.default_rng(1).uniform(size=(9, 13))
# arguments of lenstronomy by the name of its model
LENSES = {
    "EPL": {"theta_E": 1.2, "gamma": 2.1, **SKEW, **PLACE},
    "PEMD": {"theta_E": 1.2, "gamma": 1.9, **SKEW},
    "SIE": {"theta_E": 1.2, **SKEW, **PLACE},
    "NIE": {"theta_E": 1.2, "s_scale": 0.1, **SKEW, **PLACE},
    "SIS": {"theta_E": 1.2},
    "POINT_MASS": {"theta_E": 1.2, **PLACE},
    "SHEAR": {"gamma1": 0.05, "gamma2": -0.02, "ra_0": 0.1, "dec_0": -0.3},
    "CONVERGENCE": {"kappa": 0.1, "ra_0": 0.1, "dec_0": -0.3},
    "MULTIPOLE": {"m": 4, "a_m": 0.05, "phi_m": 0.3, **PLACE},
    "NFW": {"Rs": 2.0, "alpha_Rs": 1.0, **PLACE},
    "NFW_ELLIPSE_POTENTIAL": {"Rs": 2.0, "alpha_Rs": 1.0, **SKEW, **PLACE},
    "TNFW": {"Rs": 2.0, "alpha_Rs": 1.0, "r_trunc": 3.0, **PLACE},
    "PJAFFE": {"sigma0": 1.0, "Ra": 0.2, "Rs": 2.0, **PLACE},
    "PJAFFE_ELLIPSE_POTENTIAL": {"sigma0": 1.0, "Ra": 0.2, "Rs": 2.0, **SKEW, **PLACE},
    "CHAMELEON": {"alpha_1": 1.0, "w_c": 0.2, "w_t": 2.0, **SKEW, **PLACE},
    "SERSIC": {"k_eff": 0.5, "R_sersic": 1.0, "n_sersic": 3.0, **PLACE},
}
SERSIC = {"amp": 2.0, "R_sersic": 0.7, "n_sersic": 2.5}
PROFILES = {
    "SERSIC_ELLIPSE": {**SERSIC, **SKEW, **PLACE},
    "SERSIC": SERSIC,
    "CORE_SERSIC": {**SERSIC, "Rb": 0.2, "gamma": 0.3, **SKEW, **PLACE},
    "GAUSSIAN_ELLIPSE": {"amp": 2.0, "sigma": 0.8, **SKEW, **PLACE},
    "GAUSSIAN": {"amp": 2.0, "sigma": 0.8, **PLACE},
    "UNIFORM": {"amp": 0.3},
    "SHAPELETS": {"amp": np.array([1.0, 0.5, -0.3]), "n_max": 1, "beta": 0.7, **PLACE},
    "INTERPOL": {"image": IMAGE, "amp": 1.0, "phi_G": 0.0, "scale": 0.4, **PLACE},
}


def _alpha(lenses):
    return [jnp.stack(lens.alpha(jnp.asarray(X), jnp.asarray(Y))) for lens in lenses]


def _brightness(profiles):
    return [light.brightness(jnp.asarray(X), jnp.asarray(Y)) for light in profiles]


def _same(found, given):
    """All that was given came back, and the rest is the default: zero."""
    for key, value in found.items():
        np.testing.assert_array_equal(value, given.get(key, 0.0))


def test_every_row_is_tested():
    assert set(LENSES) == set(MASS) and set(PROFILES) == set(LIGHT)


def test_lenses_of_lenstronomy():
    """All deflections by one program, and all arguments there and back."""
    model = pytest.importorskip("lenstronomy.LensModel.lens_model")
    lenses = [lens_from_lenstronomy([name], [values]) for name, values in LENSES.items()]
    found = jax.jit(_alpha, compiler_options=QUICK)(lenses)
    for (name, values), lens, alpha in zip(LENSES.items(), lenses, found, strict=True):
        # lenstronomy's PEMD, the same lens, needs Fortran
        theirs = model.LensModel(["EPL" if name == "PEMD" else name])
        expected = theirs.alpha(X, Y, [values])
        np.testing.assert_allclose(alpha, expected, rtol=1e-8, err_msg=name)
        (back,), (arguments,) = lens_to_lenstronomy(lens)
        if name not in ("PEMD", "PJAFFE"):
            assert back == name
        _same({k: v for k, v in arguments.items() if k in values or k not in SKEW}, values)


def test_light_of_lenstronomy():
    model = pytest.importorskip("lenstronomy.LightModel.light_model")
    profiles = [light_from_lenstronomy([name], [values]) for name, values in PROFILES.items()]
    brightness = jax.jit(_brightness, compiler_options=QUICK)(profiles)
    for (name, values), light, found in zip(PROFILES.items(), profiles, brightness, strict=True):
        expected = model.LightModel([name]).surface_brightness(X, Y, [values])
        np.testing.assert_allclose(found, expected, rtol=1e-9, err_msg=name)
        _, (arguments,) = light_to_lenstronomy(light)
        _same({k: v for k, v in arguments.items() if k in values}, values)


def test_sums_there_and_back():
    names = ["EPL", "SHEAR", "TNFW"]
    arguments = [LENSES[name] for name in names]
    lens = lens_from_lenstronomy(names, arguments)
    assert [type(part).__name__ for part in lens.parts] == ["EPL", "Shear", "TNFW"]
    back = lens_to_lenstronomy(lens)
    assert back == (names, arguments)
    light = light_from_lenstronomy(["SERSIC", "UNIFORM"], [SERSIC, {"amp": 1.0}])
    assert light_to_lenstronomy(light)[0] == ["SERSIC_ELLIPSE", "UNIFORM"]


def test_parameters_may_be_traced():
    def size(theta_E):
        return lens_from_lenstronomy(["SIS"], [{"theta_E": theta_E}]).deflection([1.0, 0.0])[0]

    assert jax.jit(jax.grad(size))(1.2) == 1.0


@pytest.mark.parametrize(
    ("names", "arguments", "message"),
    [
        (["GNFW"], [{}], "'GNFW' here; there are those of CHAMELEON, CONVERGENCE"),
        (["SIS"], [{"theta_E": 1.0, "e1": 0.1}], "'e1' of SIS"),
        (["PJAFFE"], [LENSES["PJAFFE"] | {"e1": 0.1}], "'e1' of PJAFFE"),
        (["CONVERGENCE"], [{}], "CONVERGENCE lacks arguments 'kappa'"),
        (["SIS"], [], "1 names and 0 dictionaries"),
        ([], [], "at least one"),
    ],
)
def test_refusals_from_lenstronomy(names, arguments, message):
    with pytest.raises(ValueError, match=message):
        lens_from_lenstronomy(names, arguments)


def test_refusals_of_light_and_to_lenstronomy():
    with pytest.raises(ValueError, match="`phi_G`"):
        light_from_lenstronomy(["INTERPOL"], [PROFILES["INTERPOL"] | {"phi_G": 0.1}])
    with pytest.raises(ValueError, match=r"PixelConvergence .*it can say Chameleon"):
        lens_to_lenstronomy(masses.PixelConvergence(IMAGE, 0.1))
    with pytest.raises(ValueError, match="SERSIC has no `e1`"):
        lens_to_lenstronomy(masses.SersicMass(0.5, 1.0, 3.0, 0.1))
    with pytest.raises(ValueError, match="has no `exact`"):
        light_to_lenstronomy(lights.Sersic(1.0, 1.0, 2.0, exact=True))
