"""Images from files: real ones, orientation, and what is refused."""

import numpy as np
import pytest

from simulators.lensing.observe import read_image

fits = pytest.importorskip("astropy.io.fits")
ONES = np.ones((6, 8))


def _write(path, data, **cards):
    header = fits.Header(cards)
    fits.PrimaryHDU(np.asarray(data, np.float32), header).writeto(path)
    return path


def _wcs(angle, scale=0.1, mirror=-1.0):
    """A tangent projection, its columns turned by `angle` from the west towards the north."""
    cos, sin = np.cos(angle) * scale / 3600.0, np.sin(angle) * scale / 3600.0
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "CRVAL1": 43.0,
        "CRVAL2": 0.6,
        "CD1_1": mirror * cos,
        "CD1_2": -mirror * sin,
        "CD2_1": sin,
        "CD2_2": cos,
    }


def test_slacs_image(shared_data):
    """201 x 201 pixels, 2245 of them marked by a noise of 1e8, and no WCS."""
    parts = [
        shared_data / "lensing" / f"slacs_J0252+0039_{name}.fits"
        for name in ("image", "noise", "psf")
    ]
    data = read_image(*parts, pixel_scale=0.05)
    assert data.image.shape == (201, 201)
    assert int((~data.noise.mask).sum()) == 2245
    assert np.isfinite(np.asarray(data.image)).all() and float(data.noise.noise_map.max()) < 10.0
    assert abs(float(data.psf.kernel.sum()) - 1.0) < 1e-6
    piece = data.cut(60)
    assert piece.image.shape == (121, 121) == piece.noise.mask.shape == piece.grid.shape
    np.testing.assert_array_equal(piece.image[60, 60], data.image[100, 100])
    with pytest.raises(ValueError, match="no WCS"):
        read_image(*parts)


def test_euclid_image_in_four_bands(shared_data):
    """Its header says 0.1 arcsec, north up and east left."""
    (path,) = (shared_data / "lensing").glob("euclid_q1_*.fits")
    for band in ("VIS", "NIR_Y", "NIR_J", "NIR_H"):
        names = tuple(f"{band}_{kind}" for kind in ("FLUX", "RMS", "PSF"))
        data = read_image(path, path, path, extensions=names)
        assert data.image.shape == (300, 300)
        # An RMS of 1e16 marks what was not observed.
        observed = fits.getdata(path, f"{band}_RMS") < 1e10
        np.testing.assert_array_equal(data.noise.mask, observed)
        np.testing.assert_allclose(data.grid.pixel_scale, 0.1, rtol=1e-6)
        np.testing.assert_allclose(data.grid.rotation, 0.0, atol=1e-9)
        # Its stamps hold 95 per cent of the light.
        np.testing.assert_allclose(data.psf.kernel.sum(), 1.0, rtol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0])
@pytest.mark.parametrize("mirror", [-1.0, 1.0])
def test_orientation(tmp_path, angle, mirror):
    """The grid's x and y are west (east on a mirrored image) and north, by astropy's own WCS."""
    wcs = pytest.importorskip("astropy.wcs")
    image = _write(tmp_path / "image.fits", ONES, **_wcs(angle, mirror=mirror))
    grid = read_image(image, ONES).grid
    x, y = (np.asarray(c) for c in grid.centres())
    sky = wcs.WCS(fits.getheader(image))
    ra, dec = sky.all_pix2world(*np.meshgrid(np.arange(8.0), np.arange(6.0)), 0)
    east = (ra - ra.mean()) * np.cos(np.deg2rad(0.6)) * 3600.0
    north = (dec - dec.mean()) * 3600.0
    np.testing.assert_allclose(x, mirror * east, atol=1e-4)
    np.testing.assert_allclose(y, north, atol=1e-4)


def test_masks():
    noise, image = np.full((6, 8), 0.1), ONES.copy()
    noise[0, 0], noise[0, 1], noise[0, 2], image[0, 3] = np.nan, 0.0, 1e8, np.inf
    mask = np.ones((6, 8), bool)
    mask[0, 4] = False
    data = read_image(image, noise, pixel_scale=0.1, mask=mask)
    assert np.argwhere(~np.asarray(data.noise.mask)).tolist() == [[0, i] for i in range(5)]
    assert np.isfinite(np.asarray(data.image)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": np.ones((6, 7))}, r"noise: its shape is \(6, 7\)"),
        ({"image": np.ones(5)}, r"image: an array of shape \(5,\)"),
        ({"mask": np.ones((2, 2))}, r"mask: its shape is \(2, 2\)"),
        ({"mask": np.zeros((6, 8))}, "no pixel is left"),
        ({"noise": -ONES}, "no pixel is left"),
        ({"psf": np.ones((4, 4)) / 16.0}, "odd number of rows"),
        ({"psf": np.ones((5, 5))}, "normalise it"),
        ({"pixel_scale": -0.1}, "pixel_scale"),
        ({"pixel_scale": None}, "no WCS"),
    ],
)
def test_bad_arrays(change, message):
    arguments = {"image": ONES, "noise": ONES, "psf": None, "pixel_scale": 0.1, "mask": None}
    with pytest.raises(ValueError, match=message):
        read_image(**(arguments | change))


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere"):
        read_image(tmp_path / "nowhere.fits", ONES)
    text = tmp_path / "text.fits"
    text.write_text("not an image")
    with pytest.raises(ValueError, match="is no FITS file"):
        read_image(text, ONES)
    empty = tmp_path / "empty.fits"
    fits.PrimaryHDU().writeto(empty)
    with pytest.raises(ValueError, match="holds no image"):
        read_image(empty, ONES)
    image = _write(tmp_path / "image.fits", ONES)
    with pytest.raises(ValueError, match="no extension 'SCI'"):
        read_image(image, ONES, extensions=("SCI", None, None))
    oblong = _write(tmp_path / "oblong.fits", ONES, **(_wcs(0.0) | {"CD2_2": 1e-4}))
    with pytest.raises(ValueError, match="not square"):
        read_image(oblong, ONES)
