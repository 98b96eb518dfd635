"""Readers: galstreams' tracks, published binned measurements, units, and refusals."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from simulators.streams import observe
from simulators.streams.frames import GD1
from simulators.streams.gd1 import GD1_PHI1, gd1_measurements
from simulators.streams.observe import (
    OBSERVABLES,
    Track,
    read_measurements,
    read_track,
    sample_track,
)
from simulators.streams.tables import galstreams_track, read_columns

table = pytest.importorskip("astropy.table")
DATA = Path(__file__).parents[3] / "shared" / "data" / "streams"
data = pytest.mark.skipif(not DATA.is_dir(), reason=f"test data not at {DATA}")
PB18 = {n: n for n in ("phi1", "phi2", "pm_phi1_cosphi2", "pm_phi2")}
PB18_ERRORS = {
    "phi2": "w",
    "pm_phi1_cosphi2": "pm_phi1_cosphi2_error",
    "pm_phi2": "pm_phi2_error",
}


@pytest.fixture
def small(tmp_path):
    """A writer of small tables: columns as keywords, file name first."""

    def write(name, units=None, **columns):
        made = table.Table(columns, units=units)
        path = tmp_path / name
        kind = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits"}[path.suffix]
        made.write(path, format=kind)
        return path

    return write


def test_galstreams_tracks_of_gd1_without_placeholders():
    pytest.importorskip("galstreams")
    recent = read_track("GD-1-I24")
    assert "distance" not in recent.names
    assert read_track("GD-1.pricewhelan2018").names == OBSERVABLES[:4]
    earlier = read_track("GD-1-I21")
    assert earlier.names == OBSERVABLES
    for track in (recent, earlier):
        assert track.phi1[0] < -90 and track.phi1[-1] > 9
        assert jnp.all(jnp.abs(track.values[0, jnp.abs(track.phi1 + 40) < 20]) < 0.5)


def test_galstreams_track_agrees_with_gala_frames():
    pytest.importorskip("galstreams")
    gala = pytest.importorskip("gala.coordinates")
    coord = pytest.importorskip("astropy.coordinates")
    raw = table.QTable.read(galstreams_track("GD-1-I21"), format="ascii.ecsv")
    sky = coord.SkyCoord(**{n: raw[n] for n in raw.colnames}).transform_to(gala.GD1Koposov10())
    track = read_track("GD-1-I21", frame=GD1)
    tolerance = 1e-9 if track.phi1.dtype == jnp.float64 else 1e-3
    np.testing.assert_allclose(track.phi1, sky.phi1.wrap_at("180d").deg, atol=tolerance)
    np.testing.assert_allclose(track.values[0], sky.phi2.deg, atol=tolerance)
    np.testing.assert_allclose(track.values[2], sky.pm_phi1_cosphi2.value, atol=tolerance)
    # the printed matrix of GD-1 is orthogonal to 6e-11, which gala's velocities show
    np.testing.assert_allclose(track.values[4], sky.radial_velocity.value, atol=30 * tolerance)


def test_gd1_measurements_and_how_they_widen():
    pytest.importorskip("galstreams")
    got = gd1_measurements()
    assert got.names == OBSERVABLES and got.value.shape == (5, len(GD1_PHI1))
    assert bool(jnp.all(got.mask)) and bool(jnp.all(jnp.isfinite(got.value)))
    # Koposov, Rix & Hogg (2010): 8.69 +- 0.4 kpc at -25 deg; -144.4 +- 10.5 km/s at -21.2 deg
    at = GD1_PHI1.index(-20.0)
    assert 7.8 < got.value[1, at] < 9.2
    assert -165 < got.value[4, at] < -125
    np.testing.assert_allclose(got.scaled(2.0).sigma, 2.0 * got.sigma)
    fewer = gd1_measurements([-50.0, -30.0], {"radial_velocity": 5.0}).select(["radial_velocity"])
    np.testing.assert_allclose(fewer.sigma, 5.0)
    assert fewer.value.shape == (1, 2)
    with pytest.raises(ValueError, match=r"\[-120, -20\] leaves the track's range"):
        gd1_measurements([-120.0, -20.0])
    with pytest.raises(ValueError, match="no observable"):
        gd1_measurements(sigma={"vr": 1.0})


@data
def test_binned_track_of_price_whelan_and_bonaca():
    path = DATA / "gd1_track_price-whelan_bonaca_2018.fits"
    got = read_measurements(path, PB18, PB18_ERRORS, counts="n")
    assert got.value.shape == (3, 49) and bool(jnp.all(got.mask))
    # 19 stars and a scatter of 1.345 mas/yr in the first bin
    np.testing.assert_allclose(got.sigma[1, 0], 1.3451173939 / np.sqrt(19.0), rtol=1e-6)
    pytest.importorskip("galstreams")
    track = read_track("GD-1-I24")
    inside = (got.phi1 >= -80) & (got.phi1 <= 0)
    curve = np.interp(got.phi1, track.phi1, track.values[0])
    assert np.std((np.asarray(got.value[0]) - curve)[inside]) < 0.15


@data
def test_density_table_and_candidates():
    columns = {"phi1": "phi1mid", "phi2": "phi2", "density": "lindens"}
    got = read_columns(DATA / "gd1_density_de_boer.dat", columns)
    assert got["phi1"].shape == (60,) and got["phi1"][0] == -90.0 and got["density"][0] == 1.9904
    pytest.importorskip("h5py")
    columns = {n: n for n in ("ra", "dec", "phi1", "phi2", "radial_velocity")}
    stars = read_columns(DATA / "gd1_candidates_gaia.hdf5", columns)
    assert stars["ra"].shape == (7346,)
    assert np.sum(np.isfinite(stars["radial_velocity"])) == 51
    blank = np.zeros(7346)
    sky = observe.icrs_to_stream(stars["ra"], stars["dec"], blank, blank, blank, blank)
    tolerance = 1e-8 if sky.phi1.dtype == jnp.float64 else 1e-3
    np.testing.assert_allclose(sky.phi1, stars["phi1"], atol=tolerance)
    np.testing.assert_allclose(sky.phi2, stars["phi2"], atol=tolerance)


def test_units_are_converted(small):
    path = small(
        "t.ecsv", {"p": "rad", "d": "pc", "v": "m/s"}, p=[0.0, 0.1], d=[8e3, 9e3], v=[1e3, 2e3]
    )
    columns = {"phi1": "p", "distance": "d", "radial_velocity": "v"}
    track = read_track(path, columns=columns)
    np.testing.assert_allclose(track.phi1, np.degrees([0.0, 0.1]), rtol=1e-6)
    np.testing.assert_allclose(track.values, [[8.0, 9.0], [1.0, 2.0]], rtol=1e-6)
    path = small("e.csv", p=[0.0, 1.0], d=[8e3, 9e3], s=[100.0, 200.0])
    got = read_measurements(
        path, {"phi1": "p", "distance": "d"}, {"distance": "s"}, {"distance": "pc"}
    )
    np.testing.assert_allclose(got.sigma, [[0.1, 0.2]], rtol=1e-6)


def test_descending_tracks_are_turned_and_missing_values_masked(small):
    track = read_track(small("t.fits", phi1=[2.0, 1.0, 0.0], phi2=[5.0, 4.0, 3.0]))
    np.testing.assert_allclose(track.values, [[3.0, 4.0, 5.0]])
    path = small("m.fits", x=[0.0, 1.0, 2.0], y=[1.0, np.nan, 3.0], s=[1.0, 1.0, np.nan])
    arguments = {"phi1": "x", "phi2": "y"}, {"phi2": "s"}
    got = read_measurements(path, *arguments, allow_missing=True)
    assert got.mask.tolist() == [[True, False, False]]
    assert bool(jnp.all(jnp.isfinite(got.value))) and bool(jnp.all(got.sigma > 0))
    with pytest.raises(ValueError, match=r"column 'y' of m.fits: nan in row 1"):
        read_measurements(path, *arguments)


def test_sampling_a_curve():
    track = Track([-10.0, 0.0, 10.0], [[1.0, 2.0, 4.0], [0.0, 0.0, 1.0]], ("phi2", "distance"))
    got = sample_track(track, [-5.0, 5.0], {"phi2": [0.1, 0.2]})
    np.testing.assert_allclose(got.value, [[1.5, 3.0]])
    np.testing.assert_allclose(got.sigma, [[0.1, 0.2]])
    with pytest.raises(ValueError, match="got 0 before -5 at index 0"):
        sample_track(track, [0.0, -5.0], {"phi2": 0.1})
    with pytest.raises(ValueError, match="phi2: expected > 0, got -1"):
        sample_track(track, [0.0], {"phi2": -1.0})
    with pytest.raises(ValueError, match="'pm_phi2': not among"):
        sample_track(track, [0.0], {"pm_phi2": 1.0})


def test_bad_files_are_refused_in_one_line(small, tmp_path):
    good = {"phi1": "x", "phi2": "y"}
    cases = [
        (small("a.ecsv", x=[0.0, 1.0], why=[0.0, 1.0]), good, "'phi2'.*'y'.*has.*'why'"),
        (small("b.ecsv", {"y": "kpc"}, x=[0.0, 1.0], y=[0.0, 1.0]), good, "'kpc' cannot be turned"),
        (small("c.ecsv", x=np.zeros(0), y=np.zeros(0)), good, "no rows"),
        (small("d.ecsv", x=[0.0, 1.0, 0.5], y=[0.0, 1.0, 2.0]), good, "1 before 0.5 at index 1"),
        (
            small("e.ecsv", x=[0.0, 1.0], y=[0.0, np.inf]),
            good,
            "column 'y' of e.ecsv: inf in row 1",
        ),
        (small("f.ecsv", x=[0.0, 1.0], y=["a", "b"]), good, "expected numbers"),
        (small("g.ecsv", x=[0.0, 1.0], y=[0.0, 1.0]), {"phi2": "y"}, "expected 'phi1', or 'ra'"),
        (small("h.ecsv", phi1=[0.0, 1.0]), None, "no observable"),
    ]
    (tmp_path / "i.fits").write_text("not FITS")
    cases.append((tmp_path / "i.fits", good, "cannot be read"))
    (tmp_path / "j.hdf5").write_text("not HDF5")
    cases.append((tmp_path / "j.hdf5", good, "cannot be read as HDF5"))
    for path, columns, message in cases:
        with pytest.raises(ValueError, match=message) as caught:
            read_track(path, columns=columns)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="no file"):
        read_track(tmp_path / "none.ecsv")
    with pytest.raises(FileNotFoundError, match="no file"):
        read_columns(tmp_path / "none.csv", good)
    with pytest.raises(ValueError, match="same observables in both"):
        read_measurements(tmp_path / "a.ecsv", good, {})
    path = small("k.csv", x=[0.0, 1.0], y=[1.0, 1.0], s=[0.1, 0.0])
    with pytest.raises(ValueError, match=r"error of phi2.*got 0 at index 1"):
        read_measurements(path, good, {"phi2": "s"})


def test_an_unknown_track_names_those_near():
    pytest.importorskip("galstreams")
    with pytest.raises(FileNotFoundError, match="GD-1-I21"):
        read_track("GD-1-X99")
