"""A function that cannot be imported."""

raise RuntimeError("broken from the start")
