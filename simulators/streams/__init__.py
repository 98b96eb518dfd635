"""Stellar streams: potentials, orbits, sprays and their observation."""
