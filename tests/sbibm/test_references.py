"""The reader of the wheel on a small one, and the published posteriors against our tasks.

What needs the real wheel looks for it at the path in SBIBM_WHEEL, then in ../shared. The published
tables are fixed, so these comparisons have no false alarms from run to run; thresholds are those of
the stated number of standard errors.
"""

import bz2
import math
import os
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from benchmarks.sbibm.bernoulli_glm import design_matrix
from benchmarks.sbibm.references import References
from benchmarks.sbibm.tasks import TASKS, task

SHARED = Path(__file__).parents[3] / "shared"
FOLDER = "sbibm/tasks/slcp/files/num_observation_1"


@pytest.fixture(scope="module")
def wheel():
    path = Path(os.environ.get("SBIBM_WHEEL", SHARED))
    if path.is_dir() and not (any(path.glob("sbibm-*.whl")) or (path / "sbibm").is_dir()):
        pytest.skip("no sbibm wheel: set SBIBM_WHEEL, or put it in ../shared")
    return path


@pytest.fixture(scope="module")
def references(wheel):
    return References(wheel)


# ------------------------------------------------------------------------------- without the wheel


def write_wheel(folder, samples=b"a,b\n1,2\n3,4\n"):
    path = folder / "sbibm-1.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{FOLDER}/observation.csv", "x,y,z\n1,2.5,-3\n")
        archive.writestr(f"{FOLDER}/true_parameters.csv", "a,b\n0.5,1e-3\n")
        name = f"{FOLDER}/reference_posterior_samples.csv.bz2"
        archive.writestr(name, bz2.compress(samples))
    return path


@pytest.mark.smoke
def test_wheel_folder_of_the_wheel_and_unzipped_wheel_read_the_same(tmp_path):
    path = write_wheel(tmp_path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unzipped")
    for place in (path, str(path), tmp_path, tmp_path / "unzipped"):
        references = References(place)
        np.testing.assert_array_equal(references.observation("slcp", 1), [1.0, 2.5, -3.0])
        np.testing.assert_array_equal(references.true_parameters("slcp", 1), [0.5, 1e-3])
        samples = references.posterior_samples("slcp", 1)
        np.testing.assert_array_equal(samples, [[1.0, 2.0], [3.0, 4.0]])
        assert samples.dtype == np.float64


def test_absent_wheel_names_the_remedy(tmp_path):
    remedy = r"pip download --no-deps sbibm==1\.1\.0"
    with pytest.raises(FileNotFoundError, match=remedy):
        References(tmp_path / "sbibm-1.1.0.whl")
    with pytest.raises(FileNotFoundError, match=remedy):
        References(tmp_path)
    (tmp_path / "other").write_text("not a wheel")
    with pytest.raises(ValueError, match=f"is no wheel.*{remedy}"):
        References(tmp_path / "other")
    with zipfile.ZipFile(tmp_path / "empty.whl", "w") as archive:
        archive.writestr("sbi/inference.py", "")
    with pytest.raises(FileNotFoundError, match=f"holds no sbibm/tasks.*{remedy}"):
        References(tmp_path / "empty.whl")


def test_what_the_wheel_lacks_or_holds_damaged_is_named(tmp_path):
    references = References(write_wheel(tmp_path))
    for name, number in (("sclp", 1), ("slcp", 11)):
        with pytest.raises(ValueError, match=f"task '{name}', observation {number}, is not in"):
            references.observation(name, number)
    for damaged in (b"a,b\n1,2\n3\n", b"a,b\n1,what\n"):
        references = References(write_wheel(tmp_path, damaged))
        with pytest.raises(ValueError, match="observation 1, is damaged in"):
            references.posterior_samples("slcp", 1)
    references = References(write_wheel(tmp_path, b"a,b\n1,nan\n"))
    with pytest.raises(ValueError, match="observation 1, holds non-finite values"):
        references.posterior_samples("slcp", 1)
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    (folder / "reference_posterior_samples.csv.bz2").write_bytes(b"BZh9 cut off")
    with pytest.raises(ValueError, match="observation 1, is damaged in"):
        References(tmp_path).posterior_samples("slcp", 1)


# ---------------------------------------------------------------------------------- with the wheel


@pytest.mark.parametrize("name", TASKS)
def test_tables_have_the_shapes_of_the_task(name, references):
    prior = task(name).model.prior
    for number in range(1, task(name).n_observations + 1):
        theta = references.true_parameters(name, number)
        assert theta.shape == (prior.dim,)
        assert references.observation(name, number).ndim == 1
        assert np.isfinite(prior.log_prob({"theta": jnp.asarray(theta)}))
    assert references.posterior_samples(name, 10).shape == (10_000, prior.dim)


@pytest.mark.parametrize("name", TASKS)
def test_observations_are_typical_of_the_true_parameters(name, references):
    simulator = task(name).model.simulator

    @jax.jit
    def log_likelihoods(theta, x, keys):
        params = {"theta": theta}
        drawn = jax.vmap(lambda key: simulator.simulate(key, params))(keys)
        both = jnp.concatenate([x[None], drawn])
        return jax.vmap(lambda x: simulator.log_likelihood(params, x))(both)

    def rank(of_theta, of_x):
        theta, x = references.true_parameters(name, of_theta), references.observation(name, of_x)
        observed, *drawn = np.asarray(log_likelihoods(jnp.asarray(theta), jnp.asarray(x), keys))
        return np.mean(np.array(drawn) < observed)

    keys = jax.random.split(jax.random.key(0), 1000)
    ranks = [rank(number, number) for number in range(1, 11)]
    # Uniform where data and simulator agree. One of the eighty, sir's number 10, is a rare draw: it
    # counts 2 where 0.07 are expected.
    assert np.sort(ranks)[1] > 1e-3
    assert np.mean(ranks) == pytest.approx(0.5, abs=3 / math.sqrt(120))
    assert rank(1, 2) < 1e-3


def score_z(name, references, n):
    r"""A function of (observation, shift): E[d log p(u | x) / du] over its first n samples.

    In standard errors, shape (D,). u is unconstrained, so the integral of a density's gradient
    vanishes. Likelihood, prior, parametrisation and the reading of the data enter together.
    """
    model = task(name).model

    @jax.jit
    def scores(x, samples, shift):
        target = model.condition(x)

        def score(theta):
            u = model.prior.to_unconstrained({"theta": theta})
            return jax.jacfwd(target.unguarded)(u + shift)

        return jax.vmap(score)(samples)

    def z(number, shift=0.0):
        x = references.observation(name, number)
        samples = references.posterior_samples(name, number)[:n]
        s = np.asarray(scores(jnp.asarray(x), jnp.asarray(samples), shift))
        return np.abs(s.mean(axis=0)) / (s.std(axis=0) / math.sqrt(n))

    return z


@pytest.mark.parametrize("name", [name for name in TASKS if name != "two_moons"])
def test_reference_samples_obey_the_score_identity(name, references):
    z = score_z(name, references, n=2000)
    for number in (1, 8):
        assert z(number).max() < 4.0
    assert z(1, shift=0.1).max() > 4.0


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TASKS if name != "two_moons"])
def test_all_reference_samples_obey_the_score_identity(name, references):
    z = score_z(name, references, n=10_000)
    assert max(z(number).max() for number in range(1, 11)) < 4.0


def crescents(key, x, n):
    """Exact posterior draws of two moons: simulate the noise, solve for theta, keep the prior's."""
    sign_key, noise_key = jax.random.split(key)
    simulate = task("two_moons").model.simulator.simulate
    origin = {"theta": jnp.zeros(2)}
    noise = jax.vmap(lambda k: simulate(k, origin))(jax.random.split(noise_key, n))
    (far, down), sign = (np.asarray(noise) - x).T, jax.random.rademacher(sign_key, (n,))
    along = far * np.asarray(sign)
    theta = np.stack([along + down, along - down], axis=1) / math.sqrt(2)
    return theta[(far > 0) & (np.abs(theta).max(axis=1) < 1)]


def test_two_moons_reference_samples_lie_on_the_crescents(references):
    # 70 comparisons at 1e-5: false alarm below 1e-3 over our seeds.
    simulator = task("two_moons").model.simulator
    likelihood = jax.jit(
        jax.vmap(lambda t, x: simulator.log_likelihood({"theta": t}, x), in_axes=(0, None))
    )
    directions = np.random.default_rng(0).normal(size=(6, 2))
    for number in range(1, 11):
        x = references.observation("two_moons", number)
        theta = references.posterior_samples("two_moons", number)
        ours = crescents(jax.random.key(number), x, 40_000)[:20_000]
        for direction in directions:
            assert stats.ks_2samp(theta @ direction, ours @ direction).pvalue > 1e-5
        both = likelihood(jnp.asarray(np.concatenate([theta, ours])), jnp.asarray(x))
        assert stats.ks_2samp(*np.split(np.asarray(both), [len(theta)])).pvalue > 1e-5
    assert stats.ks_2samp(theta @ directions[0], 1.05 * ours @ directions[0]).pvalue < 1e-5


def test_gaussian_linear_reference_samples_have_the_analytic_moments(references):
    for number in range(1, 11):
        samples = references.posterior_samples("gaussian_linear", number)
        mean = references.observation("gaussian_linear", number) / 2
        z = (samples.mean(axis=0) - mean) / math.sqrt(0.05 / len(samples))
        assert np.abs(z).max() < 4.5
        covariance = np.cov(samples, rowvar=False)
        np.testing.assert_allclose(covariance, 0.05 * np.eye(10), atol=4.5 * 0.05 * 2**0.5 / 100)


def test_bernoulli_glm_design_is_the_stored_one(wheel):
    file = "sbibm/tasks/bernoulli_glm/files/design_matrix.pt"
    if (wheel / "sbibm").is_dir():
        stored = (wheel / file).read_bytes()
    else:
        path = wheel if wheel.is_file() else max(wheel.glob("sbibm-*.whl"))
        with zipfile.ZipFile(path) as archive:
            stored = archive.read(file)
    # A .pt file is a pickle: its numbers are looked for in the bytes instead of being loaded.
    assert design_matrix().astype("<f4").tobytes() in stored
