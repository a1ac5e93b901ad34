"""docs/agent.md says what the code does."""

import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from darkroom_agent import metrics
from darkroom_agent.settings import OLD_NAMES, AgentSettings

TEXT = (Path(__file__).parents[3] / "docs" / "agent.md").read_text()


def written(default: Any) -> str:
    """A default as the table has it."""
    if default in {None, ()}:
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def test_every_setting_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `DARKROOM_(\w+)` \| (.*?) ?\| ", TEXT, re.MULTILINE))
    expected = {
        name.upper(): "" if field.is_required() else written(field.default)
        for name, field in AgentSettings.model_fields.items()
    }
    assert expected | {"POD_NAME": "`$HOSTNAME`"} == rows


def test_every_setting_has_its_words_in_the_code() -> None:
    described = set(re.findall(r"^        (\w+): ", AgentSettings.__doc__ or "", re.MULTILINE))
    own = set(AgentSettings.model_fields) - {"runtime_url", "queue_url", "results_queue_url"}
    assert own - described <= {"tasks_table", "output_bucket"}
    assert described <= set(AgentSettings.model_fields)


def test_every_old_name_is_documented() -> None:
    assert [] == [name for name in OLD_NAMES.values() if f"`{name}`" not in TEXT]


def test_every_metric_is_documented() -> None:
    families = text_string_to_metric_families(metrics.render()[0].decode())
    names = {family.name for family in families if family.name.startswith("darkroom_")}
    assert {name for name in names if name not in TEXT} == set()
    assert len(names) >= 6
