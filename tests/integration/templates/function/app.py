"""A function that is deployed here and run elsewhere."""


def handler(event: dict[str, object], _context: object) -> dict[str, object]:
    """Returns what it was called with."""
    return event
