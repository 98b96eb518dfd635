"""`jaxastro lens` at reduced size: a mock lens from FITS files to a posterior; bad input."""

import json

import jax
import numpy as np
import pytest

from jaxastro.cli import main
from jaxastro.core import SamplePosterior
from simulators.lensing.galaxy_lens import MOCK, mock_lens
from simulators.lensing.grid import Grid
from simulators.lensing.image import render
from simulators.lensing.light import Sersic
from simulators.lensing.psf import PSF
from tests.notebook import figures_of

fits = pytest.importorskip("astropy.io.fits")

pytestmark = pytest.mark.usefixtures("a_users_settings")
QUICK = [
    *("--sources", "1", "--starts", "2", "--supersampling", "1"),
    *("--warmup", "20", "--draws", "20", "--chains", "2"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Image, noise and PSF of a mock lens in one file with a WCS, in pixels of 0.1 arcsec."""
    mock = mock_lens(jax.random.key(0))
    parts = {"FLUX": mock.image, "NOISE": mock.noise.noise_map, "PSF": mock.psf.kernel}
    wcs = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 24, "CRPIX2": 24}
    wcs |= {"CRVAL1": 43.0, "CRVAL2": 0.6, "CD1_1": -0.1 / 3600, "CD2_2": 0.1 / 3600}
    header = fits.Header(wcs)
    hdus = [fits.PrimaryHDU()]
    for name, values in parts.items():
        header_of = header if name != "PSF" else None
        hdus.append(fits.ImageHDU(np.asarray(values), header_of, name=name))
    path = tmp_path_factory.mktemp("lens") / "mock.fits"
    fits.HDUList(hdus).writeto(path)
    return path


def test_command_finds_the_lens_and_resumes(files, tmp_path, capsys):
    command = ["lens", str(files), "--extensions", "FLUX,NOISE,PSF", "--out", str(tmp_path)]
    # Twenty draws cannot have converged: the job says so and returns 1.
    assert main([*command, *QUICK]) == 1
    said = capsys.readouterr()
    assert "NOT converged" in said.out and "Einstein radius about 1." in said.err
    names = ("posterior.nc", "corner.png", "lens.png", "lens.pdf", "magnification.png", "maps.fits")
    assert all((tmp_path / name).stat().st_size > 0 for name in names)
    summary = json.loads((tmp_path / "summary.json").read_text())
    # The noise of chi square over some 1000 pixels is 0.045; the fit takes 24 + 4 of them.
    assert 0.8 < summary["chi2_per_pixel"][0]["all"] < 1.2
    first = SamplePosterior.load(tmp_path / "posterior.nc")
    for name in ("theta_E", "light_x", "source_x"):
        draws = first.flat()[name]
        assert abs(draws.mean() - MOCK[name]) < max(5.0 * draws.std(), 0.01), name
    with fits.open(tmp_path / "maps.fits") as maps:
        parts = maps["LENS_LIGHT"].data + maps["ARCS"].data
        np.testing.assert_allclose(parts, maps["MODEL"].data, atol=1e-9 * parts.max())

    assert main([*command, *QUICK]) == 1
    assert "taken from the earlier run" in capsys.readouterr().err
    again = SamplePosterior.load(tmp_path / "posterior.nc")
    np.testing.assert_array_equal(first.draws["theta_E"], again.draws["theta_E"])

    # Another search must not be mixed with what an earlier run left.
    assert main([*command, *QUICK, "--seed", "1"]) == 2
    assert "--fresh" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--noise, --psf: give both files"),
        (["--extensions", "FLUX,NOISE"], "give three"),
        (["--extensions", "FLUX,SIGMA,PSF"], "has no extension 'SIGMA'"),
        (["--noise", "none.fits", "--psf", "none.fits"], "no file 'none.fits'"),
        (["--extensions", "FLUX,NOISE,PSF", "--sources", "7"], "max_sources = 7"),
    ],
)
def test_bad_input_is_one_line(files, tmp_path, capsys, options, said):
    assert main(["lens", str(files), "--out", str(tmp_path), *options]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error and "\n" not in error


def test_image_without_arcs_is_refused(tmp_path, capsys):
    # shapes and choices of the job above, whose compiled programs it finds
    noise = np.random.default_rng(0).standard_normal((47, 47))
    psf, galaxy = PSF.gaussian(0.2, 0.1, 9), Sersic(1.0, 0.6, 1.0, e1=0.1)
    light = np.asarray(render(None, None, galaxy, Grid((47, 47), 0.1), psf))
    image = 100.0 * light / light.max() + noise
    paths = {}
    kernel = np.asarray(psf.kernel)
    for name, values in (("image", image), ("noise", np.ones((47, 47))), ("psf", kernel)):
        paths[name] = str(tmp_path / f"{name}.fits")
        fits.PrimaryHDU(values).writeto(paths[name])
    command = ["lens", paths["image"], "--noise", paths["noise"], "--psf", paths["psf"], *QUICK]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "the image has no WCS" in capsys.readouterr().err
    assert main([*command, "--pixel-scale", "0.1", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip()
    assert "no arcs to fit" in error and "\n" not in error


@pytest.mark.slow
def test_notebook(monkeypatch):
    """After the command, whose compiled programs it finds in the cache."""
    assert figures_of("lens", monkeypatch) == 3
