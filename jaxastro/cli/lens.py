"""`jaxastro lens`: fit a lensed galaxy, from an image, its noise and its PSF."""

from .report import Clock, keep, kept, save_figure, write_summary


def run(args) -> int:
    """The job; returns the exit status."""
    import jax
    import numpy as np

    from jaxastro.diagnose import converged
    from jaxastro.infer import nuts

    clock = Clock()
    key = jax.random.key(args.seed)
    bands = _read(args)
    args.out.mkdir(parents=True, exist_ok=True)
    found = _found(args, jax.random.fold_in(key, 0), bands, clock)
    posterior = nuts(
        jax.random.fold_in(key, 1),
        found.target,
        n_chains=args.chains,
        n_warmup=args.warmup,
        n_draws=args.draws,
        initial=found.start,
        target_accept=0.9,
        checkpoint=args.out / "state" / "nuts",
        resume=not args.fresh,
        progress=True,
    )
    clock.say(f"NUTS: {args.chains} chains of {args.draws} draws")
    table, verdict = posterior.summary(), converged(posterior)
    median = {name: np.median(values) for name, values in posterior.flat().items()}
    chi2, lines = _residuals(found, median)
    derived = _derived(posterior)
    rows = [
        f"{name}: {q50:.3f} -{q50 - q16:.3f} +{q84 - q50:.3f}"
        for name, (q16, q50, q84) in derived.items()
    ]
    text = "\n\n".join([str(table), str(verdict), "\n".join(rows), "\n".join(lines)])
    print(text)
    posterior.save(args.out / "posterior.nc")
    more = {"n_sources": found.n_sources, "center": found.center, "derived": derived}
    write_summary(args.out, text, table, verdict, **more, chi2_per_pixel=chi2)
    _figures(args.out, found, posterior, median)
    clock.say(f"posterior.nc, summary.txt, summary.json, figures, maps.fits in {args.out}/")
    return 0 if verdict else 1


def _read(args):
    """The bands as `LensImage`s; all are read before anything is computed."""
    from simulators.lensing.observe import read_image

    noise, psf = args.noise or args.image, args.psf or args.image
    choices = [_extensions(text) for text in args.extensions or [None]]
    if choices == [None] and (args.noise is None or args.psf is None):
        raise ValueError(
            "--noise, --psf: give both files, or --extensions FLUX,NOISE,PSF where the image's "
            "file holds all three."
        )
    return [
        read_image(
            args.image,
            noise,
            psf,
            pixel_scale=args.pixel_scale,
            supersampling=args.supersampling,
            extensions=chosen,
        )
        for chosen in choices
    ]


def _extensions(text):
    if text is None:
        return None
    names = [int(part) if part.isdigit() else part for part in text.split(",")]
    if len(names) != 3:
        raise ValueError(f"--extensions: {text!r}; give three: FLUX,NOISE,PSF.")
    return tuple(names)


def _found(args, key, bands, clock):
    """The lens, from an earlier run where one is."""
    import numpy as np

    from .find_lens import add_bands, find_lens, rebuild

    folder = args.out / "state" / "maximum"
    settings = {
        "seed": args.seed,
        "sources": args.sources,
        "starts": args.starts,
        "supersampling": args.supersampling,
        "data": [[float(np.sum(b.image)), float(np.sum(b.noise.noise_map))] for b in bands],
    }
    earlier = None if args.fresh else kept(folder, settings)
    if earlier:
        start, metadata = earlier
        clock.say("maximum: taken from the earlier run")
        return rebuild(bands, metadata["found"], start)

    found = find_lens(key, bands[0], max_sources=args.sources, n_starts=args.starts, say=clock.say)
    if len(bands) > 1:
        found = add_bands(key, found, bands)
        clock.say(f"{len(bands)} bands: log density {found.best.log_density:.1f}")
    if not found.best.converged:
        clock.say("the search for the maximum did NOT converge")
    keep(folder, settings, found.start, {"found": found.described()})
    return found


def _derived(posterior):
    """Half-light radii of the lens galaxy and of the source, ellipticity of the mass: 16, 50 and 84
    per cent of each."""
    import numpy as np

    from simulators.lensing.galaxy_lens import R_SLOPE, half_light, mass_ellipticity, sersic_index

    draws = posterior.flat()
    found = {
        f"R_e of the {name} [arcsec]": half_light(
            sersic_index(draws, name), draws[f"{name}_slope"], at
        )
        for name, at in R_SLOPE.items()
    }
    found["R_e of the source [arcsec]"] = (draws["gamma"] - 1.0) * draws["source_R"]
    shape = mass_ellipticity(*(draws[name] for name in ("gamma", "e1", "e2")))
    found |= {f"e{i} of the mass": values for i, values in enumerate(shape, 1)}
    return {
        name: np.percentile(np.asarray(values), [15.87, 50.0, 84.13]).tolist()
        for name, values in found.items()
    }


def _residuals(found, params):
    """Chi square a pixel on the arcs and off them, a band each, and as lines of text."""
    import numpy as np

    from .find_lens import residual_of

    values, lines = [], []
    for i, (data, simulator) in enumerate(zip(found.bands, found.simulators, strict=True)):
        pull = residual_of(simulator, params, data)
        counted = np.asarray(data.noise.mask)
        parts = {"all": counted, "arcs": counted & found.arcs.mask}
        parts["off the arcs"] = counted & ~found.arcs.mask
        chi2 = {name: float(np.mean(pull[where] ** 2)) for name, where in parts.items()}
        said = ", ".join(f"{name} {value:.3f}" for name, value in chi2.items())
        lines.append(f"chi square a pixel, band {i + 1}: {said}")
        values.append(chi2)
    return values, lines


def _figures(out, found, posterior, median):
    import equinox as eqx
    import numpy as np
    from astropy.io import fits

    from jaxastro.plot import corner
    from simulators.lensing.figures import lens_figure, magnification_figure
    from simulators.lensing.galaxy_lens import maps

    names = ["theta_E", "gamma", "e1", "e2", "gamma1", "gamma2", "source_R", "source_n"]
    save_figure(corner(posterior, names=names), out / "corner", 110)
    images = eqx.filter_jit(maps)(found.simulators[0], median, found.data.image)
    images = {name: np.asarray(value) for name, value in images.items()}
    for draw, name in ((lens_figure, "lens"), (magnification_figure, "magnification")):
        save_figure(draw(found.data, images), out / name, 130)
    header = fits.Header()
    header["PIXSCALE"] = (float(found.data.grid.pixel_scale), "[arcsec] side of a pixel")
    names = ("model", "lens_light", "arcs", "residual", "magnification", "convergence")
    hdus = [fits.ImageHDU(images[name], header, name=name.upper()) for name in names]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(out / "maps.fits", overwrite=True)
