"""Strong gravitational lensing: mass, light, images and what is inferred from them."""
