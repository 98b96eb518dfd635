"""What the physics of every field is written with."""
