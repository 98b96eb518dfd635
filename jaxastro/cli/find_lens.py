"""A lens model found without help: the galaxy's light, the arcs, the lens, the source."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxastro.core import Model, Target
from jaxastro.infer import Laplace, MapResult, find_map, laplace
from simulators.lensing.arcs import Arcs, brightest, find_arcs, source_peaks
from simulators.lensing.galaxy_lens import LIGHTS, SOURCES, galaxy_model
from simulators.lensing.observe import LensImage

#: The light of the lens galaxy is first fitted out to so many pixels.
REACH = 60
#: What is fitted ends so far beyond the arcs [arcsec].
MARGIN = 0.5
#: What a clump must add to the logarithm of the evidence: "very strong" (Kass & Raftery 1995).
STRONG = 5.0


@dataclasses.dataclass
class FoundLens:
    """`bands`, cut and masked as they are fitted; the `model`; its `target`; `best`, the maximum,
    (None if it was rebuilt), and `start`, the Gaussian there; the `arcs` it started from, on the
    pixels of the bands; `center` of the lens galaxy [arcsec]; `n_sources`."""

    bands: tuple[LensImage, ...]
    model: Model
    target: Target
    best: MapResult | None
    start: Laplace
    arcs: Arcs
    center: tuple[float, float]
    n_sources: int

    @property
    def log_evidence(self):
        """By Laplace's approximation; minus infinity where `best` is no maximum."""
        if self.start.n_repaired:
            return -np.inf
        _, log_det = np.linalg.slogdet(2.0 * np.pi * self.start.covariance)
        return self.best.log_density + 0.5 * log_det

    @property
    def data(self):
        """The first band."""
        return self.bands[0]

    @property
    def simulators(self):
        """A `LinearImage` for each band."""
        return getattr(self.model.simulator, "bands", (self.model.simulator,))

    def described(self):
        """What `rebuild` needs beside the data, for JSON."""
        arcs = self.arcs._asdict() | {
            "mask": np.flatnonzero(self.arcs.mask).tolist(),
            "others": np.flatnonzero(self.arcs.others).tolist(),
        }
        return {"arcs": arcs, "center": list(self.center), "n_sources": self.n_sources}


def rebuild(bands, described, start) -> FoundLens:
    """The lens that `described()` and `start` came from, without a search."""
    center = tuple(described["center"])
    kept = described["arcs"]
    bands = [_region(band, kept["extent"], center) for band in bands]
    masks = {name: np.zeros(bands[0].image.shape, bool) for name in ("mask", "others")}
    for name, mask in masks.items():
        mask.flat[kept[name]] = True
    arcs = Arcs(**kept | masks | {"source": tuple(kept["source"])})
    bands = tuple(_without(band, arcs.others) for band in bands)
    model, target = _conditioned(bands, described["n_sources"], center)
    return FoundLens(bands, model, target, None, start, arcs, center, described["n_sources"])


def add_bands(key, found, bands) -> FoundLens:
    """The lens in all `bands`, of which the first is that of `found`: one maximum for all."""
    shape = bands[0].image.shape
    for band in bands[1:]:
        if band.image.shape != shape:
            raise ValueError(
                f"bands: images of shape {shape} and {band.image.shape}; resample them to one grid."
            )
    bands = (_region(band, found.arcs.extent, found.center) for band in bands)
    bands = tuple(_without(band, found.arcs.others) for band in bands)
    model, target = _conditioned(bands, found.n_sources, found.center)
    best = find_map(key, target, initial=found.best.u[None], n_starts=1, n_draws=1, n_keep=1)
    start = laplace(target, best)
    return dataclasses.replace(
        found, bands=bands, model=model, target=target, best=best, start=start
    )


def _conditioned(bands, n_sources, center):
    """Model and target of one band or of several."""
    if len(bands) == 1:
        model = galaxy_model(bands[0], n_sources, center)
        return model, model.condition(bands[0].image)
    model = galaxy_model(bands, n_sources, center)
    return model, model.condition(tuple(band.image for band in bands))


def find_lens(key, data: LensImage, *, max_sources=5, n_starts=8, say=None) -> FoundLens:
    """The maximum of a lens model of `data`, from nothing but `data`.

    1. The lens galaxy: two Sersic profiles with a sky are fitted four times, each time without
       the pixels that stood out of the last residual.
    2. The arcs: those pixels. Traced back by an isothermal sphere, they give the Einstein radius
       that brings them together, and their place (`arcs.find_arcs`).
    3. The image is cut to the arcs, what else stands out is masked, and the whole model is searched
       from `n_starts` points about these values, with a source of one Sersic profile.
    4. Clumps are added where the residual points to on the source plane, while each raises the log
       evidence, by Laplace's approximation, by `STRONG`. All brightnesses must be above zero: two
       clumps of one place and opposite signs would be a new profile, of a size without bounds.

    Args:
        key: typed PRNG key.
        data: the image; a single band.
        max_sources: components of the source at most, 1 to 6.
        n_starts: starts of the search in step 3.
        say: a function of one line of text, for progress.

    Raises:
        ValueError: where no arc is significant.
    """
    if not 1 <= max_sources <= len(SOURCES):
        raise ValueError(f"max_sources = {max_sources}: give 1 to {len(SOURCES)}.")
    say = say or (lambda text: None)
    keys = dict(zip(("light", "starts", "lens"), jax.random.split(key, 3), strict=True))
    data = data.cut(min(REACH, (min(data.image.shape) - 1) // 2))
    half_width = 0.5 * min(data.image.shape) * float(data.grid.pixel_scale)
    center = brightest(data.image, mask_of(data), data.grid, 0.5 * half_width)
    data = _within(data, center, half_width)

    light, residual = _lens_light(keys["light"], data, center)
    inner = max(2.0 * _psf_radius(data), 0.15)
    arcs = find_arcs(residual, mask_of(data), data.grid, center, inner)
    if arcs is None:
        raise ValueError(
            "image: nothing stands out of the lens galaxy's light, so there are no arcs to fit; "
            "check the noise map, and that the lens is in the middle of the image."
        )
    say(
        f"lens galaxy at ({center[0]:+.2f}, {center[1]:+.2f}), arcs on {int(arcs.mask.sum())} "
        f"pixels, Einstein radius about {arcs.theta_E:.2f} arcsec"
    )

    data, arcs = _cut(data, arcs, center)
    model, target = _conditioned((data,), 1, center)
    starts = _starts(keys["starts"], model.prior, light.params, arcs, n_starts)
    best = find_map(
        keys["lens"], target, initial=starts, n_starts=n_starts, n_draws=n_starts, n_keep=3
    )
    say(f"one source component: log density {best.log_density:.1f}, {_quality(model, best, data)}")
    found = FoundLens((data,), model, target, best, laplace(target, best), arcs, center, 1)
    while found.n_sources < max_sources:
        more = _with_another_source(jax.random.fold_in(keys["lens"], found.n_sources), found)
        if more is None:
            say(f"{found.n_sources + 1} source components: not all are brighter than zero")
            break
        gain = more.log_evidence - found.log_evidence
        say(
            f"{found.n_sources + 1} source components: log evidence {gain:+.1f}, "
            f"needed {STRONG:+.1f}"
        )
        if not gain > STRONG:
            break
        found = more
        say(f"log density {found.best.log_density:.1f}, {_quality(found.model, found.best, data)}")
    return found


def mask_of(data):
    """The pixels that count, (H, W)."""
    return np.asarray(data.noise.mask)


def residual_of(simulator, params, data):
    """(data - model) / noise at the best amplitudes, zero where masked: (H, W)."""
    _, parts = eqx.filter_jit(simulator.components)(params, data.image)
    model = np.sum(np.asarray(parts), axis=0)
    pull = (np.asarray(data.image) - model) / np.asarray(data.noise.noise_map)
    return np.where(mask_of(data), pull, 0.0)


def _without(data, pixels):
    return data.masked(mask_of(data) & ~pixels)


def _distance(data, center):
    """Of each pixel from the lens galaxy [arcsec], (H, W)."""
    return np.hypot(*(np.asarray(a) - c for a, c in zip(data.grid.centres(), center, strict=True)))


def _within(data, center, radius):
    return _without(data, _distance(data, center) >= radius)


def _region(data, extent, center):
    """The data cut to a disc about the lens galaxy that holds the arcs, with a margin."""
    radius, scale = extent + MARGIN, float(data.grid.pixel_scale)
    middle = float(data.grid.center_x), float(data.grid.center_y)
    offset = np.hypot(*(c - at for c, at in zip(center, middle, strict=True)))
    half = min(int(np.ceil((radius + offset) / scale)), (min(data.image.shape) - 1) // 2)
    return _within(data.cut(half), center, radius)


def _cut(data, arcs, center):
    """Image and arcs cut to the region of the arcs."""
    cut = _region(data, arcs.extent, center)
    (height, width), shape = cut.image.shape, data.image.shape
    rows, columns = (
        slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(shape, (height, width), strict=True)
    )
    others = arcs.others[rows, columns]
    cut = _without(cut, others)
    return cut, arcs._replace(mask=arcs.mask[rows, columns] & mask_of(cut), others=others)


def _psf_radius(data):
    """Radius of the circle of the area where the PSF is above half of its peak [arcsec]."""
    if data.psf is None:
        return float(data.grid.pixel_scale)
    kernel = np.asarray(data.psf.kernel)
    area = np.sum(kernel > 0.5 * kernel.max()) / data.psf.supersampling**2
    return float(np.sqrt(area / np.pi) * data.grid.pixel_scale)


def _lens_light(key, data, center):
    """The maximum of the lens galaxy's light, and the residual it leaves."""
    everything, initial = mask_of(data), None
    center_out = _distance(data, center) > 2.0 * float(data.grid.pixel_scale)
    mask = everything
    for _ in range(4):
        model = galaxy_model(data.masked(mask), 0, center)
        best = find_map(
            key,
            model.condition(data.image),
            initial=initial,
            n_starts=6,
            n_keep=2,
            max_evaluations=150,
        )
        initial = best.u[None]
        residual = residual_of(model.simulator, best.params, data)
        arcs = find_arcs(residual, everything, data.grid, center, 0.0)
        if arcs is None:
            break
        # never so much that nothing is left to fit
        mask = everything & ~((arcs.mask | arcs.others) & center_out)
        if mask.sum() < 0.3 * everything.sum():
            mask = everything
    return best, residual


def _starts(key, prior, light, arcs, n):
    """Points to search from (n, D): prior draws, drawn in to what arcs and light say."""
    draws = jax.vmap(prior.sample)(jax.random.split(key, n))
    spread = np.array([0.0, -1.0, 1.0, -0.5, 0.5])[np.arange(n) % 5]
    theta_E = jnp.asarray(arcs.theta_E * np.exp(0.15 * spread))
    points = dict(draws)
    for name in ("gamma1", "gamma2"):
        points[name] = 0.3 * draws[name]
    for i in (1, 2):
        shape = np.mean([light[f"{which}_e{i}"] for which in LIGHTS])
        points[f"e{i}"] = shape + 0.3 * draws[f"e{i}"]
    points |= {name: jnp.full(n, value) for name, value in light.items()}
    points |= {
        "theta_E": theta_E,
        "gamma": jnp.full(n, 2.0),
        "center_x": points["light_x"],
        "center_y": points["light_y"],
    }
    for axis, value in zip("xy", arcs.source, strict=True):
        value = value - points[f"light_{axis}"]
        points[f"source_{axis}"] = value + 0.1 * (draws[f"source_{axis}"] - value) * (spread != 0)
    return np.asarray(jax.vmap(prior.to_unconstrained)(points))


def _with_another_source(key, found):
    """The lens with one more clump, of the highest evidence of those that are found from where the
    residual points to; None where none has a source that is bright throughout."""
    scene = found.model.simulator.scene
    params = {name: jnp.asarray(v) for name, v in found.best.params.items()}
    grid = found.data.grid
    lens = scene.lens(params)
    theta = jnp.stack(grid.centres(), axis=-1)
    beta, magnification = eqx.filter_jit(
        lambda lens, theta: (lens.trace(theta[..., 0], theta[..., 1]), lens.magnification(theta))
    )(lens, theta)
    residual = residual_of(found.model.simulator, params, found.data)
    outside = _distance(found.data, found.center) > 2.0 * _psf_radius(found.data)
    lensed = mask_of(found.data) & outside
    beta = [np.asarray(b) for b in beta]
    places = source_peaks(residual, lensed, beta, np.abs(magnification))
    middle = tuple(float(getattr(scene.sources(params)[0], f"center_{a}")) for a in "xy")
    # about the source itself either a core or a halo may be missing
    starts_at = [(place, 0.5) for place in (*places, middle)] + [(middle, 2.5)]
    n, name = found.n_sources + 1, SOURCES[found.n_sources]
    model, target = _conditioned(found.bands, n, found.center)
    starts = []
    for place, size in starts_at:
        x, y = (
            (at - params[f"center_{a}"]) / (params["gamma"] - 1.0)
            for a, at in zip("xy", place, strict=True)
        )
        new = {"R": size * params["source_R"], "x": x, "y": y}
        starts.append(params | {f"{name}_{what}": jnp.asarray(v) for what, v in new.items()})
    starts = np.stack([np.asarray(model.prior.to_unconstrained(start)) for start in starts])
    best = find_map(
        key,
        target,
        initial=starts,
        n_starts=len(starts),
        n_draws=len(starts),
        n_keep=len(starts),
        max_evaluations=600,
    )
    lenses = []
    for i, u in enumerate(best.starts["u"]):
        params = jax.tree.map(np.asarray, target.constrain(jnp.asarray(u)))
        amplitudes, _ = eqx.filter_jit(model.simulator.components)(params, found.data.image)
        if np.all(np.asarray(amplitudes)[:n] > 0.0):
            kept = {name: best.starts[name][i].item() for name in ("log_density", "converged")}
            one = dataclasses.replace(best, u=u, params=params, **kept)
            new = {"model": model, "target": target, "best": one, "start": laplace(target, one)}
            lenses.append(dataclasses.replace(found, **new, n_sources=n))
    return max(lenses, key=lambda lens: lens.log_evidence, default=None)


def _quality(model, best, data):
    pull = residual_of(model.simulator, best.params, data)
    return f"chi square a pixel {np.sum(pull**2) / mask_of(data).sum():.3f}"
