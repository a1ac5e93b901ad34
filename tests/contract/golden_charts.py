"""Writes the golden files: `python -m tests.contract.golden_charts`, after a deliberate change of the chart."""

from pathlib import Path

import yaml
from tests.contract.chart_cases import CASES, released
from tests.contract.charts import render

if __name__ == "__main__":
    for case in ("guide-china", "comfyui"):
        objects = list(render(*released(CASES[case])).values())
        path = Path(__file__).parent / "golden" / f"{case}.yaml"
        path.write_text(yaml.safe_dump(objects, sort_keys=True, width=120), "utf-8")
