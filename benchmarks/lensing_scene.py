"""The scene of `benchmarks/lensing.py`, and what a code written in JAX is asked for.

It imports no JAX at the top: some peers do without.
"""

import numpy as np

SHAPE, SCALE, SUPERSAMPLING = (100, 100), 0.05, 2
SIGMA = 0.1
LENS_MODELS = ["EPL", "SHEAR"]
LENS = [
    {"theta_E": 1.2, "gamma": 2.07, "e1": 0.12, "e2": -0.08, "center_x": 0.02, "center_y": -0.01},
    {"gamma1": 0.03, "gamma2": -0.04, "ra_0": 0.0, "dec_0": 0.0},
]
SOURCE = {"amp": 20.0, "R_sersic": 0.2, "n_sersic": 1.3, "e1": 0.1, "e2": 0.15}
SOURCE |= {"center_x": 0.07, "center_y": 0.04}
LIGHT = {"amp": 15.0, "R_sersic": 0.7, "n_sersic": 3.5, "e1": 0.05, "e2": -0.05}
LIGHT |= {"center_x": 0.02, "center_y": -0.01}
N_IMAGES, N_HALOES, RAYS = 64, 1000, 200


def psf_kernel():
    """A Gaussian of 0.12 arcsec, 21 x 21."""
    steps = np.arange(21) - 10
    line = np.exp(-4.0 * np.log(2.0) * (steps * SCALE / 0.12) ** 2)
    kernel = line[:, None] * line
    return kernel / kernel.sum()


def haloes():
    """Arguments of `N_HALOES` TNFW lenses, each an array."""
    rng = np.random.default_rng(2)
    Rs = 10 ** rng.uniform(-2.0, -0.7, N_HALOES)
    return {
        "Rs": Rs,
        "alpha_Rs": 0.02 * Rs,
        "r_trunc": Rs * rng.uniform(2.0, 20.0, N_HALOES),
        "center_x": rng.uniform(-2.5, 2.5, N_HALOES),
        "center_y": rng.uniform(-2.5, 2.5, N_HALOES),
    }


def rays():
    """Directions [arcsec], each (RAYS^2,)."""
    line = (np.arange(RAYS) - 0.5 * (RAYS - 1)) * (5.0 / RAYS)
    x, y = np.meshgrid(line, line)
    return x.ravel(), y.ravel()


def factors():
    """By what the parameters of `N_IMAGES` images differ from the scene's: the first by nothing."""
    noise = np.random.default_rng(0).normal(size=N_IMAGES)
    return 1.0 + 0.01 * noise * (np.arange(N_IMAGES) > 0)


def image_cases(image):
    """What a JAX code is asked for, from its function of (lens, source, light)."""
    import jax
    import jax.numpy as jnp

    params = jax.tree.map(jnp.asarray, (LENS, SOURCE, LIGHT))
    sets = jax.tree.map(lambda leaf: leaf * factors(), params)

    def one(params):
        return image(*params)

    def log_likelihood(params):
        return -0.5 * jnp.sum((one(params) / SIGMA) ** 2)

    call, gradient = jax.jit(one), jax.jit(jax.value_and_grad(log_likelihood))
    yield "image", lambda: np.asarray(call(params))
    yield "value and gradient", lambda: jax.block_until_ready(gradient(params))
    many, mapped = jax.jit(jax.vmap(one)), jax.jit(lambda sets: jax.lax.map(one, sets))
    yield f"{N_IMAGES} images, vmap", lambda: np.asarray(many(sets))
    yield f"{N_IMAGES} images, lax.map", lambda: np.asarray(mapped(sets))


def halo_cases(deflect):
    """Deflections by all haloes, and the gradient of a scalar of them with its memory."""
    import jax
    import jax.numpy as jnp

    x, y = map(jnp.asarray, rays())
    kwargs = jax.tree.map(jnp.asarray, haloes())
    one = jax.jit(deflect)
    yield f"{N_HALOES} haloes", lambda: np.stack(one(kwargs, x, y))

    def scalar(kwargs):
        ax, ay = deflect(kwargs, x, y)
        return jnp.sum(jnp.cos(ax) + 0.5 * ay * ay)

    program = jax.jit(jax.grad(scalar)).lower(kwargs).compile()
    memory = program.memory_analysis().temp_size_in_bytes / 1e6
    yield (
        f"{N_HALOES} haloes, gradient ({memory:.0f} MB)",
        lambda: jax.block_until_ready(program(kwargs)),
    )
