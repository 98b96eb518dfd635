"""Pixels of COOLEST templates, in FITS files beside them: read, written, and what is refused."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.coolest import from_coolest, read_coolest, to_coolest, write_coolest
from simulators.lensing.light import PixelSource
from simulators.lensing.mass import PixelPotential
from tests.coolest_template import a_template, assert_same

pytestmark = pytest.mark.skipif(
    not jax.config.jax_enable_x64, reason="conversions are compared to rounding"
)
fits = pytest.importorskip("astropy.io.fits")

rng = np.random.default_rng(1)
SOURCE, POTENTIAL = rng.uniform(0.0, 1.0, (6, 8)), 0.01 * rng.normal(size=(5, 5))
IMAGE, NOISE = rng.normal(size=(40, 50)), rng.uniform(0.1, 0.2, (40, 50))
MASK, KERNEL = (rng.uniform(size=(40, 50)) > 0.1).astype(np.uint8), rng.uniform(size=(3, 5))
FILES = {
    "source.fits": SOURCE,
    "dpsi.fits": POTENTIAL,
    "image.fits": IMAGE,
    "noise.fits": NOISE,
    "mask.fits": MASK,
    "psf.fits": KERNEL,
}
FIELD = {"field_of_view_x": [-3.0, 2.0], "field_of_view_y": [-2.0, 2.0]}


def _pixels(file, shape, x, y):
    return {
        "field_of_view_x": x,
        "field_of_view_y": y,
        "num_pix_x": shape[1],
        "num_pix_y": shape[0],
        "fits_file": {"path": file},
    }


def _pixelated(folder, files=FILES):
    """A template with a file wherever it may have one."""
    template = a_template()
    on_sky = list(FIELD.values())
    source = _pixels("source.fits", (6, 8), [-0.4, 0.4], [-0.2, 0.4])
    source = {"type": "PixelatedRegularGrid", "parameters": {"pixels": source}}
    template["lensing_entities"][0]["light_model"].insert(0, source)
    potential = _pixels("dpsi.fits", (5, 5), [-2.0, 2.0], [-2.5, 1.5])
    potential = {"type": "PixelatedRegularGridPotential", "parameters": {"pixels": potential}}
    template["lensing_entities"][1]["mass_model"].append(potential)
    template["observation"]["pixels"] = _pixels("image.fits", (40, 50), *on_sky)
    noise = _pixels("noise.fits", (40, 50), *on_sky)
    template["observation"]["noise"] = {"type": "NoiseMap", "noise_map": noise}
    mask = _pixels("mask.fits", (40, 50), *on_sky)
    template["likelihoods"] = [{"type": "ImagingDataLikelihood", "mask": mask}]
    psf = _pixels("psf.fits", (3, 5), [0.0, 0.25], [0.0, 0.15])
    template["instrument"] = {"pixel_size": 0.1, "psf": {"type": "PixelatedPSF", "pixels": psf}}
    for name, values in files.items():
        # The first HDU with data counts.
        hdus = [fits.PrimaryHDU(), fits.ImageHDU(values)]
        fits.HDUList(hdus).writeto(folder / name, overwrite=True)
    return template


def test_pixels_are_read(tmp_path):
    """Row 0 is the lowest; light is per pixel of the image, a potential in arcsec^2."""
    model = from_coolest(_pixelated(tmp_path), tmp_path)
    source, potential = model.source.parts[0], model.lens.parts[3]
    assert type(source) is PixelSource and type(potential) is PixelPotential
    at = jnp.asarray([[-0.35, -0.15], [0.35, 0.35]])
    corners = 100.0 * SOURCE[[0, -1], [0, -1]]
    np.testing.assert_allclose(source.surface_brightness(at), corners, rtol=1e-12)
    at = jnp.asarray([[-1.6, -2.1], [1.6, 1.1]])
    np.testing.assert_allclose(potential.potential(at), POTENTIAL[[0, -1], [0, -1]], rtol=1e-12)
    for found, expected in ((model.image, IMAGE), (model.noise, NOISE), (model.mask, MASK)):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(model.psf.kernel, KERNEL / KERNEL.sum(), rtol=1e-12)
    assert model.psf.supersampling == model.grid.supersampling == 2
    assert model.render().shape == (40, 50)


def test_pixels_there_and_back(tmp_path):
    model = from_coolest(_pixelated(tmp_path), tmp_path)
    path = tmp_path / "again.json"
    write_coolest(path, model)
    assert_same(read_coolest(path), model)
    template = json.loads(path.read_text())
    names = {path.name for path in tmp_path.glob("again*.fits")}
    kinds = ("image", "noise", "mask", "psf", "light", "potential")
    assert names == {f"again_{kind}.fits" for kind in kinds}
    assert template["observation"]["pixels"]["num_pix_x"] == 50
    # two of a kind, in files of their own
    two = eqx.tree_at(lambda m: m.lens_light, model, model.source.parts[0])
    write_coolest(path, two)
    assert_same(read_coolest(path), two)
    with pytest.raises(ValueError, match=r"potential of the model has pixels.*write_coolest"):
        to_coolest(model)
    cubic = PixelSource(SOURCE, 0.1, order=3)
    with pytest.raises(ValueError, match="`order` = 3 of PixelSource; COOLEST has 1 only"):
        write_coolest(path, eqx.tree_at(lambda m: m.source, model, cubic))
    bare = eqx.tree_at(
        lambda m: (m.grid, m.pixel_size), model, (None, None), is_leaf=lambda leaf: leaf is None
    )
    with pytest.raises(ValueError, match="give it a `grid` or a `pixel_size`"):
        write_coolest(path, bare)


def test_fields_of_view_that_say_a_size_or_nothing(tmp_path):
    """From zero to a size, or nothing with a pixel size: centred on the origin."""
    template = _pixelated(tmp_path)
    pixels = template["observation"]["pixels"]
    pixels |= {"field_of_view_x": [0, 5.0], "field_of_view_y": [0, 4.0]}
    grid = from_coolest(template, tmp_path).grid
    assert grid.shape == (40, 50) and (grid.center_x, grid.center_y) == (0.0, 0.0)
    pixels |= {"field_of_view_x": [0, 0], "field_of_view_y": [0, 0], "num_pix_x": 0, "num_pix_y": 0}
    assert_same(from_coolest(template, tmp_path).grid, grid)
    template["instrument"]["pixel_size"] = None
    template["lensing_entities"][0]["light_model"] = []
    assert from_coolest(template, tmp_path).grid is None


def test_data_that_are_not_there(tmp_path):
    """They are left out with a warning; the image of a mock is yet to be made."""
    template = _pixelated(tmp_path)
    for name in ("image.fits", "noise.fits", "mask.fits", "psf.fits"):
        (tmp_path / name).unlink()
    template["mode"] = "MOCK"
    with pytest.warns(UserWarning) as warned:
        model = from_coolest(template, tmp_path)
    said = [str(warning.message) for warning in warned]
    assert [next(n for n in FILES if n in text) for text in said] == [
        "psf.fits",
        "noise.fits",
        "mask.fits",
    ]
    assert all("put it there" in text for text in said)
    assert model.image is model.noise is model.mask is model.psf is None
    assert model.grid.shape == (40, 50)
    template["mode"] = "MAP"
    with pytest.warns(UserWarning) as warned:
        from_coolest(template, tmp_path)
    assert "the image is left out" in str(warned[0].message)


def test_even_psf_is_centred_as_by_fftconvolve(tmp_path):
    signal = pytest.importorskip("scipy.signal")
    kernel = rng.uniform(size=(4, 6))
    template = _pixelated(tmp_path, FILES | {"psf.fits": kernel})
    template["instrument"]["psf"]["pixels"] |= {"num_pix_x": 6, "field_of_view_x": [0.0, 0.6]}
    psf = from_coolest(template, tmp_path).psf
    assert psf.supersampling == 1
    expected = signal.fftconvolve(IMAGE, kernel / kernel.sum(), mode="same")
    np.testing.assert_allclose(psf.convolve(jnp.asarray(IMAGE)), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"source.fits": SOURCE.T}, "'a source' has 8 x 6 pixels in the template and 6 x 8 in its"),
        ({"source.fits": SOURCE[None]}, "source.fits', of which .* no image"),
        ({"source.fits": None}, "source.fits', of which .* no image"),
        (
            {"source.fits": SOURCE * np.nan},
            "Grid of 'a source': PixelSource: .*nan",
        ),
        ({"noise.fits": NOISE[1:]}, r"noise map has shape \(39, 50\), the image \(40, 50\)"),
        ({"mask.fits": MASK[:, 1:]}, r"mask has shape \(40, 49\), the image \(40, 50\)"),
        ({"psf.fits": -KERNEL}, "PSF sums to -.*; give finite values of positive sum"),
    ],
)
def test_refused_files(tmp_path, files, message):
    template = _pixelated(tmp_path, FILES | files)
    observation = template["observation"]
    for pixels in (observation["noise"]["noise_map"], template["likelihoods"][0]["mask"]):
        pixels |= {"num_pix_x": 0, "num_pix_y": 0}
    with pytest.raises(ValueError, match=message):
        from_coolest(template, tmp_path)


def test_refused_links(tmp_path):
    template = _pixelated(tmp_path)
    with pytest.raises(ValueError, match=r"'a lens' is in the file 'dpsi.fits'; give `folder`"):
        from_coolest(template)
    pixels = template["lensing_entities"][0]["light_model"][0]["parameters"]["pixels"]
    template["instrument"]["psf"]["pixels"]["num_pix_x"] = 4
    with pytest.raises(ValueError, match=r"1.6 of the PSF's; resample"):
        from_coolest(template, tmp_path)
    pixels["field_of_view_y"] = [0, 0]
    with pytest.raises(ValueError, match=r"'a source' has an empty field of view; .* 8 x 6 pixels"):
        from_coolest(template, tmp_path)
    pixels["fits_file"] = {"path": None}
    with pytest.raises(ValueError, match="'a source' names no file"):
        from_coolest(template, tmp_path)
    pixels["fits_file"] = {"path": "other.fits"}
    (tmp_path / "lens.json").write_text(json.dumps(template))
    with pytest.raises(
        FileNotFoundError, match=r"lens.json': .* of 'a source' is in .*other.fits'"
    ):
        read_coolest(tmp_path / "lens.json")
    (tmp_path / "other.fits").write_text("not FITS")
    with pytest.raises(ValueError, match=r"lens.json': .*other.fits', which is no FITS file"):
        read_coolest(tmp_path / "lens.json")
    template["lensing_entities"][0]["light_model"][0]["type"] = "IrregularGrid"
    with pytest.raises(ValueError, match=r"onto a PixelatedRegularGrid\); .*skip=\('IrregularGrid"):
        from_coolest(template, tmp_path)


def test_light_needs_a_pixel_size(tmp_path):
    template = _pixelated(tmp_path)
    template["instrument"]["pixel_size"] = None
    template["observation"]["pixels"] = {}
    with pytest.raises(ValueError, match=r"'a source' is in flux per pixel .* give `pixel_size`"):
        from_coolest(template, tmp_path)
