"""The corner plot draws what it is given."""

import numpy as np
import pytest

from jaxastro.core import SamplePosterior
from jaxastro.plot import corner

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture
def posterior():
    rng = np.random.default_rng(0)
    mass = np.abs(rng.normal(size=(2, 500)))
    draws = {"mass": mass, "v": rng.normal(size=(2, 500, 2)) + mass[..., None]}
    return SamplePosterior(draws, units={"mass": "Msun"}, labels={"mass": "$M$"})


def test_layout_labels_and_limits(posterior, tmp_path):
    figure = corner(
        posterior,
        truth={"mass": 0.5},
        others={"wider": {k: 2 * v for k, v in posterior.flat().items()}},
        reference={"Somebody 2010": {"mass": (0.7, 0.1)}},
    )
    axes = np.array(figure.axes).reshape(3, 3)
    assert axes[2, 0].get_xlabel() == "$M$ [Msun]" and axes[2, 0].get_ylabel() == "v[1]"
    assert not axes[0, 1].axison
    # A bound of the prior is the frame's edge: nothing is smoothed over it.
    assert axes[0, 0].get_xlim()[0] == posterior.draws["mass"].min()
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown == ["posterior", "wider", "truth", "Somebody 2010"]
    figure.savefig(tmp_path / "corner.png")
    assert (tmp_path / "corner.png").stat().st_size > 10_000


def test_regions_hold_their_mass():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(20_000, 2))
    figure = corner({"a": x[:, 0], "b": x[:, 1]})
    outlines = figure.axes[2].collections[-1]
    assert isinstance(outlines, matplotlib.contour.ContourSet)
    for path, mass in zip(outlines.get_paths(), (0.95, 0.68), strict=True):
        # Smoothing by 1.6 of 40 bins widens the regions a little.
        inside = np.mean(path.contains_points(x))
        assert mass - 0.02 < inside < mass + 0.06


def test_transform_and_selection(posterior):
    figure = corner(posterior, ["mass"], transform={"mass": np.log10}, truth={"mass": 1.0})
    assert len(figure.axes) == 1
    line = figure.axes[0].lines[-1]
    assert line.get_xdata()[0] == 0.0


def test_constant_parameter_can_be_drawn():
    corner({"a": np.zeros(10), "b": np.arange(10.0)})


def test_unknown_names_are_refused(posterior):
    with pytest.raises(ValueError, match=r"no parameters \['vee'\]"):
        corner(posterior, ["vee"])
