"""What every light profile keeps, run for each row of the table."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.light import (
    Composite,
    CoreSersic,
    Gaussian,
    PixelSource,
    Sersic,
    Shapelets,
    Uniform,
)
from tests.lensing.light.table import CASES as ALL
from tests.lensing.light.table import random_points, special_points
from tests.properties import along, assert_compiles_nothing, assert_pytree, steps_of

CASES = {name: case for name, case in ALL.items() if not case.only_peer}
RANDOM = random_points(96, seed=1)
POINTS = tuple(jnp.concatenate(pair) for pair in zip(RANDOM, special_points(), strict=True))
COUNT = len(RANDOM[0])
AT_RANDOM, AT_SPECIAL = slice(0, COUNT), slice(COUNT, None)
#: The step of a parameter that is zero.
AT_ZERO = 0.3
names = pytest.mark.parametrize("name", CASES)


def _loss(light, x, y, weight):
    return jnp.sum(weight * light.brightness(x, y))


# Per row, not for the table: rows of one class share a program.
@jax.jit
def _evaluate_one(light, x, y, weight, direction):
    loss, reverse = jax.value_and_grad(_loss, argnums=(0, 1, 2))(light, x, y, weight)
    out = {"value": light.brightness(x, y), "loss": loss, "reverse": reverse}
    if x.dtype == jnp.float32:  # the rest needs double precision to say anything
        return out
    _, forward = jax.jvp(lambda p: _loss(p, x, y, weight), (light,), (direction,))
    return out | {"forward": forward}


@jax.jit
def _batch(lights, x, y):
    return jax.vmap(lambda light: light.brightness(x, y))(lights)


def evaluate(lights, x, y, weight, directions):
    return {k: _evaluate_one(lights[k], x, y, weight, directions[k]) for k in lights}


def _lights(dtype):
    return jax.tree.map(lambda p: p.astype(dtype), {k: c.light for k, c in CASES.items()})


@functools.cache
def _results(dtype, weigh="random", step=0.0, shift=None):
    lights = _lights(dtype)
    directions = steps_of(lights, AT_ZERO)
    moved = jax.tree.map(lambda p, d: p + step * d, lights, directions)
    points = [np.array(p) for p in POINTS]
    if shift is not None:
        points[shift[0]] += shift[1]
    weight = np.zeros(len(points[0]))
    weight[{"random": AT_RANDOM, "special": AT_SPECIAL}[weigh]] = 1.0
    arrays = (jnp.asarray(v, dtype) for v in (*points, weight))
    return jax.device_get(evaluate(moved, *arrays, directions))


@names
@pytest.mark.parametrize("axis", [0, 1])
def test_gradient_of_the_brightness(name, axis):
    # weights are one, so that the loss's gradient is that of each point
    gradient = _results("float64")[name]["reverse"][1 + axis][AT_RANDOM]
    h = 1e-7
    up, down = (_results("float64", shift=(axis, s))[name]["value"] for s in (h, -h))
    size = np.abs(up[AT_RANDOM]) / 1e-3 + 1.0  # the innermost points are 2e-3 from the centre
    np.testing.assert_allclose(
        (up - down)[AT_RANDOM] / (2.0 * h) / size, gradient / size, rtol=0, atol=1e-6
    )


@names
def test_parameter_gradients(name):
    out = _results("float64")[name]
    steps = jax.device_get(steps_of(_lights("float64"), AT_ZERO)[name])
    reverse, size = along(out["reverse"][0], steps)
    assert abs(reverse - out["forward"]) < 1e-10 * size
    h = 1e-6
    up, down = (_results("float64", step=s)[name]["loss"] for s in (h, -h))
    if name == "CoreSersic-coreless":  # Rb is at the edge of its support: no central difference
        return
    assert abs((up - down) / (2.0 * h) - out["forward"]) < 1e-6 * size


@names
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_finite_everywhere(name, dtype):
    out = _results(dtype, weigh="special")[name]
    for key, leaf in jax.tree.leaves_with_path(out):
        assert np.all(np.isfinite(leaf)), jax.tree_util.keystr(key)


@names
def test_float32(name):
    single, double = _results("float32")[name], _results("float64")[name]
    assert {leaf.dtype for leaf in jax.tree.leaves(single)} == {np.dtype("float32")}
    one, two = single["value"].astype(float), double["value"]
    # positions near the centre, and the logarithm of the brightness far out, lose digits
    size = np.abs(two) + 2e-3 * np.abs(two).max()
    assert np.max(np.abs(one - two) / size) < 2e-3
    assert np.median(np.abs(one - two) / size) < 2e-6


@names
def test_batch_of_parameters(name):
    lights = _lights("float64")
    direction = steps_of(lights, AT_ZERO)[name]
    stacked = jax.tree.map(lambda p, d: jnp.stack([p, p + 1e-2 * d]), lights[name], direction)
    batch = _batch(stacked, *POINTS)
    value = _results("float64")[name]["value"]
    np.testing.assert_allclose(batch[0], value, rtol=1e-11, atol=1e-30)
    assert not np.allclose(batch[1], batch[0], rtol=1e-6, atol=0.0)


def test_without_flux_all_is_zero():
    lights = _lights("float64")
    field = {k: "amp" if hasattr(v, "amp") else "values" for k, v in lights.items()}
    del field["Composite"]
    for k, name in field.items():
        lights[k] = eqx.tree_at(
            lambda p, name=name: getattr(p, name), lights[k], replace_fn=jnp.zeros_like
        )
    weight = jnp.ones(len(POINTS[0]))
    out = jax.device_get(evaluate(lights, *POINTS, weight, steps_of(lights, AT_ZERO)))
    for k in field:
        assert not np.any(out[k]["value"]), k
        assert all(np.all(np.isfinite(v)) for v in jax.tree.leaves(out[k])), k


def test_any_sersic_index():
    def brightness(n, radius, exact):
        return Sersic(1.0, 0.5, n, exact=exact).brightness(radius, 0.0 * radius)

    n = jnp.asarray([1e-3, 0.02, 0.1, 0.163, 0.2, 0.5, 1.0, 4.0, 10.0, 30.0])
    radius = jnp.asarray([0.0, 1e-9, 1e-4, 0.5, 3.0, 1e3, 1e5])

    @jax.jit
    def all_of_it(n, radius):
        out = []
        for exact in (False, True):
            profile = functools.partial(brightness, exact=exact)
            out += [
                jax.vmap(lambda n, f=profile: jax.jvp(lambda m: f(m, radius), (n,), (n,)))(n),
                jax.grad(lambda r, f=profile: jnp.sum(f(n[7], r)))(radius),
            ]
        return out

    for dtype in ("float64", "float32"):
        for leaf in jax.tree.leaves(all_of_it(n.astype(dtype), radius.astype(dtype))):
            assert leaf.dtype == dtype and np.all(np.isfinite(leaf))


def test_traced_parameters_at_the_edge():
    """Values that the constructors refuse stay finite where a sampler steps on them."""

    @jax.jit
    def slopes(radius, e1, rb):
        def total(radius, e1, rb):
            x = jnp.asarray([0.0, 0.3])
            light = Sersic(1.0, radius, 4.0, e1=e1) + CoreSersic(1.0, radius, rb, 4.0, 0.2, e1=e1)
            return jnp.sum(light.brightness(x, x))

        return jax.value_and_grad(total, argnums=(0, 1, 2))(radius, e1, rb)

    for leaf in jax.tree.leaves(slopes(0.0, 1.0, 0.0)):
        assert np.isfinite(leaf)


def test_new_values_compile_nothing(compilations):
    lights = _lights("float64")
    directions = steps_of(lights, AT_ZERO)
    other = jax.tree.map(lambda p: p * 1.001 + 0.0, lights)
    fixed = (*POINTS, jnp.ones(len(POINTS[0])), directions)
    assert_compiles_nothing(compilations, evaluate, (lights, *fixed), (other, *fixed))


@names
def test_pytree_round_trip(name):
    assert_pytree(CASES[name].light)


def test_sums():
    bulge, disc, sky = Gaussian(1.0, 0.5), Gaussian(1.0, 1.5, 0.1), Uniform(0.1)
    light = sum([bulge, disc + sky])
    assert len(light.parts) == 3
    x, y = RANDOM
    parts = [part.brightness(x, y) for part in (bulge, disc, sky)]
    np.testing.assert_allclose(light.brightness(x, y), sum(parts), rtol=1e-14)
    np.testing.assert_allclose(light.basis(x, y), jnp.stack(parts), rtol=1e-14)
    theta = jnp.stack(RANDOM, axis=-1)
    np.testing.assert_allclose(light.surface_brightness(theta), sum(parts), rtol=1e-14)
    with pytest.raises(TypeError):
        bulge + 1.0
    with pytest.raises(TypeError, match="light profiles"):
        Composite(bulge, 1.0)
    with pytest.raises(ValueError, match="no parts"):
        Composite()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Sersic(1.0, -0.5, 4.0), "Sersic.*`R_sersic` = -0.5.*above 0"),
        (lambda: Sersic(1.0, 0.5, 0.0), "Sersic.*`n_sersic` = 0.0.*above 0"),
        (lambda: Sersic(np.inf, 0.5, 4.0), "Sersic.*`amp` = inf.*finite"),
        (lambda: Sersic(1.0, 0.5, 4.0, e1=0.8, e2=0.7), "`e1` = 0.8, `e2` = 0.7.*below 1"),
        (lambda: Gaussian(1.0, 0.5, e1=np.nan), "`e1` = nan.*below 1"),
        (lambda: CoreSersic(1.0, 0.5, -0.1, 4.0, 0.2), "CoreSersic.*`Rb` = -0.1.*>= 0"),
        (lambda: CoreSersic(1.0, 0.5, 0.1, 4.0, 0.2, alpha=0.0), "`alpha` = 0.0.*above 0"),
        (lambda: Gaussian(1.0, 0.0), "Gaussian.*`sigma` = 0.0.*above 0"),
        (lambda: Uniform(np.nan), "Uniform.*`amp` = nan"),
        (lambda: Shapelets([1.0, 2.0], 1, 0.3), r"Shapelets.*shape \(2,\).*n_max = 1.*\(3,\)"),
        (lambda: Shapelets([1.0], -1, 0.3), "Shapelets.*`n_max` = -1.*>= 0"),
        (lambda: Shapelets([1.0], 0, 0.0), "Shapelets.*`beta` = 0.0.*above 0"),
        (lambda: PixelSource([1.0], 0.1), r"PixelSource.*`values` has shape \(1,\).*\(H, W\)"),
        (lambda: PixelSource([[1.0]], 0.1, order=2), "PixelSource.*`order` = 2; give 1 or 3"),
        (lambda: PixelSource([[1.0]], 0.0), "PixelSource.*`pixel_scale` = 0.0.*above 0"),
        (lambda: Uniform(1.0).surface_brightness([1.0, 2.0, 3.0]), "Uniform.*`theta`"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(ValueError, match=words):
        make()
