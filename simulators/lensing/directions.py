"""Directions on the sky and on source planes, in arcsec."""

from jaxtyping import Array, Float

from simulators.shared.fields import as_float, cast

#: One coordinate of any shape [arcsec]; the two coordinates of a call share it.
Coordinate = Float[Array, "*shape"]
Directions = Float[Array, "*shape 2"]


def split(owner, theta: Directions) -> tuple[Coordinate, Coordinate]:
    """User-facing directions to coordinates.

    Raises:
        ValueError: for another shape than (..., 2); names the class of `owner`.

    >>> [float(c) for c in split(None, [1.0, 2.0])]
    [1.0, 2.0]
    """
    theta = as_float(theta)
    if theta.ndim == 0 or theta.shape[-1] != 2:
        raise ValueError(
            f"{type(owner).__name__}: argument `theta` has shape {theta.shape}; give directions of "
            "shape (..., 2), the last axis x, y in arcsec."
        )
    return theta[..., 0], theta[..., 1]


def from_centre(owner, x: Coordinate, y: Coordinate) -> tuple[Coordinate, Coordinate]:
    """Coordinates from `center_x` and `center_y` of a lens or a profile, in the dtype of x."""
    center_x, center_y = cast(x, owner.center_x, owner.center_y)
    return x - center_x, y - center_y
