"""COOLEST templates: their conventions, there and back, and what cannot be said."""

import copy
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing import light as lights
from simulators.lensing import mass as masses
from simulators.lensing.coolest import (
    CoolestModel,
    from_coolest,
    read_coolest,
    to_coolest,
    write_coolest,
)
from simulators.lensing.coolest_profiles import LIGHT, MASS
from simulators.lensing.cosmology import Cosmology
from simulators.lensing.grid import Grid
from tests.coolest_template import a_template, assert_same, estimated, profile

pytestmark = pytest.mark.skipif(
    not jax.config.jax_enable_x64, reason="conversions are compared to rounding"
)


def test_template_is_read():
    model = from_coolest(a_template())
    assert [type(part).__name__ for part in model.lens.parts] == [
        "EPL",
        "SIE",
        "Chameleon",
        "Shear",
        "Sheet",
    ]
    assert type(model.lens_light) is lights.Sersic and len(model.source.parts) == 2
    assert (model.z_lens, model.z_source, model.cosmology.H0) == (0.5, 2.0, 73.0)
    np.testing.assert_allclose([model.noise, model.psf_fwhm, model.pixel_size], [0.05, 0.12, 0.1])
    grid = model.grid
    assert grid.shape == (40, 50) and (grid.pixel_scale, grid.center_x) == (0.1, -0.5)
    x, y = grid.centres()
    np.testing.assert_allclose([x[0, 0], y[0, 0]], [-2.95, -1.95], rtol=1e-12)


def test_conventions():
    """Position angles from +y to -x, radii along the intermediate axis: by what the lenses do."""
    model = from_coolest(a_template())
    epl, sie, chameleon, shear, _ = model.lens.parts
    # phi = 0 is along y; the ellipse of mean convergence one has axes theta_E sqrt(q), 1 / sqrt(q)
    along = sie.kappa(jnp.asarray([1.0, 1.0 + 0.2 * 0.6**0.5]), jnp.asarray([0.2 * 0.6**-0.5, 0.0]))
    np.testing.assert_allclose(along, 0.5, rtol=1e-12)
    # phi = 32 degrees to the left of +y is the major axis
    phi, q, size = np.radians(32.0), 0.7, 1.27
    major, minor = np.array([-np.sin(phi), np.cos(phi)]), np.array([np.cos(phi), np.sin(phi)])
    points = 0.1, -0.05
    x, y = (np.stack([major / q**0.5, minor * q**0.5]) * size + points).T
    np.testing.assert_allclose(epl.kappa(*map(jnp.asarray, (x, y))), 0.5 * (3 - 2.035), rtol=1e-12)
    # the definition of COOLEST, in the frame of the major axis
    phi, q, at = np.radians(-60.0), 0.8, np.array([0.7, -0.4])
    u, v = at @ [-np.sin(phi), np.cos(phi)], at @ [np.cos(phi), np.sin(phi)]
    core, cut = (1.0 / np.sqrt(q * u**2 + v**2 / q + s**2) for s in (0.1, 1.5))
    found = chameleon.kappa(*map(jnp.asarray, at + points))
    np.testing.assert_allclose(found, 0.2 * (core - cut), rtol=1e-12)
    # images are stretched along the shear: it deflects away from the centre there
    phi = np.radians(40.0)
    at = np.array([-np.sin(phi), np.cos(phi)])
    np.testing.assert_allclose(shear.deflection(at), 0.07 * at, rtol=1e-12)


def test_lenstronomy_reads_the_same():
    """Its x is to the left: e1 and gamma1 agree, and e2 and gamma2 have the other sign."""
    read = pytest.importorskip("lenstronomy.Util.coolest_read_util")
    epl, *_, shear, _ = from_coolest(a_template()).lens.parts
    e1, e2 = read.qphi_coolest_to_e1e2_lenstronomy(0.7, 32.0)
    np.testing.assert_allclose([epl.e1, -epl.e2], [e1, e2], rtol=1e-12)
    g1, g2 = read.gamma_phi_coolest_to_g1_g2_lenstronomy(0.07, 40.0)
    np.testing.assert_allclose([shear.gamma1, -shear.gamma2], [g1, g2], rtol=1e-12)


def test_there_and_back(tmp_path):
    model = from_coolest(a_template())
    path = tmp_path / "template.json"
    write_coolest(path, model)
    assert_same(read_coolest(path), model)
    values = json.loads(path.read_text())["lensing_entities"][0]["mass_model"][0]["parameters"]
    given = a_template()["lensing_entities"][1]["mass_model"][0]["parameters"]
    for key, parameter in given.items():
        expected = parameter["point_estimate"]["value"]
        np.testing.assert_allclose(values[key]["point_estimate"]["value"], expected, rtol=1e-12)
    # what a template does not have to say
    bare = CoolestModel(masses.SIS(1.0), None, None, 0.5, 2.0, Cosmology(67.0, 0.31))
    again = from_coolest(to_coolest(bare))
    assert type(again.lens) is masses.SIE and again.cosmology.H0 == 67.0
    assert again.source is again.lens_light is again.grid is again.noise is None
    assert {row.kind for row in (*MASS.values(), *LIGHT.values())} == {
        masses.SIE, masses.EPL, masses.Chameleon, masses.Shear, masses.Sheet,
        masses.PixelPotential, lights.Sersic, lights.Shapelets, lights.Uniform, lights.PixelSource,
    }  # fmt: skip


ROUND = {"theta_E": 1.0, "q": 1.0, "center_x": 0.0, "center_y": 0.0}


def _changed(**changes):
    """The template with values at paths such as 'lensing_entities.1.redshift'."""
    template = copy.deepcopy(a_template())
    for path, value in changes.items():
        *steps, last = [int(s) if s.isdigit() else s for s in path.split("__")]
        part = template
        for step in steps:
            part = part[step]
        part[last] = value
    return template


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"standard": "other"}, "no COOLEST template"),
        ({"lensing_entities__1__redshift": None}, "redshift of 'a lens' is None; give a number"),
        ({"lensing_entities__1__redshift": "0.5"}, "redshift of 'a lens' is '0.5'"),
        (
            {"lensing_entities__1__mass_model__0__type": "NFW"},
            r"NFW of 'a lens': .* no unit\); there are .* SIE, PEMD.* skip=\('NFW',\)",
        ),
        ({"lensing_entities__1__mass_model__0__parameters__q": {}}, "for 'q' of PEMD of 'a lens'"),
        (
            {"lensing_entities__1__mass_model__0__parameters__q": estimated(0.0)},
            "PEMD of 'a lens': `q` = 0.0",
        ),
        (
            {"lensing_entities__1__mass_model__0__parameters__q": estimated("0.7")},
            "PEMD of 'a lens': .*'str'",
        ),
        (
            {"lensing_entities__1__mass_model__0__parameters__gamma": estimated(3.5)},
            "PEMD of 'a lens': EPL: argument `gamma`",
        ),
        (
            {
                "lensing_entities__1__mass_model": [
                    profile(
                        "NIE", theta_E=1.0, r_core=0.2, q=0.8, phi=0.0, center_x=0.0, center_y=0.0
                    )
                ]
            },
            "NIE of 'a lens': `r_core` = 0.2, .* give 0",
        ),
        (
            {"lensing_entities__0__mass_model": [profile("ConvergenceSheet", kappa_s=0.1)]},
            "has mass",
        ),
        ({"cosmology__astropy_name": "Flatw0waCDM"}, "Flatw0waCDM"),
        ({"observation__pixels__num_pix_x": 40}, "not square"),
        ({"observation__pixels__field_of_view_x": [2.0, -3.0]}, "from 2.0 to -3.0 .* increasing"),
        ({"instrument__pixel_size": 0.2}, "0.1 arcsec by the image's field of view and 0.2 by"),
        ({"observation": {}}, "1.2 pixels wide, .* give `pixel_size`"),
        ({"meta": {"py/id": 3}}, "'py/id'.*dump_simple"),
    ],
)
def test_refusals_from_coolest(changes, message):
    with pytest.raises(ValueError, match=message):
        from_coolest(_changed(**changes))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("lens", masses.NFW(1.0, 1.0), "NFW in COOLEST; there are those of SIE, EPL"),
        ("lens", masses.Shear(0.1, 0.0, 1.0), "`center_x`"),
        ("source", lights.Sersic(1.0, 1.0, 2.0, exact=True), "`exact`"),
        ("grid", Grid((3, 3), 0.1, 0.2), "turned"),
        ("grid", Grid((4, 4), 0.5, 0.0, 1.0, 1.0), "begins at the origin"),
        ("z_lens", None, "the lens has no redshift"),
        ("cosmology", Cosmology(w=-0.9), "flat LCDM"),
    ],
)
def test_refusals_to_coolest(field, value, message):
    model = from_coolest(a_template())
    replaced = eqx.tree_at(lambda m: getattr(m, field), model, value)
    with pytest.raises(ValueError, match=message):
        to_coolest(replaced)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_coolest(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match="no JSON file"):
        read_coolest(tmp_path / "bad.json")
