"""SamplePosterior: resampling and the ArviZ files."""

import jax
import numpy as np
import pytest

from jaxastro.core import SamplePosterior


@pytest.fixture
def posterior():
    rng = np.random.default_rng(0)
    draws = {"m": rng.normal(size=(2, 50)), "v": rng.normal(size=(2, 50, 3)).astype(np.float32)}
    return SamplePosterior(
        draws,
        {"diverging": rng.random((2, 50)) < 0.1, "lp": rng.normal(size=(2, 50))},
        units={"m": "Msun"},
        labels={"m": "$M$"},
        attrs={"sampler": "NUTS", "warmup_divergences": None},
    )


def same(a, b):
    assert a.names == b.names and a.attrs == b.attrs
    assert a.units == b.units and a.labels == b.labels
    for mine, theirs in ((a.draws, b.draws), (a.sample_stats, b.sample_stats)):
        assert mine.keys() == theirs.keys()
        for name in mine:
            assert mine[name].dtype == theirs[name].dtype
            np.testing.assert_array_equal(mine[name], theirs[name])


def test_sample_keeps_parameters_together(posterior):
    sample = posterior.sample(jax.random.key(0), 400)
    flat = posterior.flat()
    row = [int(np.flatnonzero(flat["m"] == m)[0]) for m in sample["m"]]
    np.testing.assert_array_equal(sample["v"], flat["v"][row])
    assert len(set(row)) > 80


def test_no_density_of_draws(posterior):
    assert not hasattr(posterior, "log_prob")


def test_uneven_arrays_are_refused():
    with pytest.raises(ValueError, match="same leading"):
        SamplePosterior({"a": np.zeros((2, 5)), "b": np.zeros((2, 6))})


def test_save_and_load(posterior, tmp_path):
    pytest.importorskip("h5netcdf")
    posterior.save(tmp_path / "deep" / "posterior.nc")
    same(SamplePosterior.load(tmp_path / "deep" / "posterior.nc"), posterior)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["posterior.nc"]


def test_arviz_reads_the_file_and_the_object(posterior, tmp_path):
    arviz = pytest.importorskip("arviz")
    from jaxastro.interop.arviz import from_arviz

    same(from_arviz(posterior.to_arviz()), posterior)
    posterior.save(tmp_path / "posterior.nc")
    data = arviz.from_netcdf(tmp_path / "posterior.nc")
    same(from_arviz(data), posterior)
    assert data["posterior"]["m"].attrs["units"] == "Msun"


def test_bad_files(tmp_path):
    pytest.importorskip("h5netcdf")
    with pytest.raises(FileNotFoundError, match="no posterior file"):
        SamplePosterior.load(tmp_path / "absent.nc")
    (tmp_path / "bad.nc").write_bytes(b"not netcdf")
    with pytest.raises(ValueError, match="damaged"):
        SamplePosterior.load(tmp_path / "bad.nc")
