"""A COOLEST template, and models compared; for `tests/lensing/test_coolest*.py`."""

import jax
import numpy as np


def estimated(value):
    return {"point_estimate": {"value": value}}


def profile(name, **values):
    parameters = {key: estimated(value) for key, value in values.items()}
    return {"type": name, "parameters": parameters}


def a_template():
    """In the layout of the standard, with a profile that is not filled in."""
    place = {"center_x": 0.1, "center_y": -0.05}
    lens = {
        "name": "a lens",
        "type": "Galaxy",
        "redshift": 0.5,
        "mass_model": [
            profile("PEMD", theta_E=1.27, gamma=2.035, q=0.7, phi=32.0, **place),
            profile("SIE", theta_E=0.2, q=0.6, phi=0.0, center_x=1.0, center_y=0.0),
            profile("Chameleon", b=0.4, s_c=0.1, s_t=1.5, q=0.8, phi=-60.0, **place),
        ],
        "light_model": [
            profile("Sersic", I_eff=3.0, theta_eff=0.8, n=4.0, q=0.8, phi=-20.0, **place),
            profile("Sersic", I_eff=None, theta_eff=None, n=None, q=None, phi=None),
        ],
    }
    field = {
        "name": "a field",
        "type": "MassField",
        "redshift": 0.5,
        "mass_model": [
            profile("ExternalShear", gamma_ext=0.07, phi_ext=40.0),
            profile("ConvergenceSheet", kappa_s=0.02),
        ],
    }
    source = {
        "name": "a source",
        "type": "Galaxy",
        "redshift": 2.0,
        "mass_model": [],
        "light_model": [
            profile("Sersic", I_eff=1.0, theta_eff=0.23, n=2.3, q=0.9, phi=90.0, **place),
            profile("Shapelets", amps=[1.0, 0.2, -0.1], n_max=1, beta=0.2, **place),
        ],
    }
    pixels = {"field_of_view_x": [-3.0, 2.0], "field_of_view_y": [-2.0, 2.0]}
    return {
        "standard": "COOLEST",
        "cosmology": {"astropy_name": "FlatLambdaCDM", "H0": 73.0, "Om0": 0.3},
        "instrument": {"psf": {"type": "GaussianPSF", "fwhm": 1.2}},
        "lensing_entities": [source, lens, field],
        "observation": {
            "noise": {"type": "UniformGaussianNoise", "std_dev": 0.05},
            "pixels": pixels | {"num_pix_x": 50, "num_pix_y": 40},
        },
    }


def assert_same(one, two):
    assert jax.tree.structure(one) == jax.tree.structure(two)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
