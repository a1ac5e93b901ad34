"""The emulated AWS: moto's server with what it lacks."""
