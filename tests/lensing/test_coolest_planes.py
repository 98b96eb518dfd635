"""What COOLEST templates may hold beside one lens and one source: planes, estimates, no model."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing import mass as masses
from simulators.lensing.coolest import CoolestModel, from_coolest, to_coolest
from simulators.lensing.grid import Grid
from simulators.lensing.image import render
from simulators.lensing.psf import PSF
from tests.coolest_template import a_template, assert_same, profile

pytestmark = pytest.mark.skipif(
    not jax.config.jax_enable_x64, reason="conversions are compared to rounding"
)


def test_several_planes_and_sources():
    """Deflections in front of a nearer source are less by the distances; light is where it is."""
    template = a_template()
    source, lens, field = template["lensing_entities"]
    nearer = source | {"name": "another source", "redshift": 1.5}
    nearer = nearer | {"light_model": source["light_model"][:1]}
    satellite = lens | {"redshift": 0.3, "light_model": [], "mass_model": lens["mass_model"][1:2]}
    template["lensing_entities"] = [nearer, source, lens, field, satellite]
    model = from_coolest(template)
    np.testing.assert_allclose(model.z_lens, [0.3, 0.5, 1.5])
    assert model.z_source == 2.0 and [light is None for light in model.lens_light] == [True, 0, 0]
    assert type(model.lens.lenses[2]) is masses.Sheet
    # with the one plane at 0.5
    template["lensing_entities"] = [nearer, source, lens, field]
    model = from_coolest(template)
    distance = model.cosmology.between(jnp.asarray([0.5, 1.5, 2.0]))
    ratio = distance(0, 1) * distance(None, 2) / (distance(None, 1) * distance(0, 2))
    at = jnp.asarray([1.1]), jnp.asarray([-0.4])
    first, last = model.lens.rays(*at)[1:]
    one = from_coolest(a_template())
    for c, pull, there, far in zip(at, one.lens.alpha(*at), first, last, strict=True):
        np.testing.assert_allclose(there, c - ratio * pull, rtol=1e-12)
        np.testing.assert_allclose(far, c - pull, rtol=1e-12)
    assert 0.8 < ratio < 1.0
    # the image is that of one source, and the nearer one's seen through the weaker lens
    light = model.lens_light[1]
    x, y = model.grid.centres()
    ax, ay = one.lens.alpha(x, y)
    extra = light.brightness(x - ratio * ax, y - ratio * ay) * 0.01
    expected = PSF.gaussian(0.12, 0.1, 11).convolve(extra)
    np.testing.assert_allclose(model.render() - one.render(), expected, atol=1e-12)
    assert_same(from_coolest(to_coolest(model)), model)
    planes = model.lens
    dark = CoolestModel(planes, model.source, None, planes.redshifts, 2.0)
    assert from_coolest(to_coolest(dark)).lens_light == (None, None)
    for light in (model.source, (None,)):
        with pytest.raises(ValueError, match=r"for 2 lens plane\(s\).* an entry a plane"):
            CoolestModel(planes, model.source, light, planes.redshifts, 2.0)
    with pytest.raises(ValueError, match=r"for 1 lens plane\(s\)"):
        CoolestModel(planes.lenses[0], None, (model.source,), 0.5, 2.0)


def test_render_is_that_of_its_parts():
    model = from_coolest(a_template())
    psf = PSF.gaussian(0.12, 0.1, 11)
    expected = render(model.lens, model.source, model.lens_light, model.grid, psf)
    np.testing.assert_allclose(model.render(), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="no `grid`"):
        eqx.tree_at(lambda m: m.grid, model, None).render()
    bare = CoolestModel(masses.SIS(1.0), None, None, 0.5, 2.0, grid=Grid((3, 3), 0.1))
    with pytest.raises(ValueError, match="no light"):
        bare.render()


def test_one_plane_or_none():
    """A lens alone, a source alone, and a template that holds an instrument only."""
    template = a_template()
    source, lens, field = template["lensing_entities"]
    found = []
    for entities in ([lens, field], [source], []):
        template["lensing_entities"] = entities
        model = from_coolest(template)
        assert_same(from_coolest(to_coolest(model)), model)
        parts = model.lens, model.lens_light, model.source, model.z_lens, model.z_source
        found.append([part is not None for part in parts])
    assert found == [[1, 1, 0, 1, 0], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0]]
    assert model.grid.shape == (40, 50) and model.psf_fwhm is not None


def test_order_of_fields_is_kept():
    template = a_template()
    source, lens, field = template["lensing_entities"]
    template["lensing_entities"] = [field, lens, field, source]
    model = from_coolest(template)
    assert [type(part) for part in model.lens.parts[:3]] == [masses.Shear, masses.Sheet, masses.EPL]
    assert_same(from_coolest(to_coolest(model)), model)


def test_angles_without_effect_and_zero_cores():
    """What is round needs no angle, and a core of zero is none."""
    place = {"center_x": 0.0, "center_y": 0.0}
    rows = [
        profile("NIE", theta_E=1.0, r_core=0.0, q=1.0, phi=None, **place),
        profile("SPEMD", theta_E=1.0, gamma=2.2, r_core=0, q=0.8, phi=10.0, **place),
        profile("ExternalShear", gamma_ext=0.0, phi_ext=None),
    ]
    template = a_template()
    template["lensing_entities"][1]["mass_model"] = rows
    model = from_coolest(template)
    assert [type(part) for part in model.lens.parts[:3]] == [masses.SIE, masses.EPL, masses.Shear]
    assert model.lens.parts[0].e1 == 0.0 and model.lens.parts[2].gamma1 == 0.0


def test_estimates_and_profiles_to_skip():
    template = a_template()
    lens = template["lensing_entities"][1]
    for row in lens["mass_model"]:
        for parameter in row["parameters"].values():
            value = parameter["point_estimate"]["value"]
            parameter["posterior_stats"] = {"mean": value, "median": 0.9 * value}
    lens["mass_model"].append(profile("NFW", r_s=1.0))
    template["lensing_entities"] = [lens]
    kept = from_coolest(template, skip=("NFW", "Chameleon")).lens.parts
    assert [type(part) for part in kept] == [masses.EPL, masses.SIE]
    # the light has no posterior
    model = from_coolest(template, estimate="median", skip="NFW")
    np.testing.assert_allclose(model.lens.parts[0].theta_E, 0.9 * 1.27)
    assert model.lens_light is None
    with pytest.raises(ValueError, match="`estimate` = 'mode'; give one of point, mean, median"):
        from_coolest(template, estimate="mode")


def test_pickled_templates():
    """As jsonpickle writes them: of classes by name, which are not looked at."""

    def pickled(value):
        if isinstance(value, dict):
            rest = {key: pickled(v) for key, v in value.items()}
            return {"py/object": "os.system"} | rest
        if isinstance(value, list):
            kind = "py/tuple" if all(isinstance(v, float) for v in value) else "py/seq"
            return {"py/object": "a.List", kind: [pickled(v) for v in value]}
        return value

    assert_same(from_coolest(pickled(a_template())), from_coolest(a_template()))
