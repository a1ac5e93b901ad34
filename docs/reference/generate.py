"""Writes the API's reference: docs/openapi.json, and what the API serves. A test holds the files equal.

It imports the API as its tests do, so it needs the settings that the function gets, but no AWS.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]

from bench.api.inprocess import imported_app, settings  # noqa: E402
from document import make_document  # noqa: E402  the path comes first
from page import make_page  # noqa: E402

SERVED = ROOT / "functions" / "api" / "chalicelib" / "reference_files"


def make_files() -> dict[Path, str]:
    """Every file of the reference, and what it must hold."""
    with settings("http://localhost"), imported_app() as module:
        kinds = sys.modules["chalicelib.problems"].KINDS
        document = make_document(module.app, kinds)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return {
        ROOT / "docs" / "openapi.json": text,
        SERVED / "openapi.json": text,
        SERVED / "docs.html": make_page(document),
    }


if __name__ == "__main__":
    for path, content in make_files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
