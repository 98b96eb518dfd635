"""The peers of `benchmarks/lensing.py`: each yields its cases as (name, call)."""

import numpy as np
from lensing_scene import (
    LENS,
    LENS_MODELS,
    LIGHT,
    N_HALOES,
    N_IMAGES,
    SCALE,
    SHAPE,
    SIGMA,
    SOURCE,
    SUPERSAMPLING,
    factors,
    halo_cases,
    haloes,
    image_cases,
    psf_kernel,
    rays,
)


def lenstronomy():
    from lenstronomy.Data.pixel_grid import PixelGrid
    from lenstronomy.Data.psf import PSF
    from lenstronomy.ImSim.image_model import ImageModel
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel

    model = ImageModel(*_imaging(PixelGrid, PSF, LensModel, LightModel), **_numerics())
    yield "image", lambda: model.image(LENS, [SOURCE], [LIGHT])
    many = LensModel(["TNFW"] * N_HALOES)
    x, y = rays()
    rows = np.stack(list(haloes().values()), axis=1).tolist()
    kwargs = [dict(zip(haloes(), row, strict=True)) for row in rows]
    yield f"{N_HALOES} haloes", lambda: np.stack(many.alpha(x, y, kwargs))


def jaxtronomy():
    from jaxtronomy.ImSim.image_model import ImageModel
    from jaxtronomy.LensModel.lens_model import LensModel
    from jaxtronomy.LensModel.lens_model_bulk import LensModelBulk
    from jaxtronomy.LightModel.light_model import LightModel
    from lenstronomy.Data.pixel_grid import PixelGrid
    from lenstronomy.Data.psf import PSF

    model = ImageModel(*_imaging(PixelGrid, PSF, LensModel, LightModel), **_numerics())
    yield from image_cases(lambda lens, source, light: model.image(lens, [source], [light]))
    # `LensModel` refuses more than 300 lenses.
    many = LensModelBulk(["TNFW"], multi_plane=False)
    index = np.zeros(N_HALOES, int)

    def deflect(kwargs, x, y):
        arguments = {"all_kwargs": kwargs, "index_list": index}
        beta_x, beta_y = many.ray_shooting(x, y, arguments)
        return x - beta_x, y - beta_y

    yield from halo_cases(deflect)


def herculens():
    from herculens.Coordinates.pixel_grid import PixelGrid
    from herculens.Instrument.psf import PSF
    from herculens.LensImage.lens_image import LensImage
    from herculens.LightModel.light_model import LightModel
    from herculens.LightModel.Profiles.sersic import Sersic
    from herculens.MassModel.mass_model import MassModel
    from herculens.MassModel.Profiles.epl import EPL
    from herculens.MassModel.Profiles.shear import Shear

    # lenstronomy's radius is the geometric mean of both axes'; here that is an option.
    profiles = (LightModel([Sersic(radius_major_axis=False)]) for _ in range(2))
    model = LensImage(
        PixelGrid(**_pixels()),
        PSF(psf_type="PIXEL", kernel_point_source=psf_kernel()),
        None,
        MassModel([EPL(), Shear()]),
        *profiles,
        **_numerics(),
    )
    yield from image_cases(lambda lens, source, light: model.model(lens, [source], [light]))
    yield f"{N_HALOES} haloes", "has no truncated NFW, nor any other NFW"


def caustics():
    import caustics as peer
    import torch

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    cosmology = peer.FlatLambdaCDM()
    redshifts = {"z_l": 0.5, "z_s": 1.0}
    parts = [peer.EPL(cosmology), peer.ExternalShear(cosmology)]
    # Its simulator convolves at the resolution of the rays. This kernel, with the PSF at every
    # second subpixel, makes that the convolution of whole pixels, as the others have it.
    kernel = np.zeros([SUPERSAMPLING * (n - 1) + 1 for n in psf_kernel().shape])
    kernel[::SUPERSAMPLING, ::SUPERSAMPLING] = psf_kernel()
    # Its image is 5e-4 apart at the edges, where it adds light scattered in from outside the frame,
    # and 1e-6 inside, because its coordinates are float32 numbers; with those in float64, 4e-15.
    simulator = peer.LensSource(
        peer.SinglePlane(cosmology, parts, **redshifts),
        peer.Sersic(use_lenstronomy_k=True),
        SCALE,
        SHAPE[1],
        lens_light=peer.Sersic(use_lenstronomy_k=True),
        pixels_y=SHAPE[0],
        upsample_factor=SUPERSAMPLING,
        psf=torch.as_tensor(kernel),
    ).to(dtype=torch.float64)

    def shape(e1, e2):
        e = torch.hypot(e1, e2)
        return (1.0 - e) / (1.0 + e), 0.5 * torch.atan2(e2, e1)

    def image(values):
        """From the numbers of LENS, SOURCE and LIGHT in their order."""
        theta_E, gamma, e1, e2, x, y, gamma1, gamma2, x0, y0 = values[:10]
        found = [x, y, *shape(e1, e2), theta_E, gamma - 1.0, x0, y0, gamma1, gamma2]
        for light in (values[10:17], values[17:24]):
            amp, R, n, e1, e2, x, y = light
            q, phi = shape(e1, e2)
            # of the major axis, where lenstronomy's is the geometric mean of both
            found += [x, y, q, phi, n, R / torch.sqrt(q), amp]
        return simulator(torch.stack(found)) * SCALE**2

    def gradient():
        leaf = values.clone().requires_grad_()
        value = -0.5 * torch.sum((image(leaf) / SIGMA) ** 2)
        return value, torch.autograd.grad(value, leaf)

    values = torch.tensor([v for part in (*LENS, SOURCE, LIGHT) for v in part.values()])
    sets = values * torch.as_tensor(factors())[:, None]
    yield "image", torch.no_grad()(lambda: image(values).numpy())
    yield "value and gradient", gradient
    yield f"{N_IMAGES} images, vmap", torch.no_grad()(lambda: torch.vmap(image)(sets).numpy())

    # In chunks of 25 haloes; all at once the arrays would be of 320 MB each. The gradient keeps all
    # of them nevertheless: 17.5 GB. Deflections are 2e-8 apart, as within 1 per cent of Rs its
    # function F is a parabola.
    halo = peer.TNFW(cosmology)
    plane = peer.BatchedPlane(cosmology, halo, chunk_size=25, **redshifts)
    x, y = map(torch.as_tensor, rays())
    lens = {name: torch.as_tensor(value) for name, value in haloes().items()}
    d_l, d_s = (cosmology.angular_diameter_distance(torch.tensor(z)) for z in redshifts.values())
    d_ls = cosmology.angular_diameter_distance_z1z2(*map(torch.tensor, redshifts.values()))
    arcsec = peer.constants.arcsec_to_rad
    unit = d_l * d_s / d_ls * arcsec**2 / (4.0 * peer.constants.G_over_c2)

    def deflect(lens):
        """TNFW in lenstronomy's arguments; the mass is the total one of Baltz et al. (2009)."""
        tau = lens["r_trunc"] / lens["Rs"]
        scale = lens["alpha_Rs"] * lens["Rs"] * unit / (1.0 - np.log(2.0))
        mass = scale / peer.lenses.func.M0_totmass_tnfw(1.0, tau)
        arguments = [lens["center_x"], lens["center_y"], mass, lens["Rs"], tau]
        return torch.stack(plane.reduced_deflection_angle(x, y, arguments))

    def halo_gradient():
        leaves = {name: value.clone().requires_grad_() for name, value in lens.items()}
        ax, ay = deflect(leaves)
        total = torch.sum(torch.cos(ax) + 0.5 * ay * ay)
        return torch.autograd.grad(total, list(leaves.values()))

    yield f"{N_HALOES} haloes", torch.no_grad()(lambda: deflect(lens).numpy())
    yield f"{N_HALOES} haloes, gradient", halo_gradient


def _imaging(PixelGrid, PSF, LensModel, LightModel):
    """The scene by the interface that lenstronomy and jaxtronomy share."""
    grid = PixelGrid(**_pixels())
    psf = PSF(psf_type="PIXEL", kernel_point_source=psf_kernel())
    profiles = (LightModel(["SERSIC_ELLIPSE"]) for _ in range(2))
    return grid, psf, LensModel(LENS_MODELS), *profiles


def _pixels():
    corner = [-0.5 * (n - 1) * SCALE for n in SHAPE]
    return {
        "nx": SHAPE[1],
        "ny": SHAPE[0],
        "transform_pix2angle": np.eye(2) * SCALE,
        "ra_at_xy_0": corner[1],
        "dec_at_xy_0": corner[0],
    }


def _numerics():
    numerics = {"supersampling_factor": SUPERSAMPLING, "supersampling_convolution": False}
    return {"kwargs_numerics": numerics}
