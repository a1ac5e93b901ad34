"""config.yaml: the guide's is taken as it stands, and what is wrong is told by its place."""

from pathlib import Path
from typing import Any

import pytest

from darkroom_cli.deploy.config import DEFAULT_MODEL, Config
from darkroom_cli.deploy.documentation import EXAMPLE, PAGE, example, fill
from darkroom_cli.deploy.documents import parse_yaml, read_config, write_yaml
from darkroom_cli.deploy.faults import ConfigError, check_config
from darkroom_cli.deploy.images import cache_size, cached_images, images_of

ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "tests/guide"


def config(text: str) -> Config:
    return check_config(parse_yaml(text, "config.yaml"))


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config(text)
    return caught.value.faults


def with_runtime(text: str) -> str:
    return f"modelBucketArn: arn:aws:s3:::models\nmodelsRuntime:\n- {{name: sdruntime, type: sdwebui, {text}}}\n"


@pytest.mark.parametrize("path", sorted(GUIDE.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_piece_of_the_guide_is_taken_to_the_letter(path: Path) -> None:
    piece: Any = parse_yaml(path.read_text("utf-8"), path.name)
    whole = {"modelBucketArn": "arn:aws:s3:::models", "modelsRuntime": [{"name": "a", "type": "sdwebui"}], **piece}
    check_config(whole)


def test_the_guides_whole_file_says_what_it_should() -> None:
    read = read_config(GUIDE / "china.yaml")
    assert ("sdoneks", "aws-cn", ["${MODEL_BUCKET}"]) == (read.stack_name, read.partition, read.placeholders)
    assert ("dev", 30, 50) == (
        read.api_gateway.stage_name,
        read.api_gateway.throttle.rate_limit,
        read.api_gateway.throttle.burst_limit,
    )
    (runtime,) = read.models_runtime
    assert ("sdruntime", "default", DEFAULT_MODEL, False) == (
        runtime.name,
        runtime.namespace,
        runtime.model,
        runtime.dynamic_model,
    )
    assert "snap-1234567890" == runtime.values["karpenter"]["nodeTemplate"]["dataVolume"]["snapshotID"]


def test_the_example_shows_every_key() -> None:
    example = ROOT / "config.example.yaml"
    read_config(example)
    shown = set(_keys(parse_yaml(_uncommented(example.read_text("utf-8")), "config.example.yaml")))
    assert {"schedule", "duration"} == _keys_of_schema() - shown, "of a budget, whose default has none"


def test_the_example_and_the_tables_are_those_of_the_models() -> None:
    """After a deliberate change: `python -m darkroom_cli.deploy.documentation`."""
    assert example(ROOT) == (ROOT / EXAMPLE).read_text("utf-8")
    page = (ROOT / PAGE).read_text("utf-8")
    assert fill(page, ROOT) == page
    assert page.count("| `") > 100


def test_the_example_holds_with_all_its_comments_taken_away() -> None:
    check_config(parse_yaml(_uncommented((ROOT / EXAMPLE).read_text("utf-8")), "config.example.yaml"))


def test_a_section_whose_keys_are_all_comments_says_nothing() -> None:
    (runtime,) = config(with_runtime("extraValues: {karpenter: {provisioner: }, runtime: }")).models_runtime
    assert {"karpenter": {}} == runtime.values
    assert ["modelsRuntime[0].extraValues.karpentr: there is no such key; did you mean karpenter?"] == faults(
        with_runtime("extraValues: {karpentr: }")
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            with_runtime("modelFileName: a.ckpt"),
            "modelsRuntime[0].modelFileName: there is no such key; did you mean modelFilename?",
        ),
        (
            with_runtime("extraValues: {runtime: {inferenceAPI: {}}}"),
            "modelsRuntime[0].extraValues.runtime.inferenceAPI: there is no such key; did you mean inferenceApi?",
        ),
        (
            with_runtime("extraValues: {karpenter: {nodeTemplate: {dataVolume: {snapshotId: snap-1}}}}"),
            "modelsRuntime[0].extraValues.karpenter.nodeTemplate.dataVolume.snapshotId: there is no such key",
        ),
        (
            with_runtime("snapshotID: snap-1"),
            "modelsRuntime[0].snapshotID: there is no such key; did you mean modelsRuntime.extraValues.",
        ),
        (with_runtime("dynamicModel: perhaps"), "modelsRuntime[0].dynamicModel: Input should be a valid boolean"),
        (with_runtime("modelFilename: 15"), "modelsRuntime[0].modelFilename: must be text; put 15 in quotes"),
        (
            with_runtime("extraValues: {karpenter: {nodeTemplate: {amiFamily: AL2}}}"),
            "modelsRuntime[0].extraValues.karpenter.nodeTemplate.amiFamily: 'AL2' is none of 'Bottlerocket'",
        ),
        ("modelBucketArn: arn:aws:s3:::models\n", "modelsRuntime: is missing"),
        ("modelBucketArn: models\nmodelsRuntime: []\n", "modelBucketArn: 'models' is not of the form ^arn:"),
        ("- 1\n", "config.yaml must be a mapping"),
        ("a: 1\na: 2\n", "config.yaml, line 2, column 1: the key 'a' stands here twice"),
        ("a: [1\n", "config.yaml, line 2, column 1: expected ',' or ']'"),
        (with_runtime("name: twice"), "config.yaml, line 3, column 36: the key 'name' stands here twice"),
    ],
)
def test_a_fault_says_where_it_is_and_what_was_meant(text: str, fault: str) -> None:
    assert [] != [told for told in faults(text) if told.startswith(fault)], faults(text)


def test_all_faults_are_told_at_once() -> None:
    told = faults("stackname: a\nmodelsRuntime:\n- {name: A, type: SDWebUI}\n")
    assert 4 == len(told)


@pytest.mark.parametrize(
    ("second", "word"),
    [
        ("{name: sdruntime, type: comfyui}", "name sdruntime"),
        ("{name: other, type: sdwebui, modelFilename: a.ckpt}", "modelFilename a.ckpt"),
    ],
)
def test_two_runtimes_share_neither_name_nor_model(second: str, word: str) -> None:
    (told,) = faults(with_runtime("modelFilename: a.ckpt") + f"- {second}\n")
    assert f"modelsRuntime: two runtimes have the {word}; each needs its own" == told


def test_with_a_chart_of_ones_own_any_value_goes() -> None:
    read = config(with_runtime("chartRepository: 'oci://example.com/charts/own', extraValues: {own: {a: 1}}"))
    assert {"own": {"a": 1}} == read.models_runtime[0].values


OWN_IMAGE = "extraValues: {runtime: {inferenceApi: {image: {repository: r/flip}}, queueAgent: {image: %s}}}"


def with_type(text: str) -> str:
    return f"modelBucketArn: arn:aws:s3:::models\nmodelsRuntime:\n- {{name: own, {text}}}\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "type: sdwebiu",
            "modelsRuntime[0]: the type 'sdwebiu' is none of sdwebui, comfyui, http; did you mean sdwebui?",
        ),
        ("type: http", "modelsRuntime[0]: http: name your runtime's image: extraValues.runtime.inferenceApi.image"),
        (
            "type: invokeai, " + OWN_IMAGE % "{}",
            "modelsRuntime[0]: the type 'invokeai' is none of sdwebui, comfyui, http; for an adapter of your own",
        ),
        (
            "type: comfyui, taskTypes: [interrogate]",
            "modelsRuntime[0]: taskTypes: comfyui does pipeline; not interrogate",
        ),
        ("type: comfyui, taskTypes: [pipelines]", "modelsRuntime[0].taskTypes[0]: "),
    ],
)
def test_a_type_that_could_not_be_run_is_refused(text: str, fault: str) -> None:
    (told,) = faults(with_type(text))
    assert told.startswith(fault)


def test_a_runtime_of_ones_own_brings_its_image_and_another_adapter_its_agent() -> None:
    for text in ("type: http, " + OWN_IMAGE % "{}", "type: invokeai, " + OWN_IMAGE % "{repository: r/agent}"):
        (runtime,) = config(with_type(text)).models_runtime
        assert "r/flip:latest" in images_of(runtime, "agent:1")
    (runtime,) = config(with_type("type: http, chartRepository: 'oci://example.com/own'")).models_runtime
    assert ["agent:1"] == images_of(runtime, "agent:1"), "its chart names the other"


def test_images_of_all_runtimes_without_a_snapshot_are_cached_once() -> None:
    text = with_runtime("extraValues: {runtime: {inferenceApi: {image: {repository: r/webui, tag: v1}}}}")
    read = config(
        text
        + "- {name: c, type: comfyui, extraValues: {karpenter: {nodeTemplate: {dataVolume: {volumeSize: 70Gi}}}}}\n"
        + "- {name: d, type: comfyui, extraValues: {karpenter: {nodeTemplate: {dataVolume: {snapshotID: snap-1}}}}}"
    )
    samples = "public.ecr.aws/bingjiao/sd-on-eks"
    assert ["r/webui:v1", "agent:1", f"{samples}/comfyui:latest"] == cached_images(read, "agent:1")
    assert 70 == cache_size(read)
    assert [f"{samples}/comfyui:latest", "agent:1"] == images_of(read.models_runtime[1], "agent:1")


def test_what_is_written_reads_the_same() -> None:
    read = read_config(GUIDE / "china.yaml")
    again = check_config(parse_yaml(write_yaml(read.model_dump(by_alias=True, exclude_unset=True)), "again"))
    assert read == again


def _uncommented(text: str) -> str:
    """The example with the keys that it shows as comments."""
    body = text.partition("\n\n")[2].splitlines()
    return "\n".join(line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line for line in body)


def _keys(document: object) -> list[str]:
    if isinstance(document, dict):
        return [*document, *(key for value in document.values() for key in _keys(value))]
    return [key for item in document for key in _keys(item)] if isinstance(document, list) else []


def _keys_of_schema() -> set[str]:
    schema = Config.model_json_schema(by_alias=True)
    return {key for part in (schema, *schema["$defs"].values()) for key in part.get("properties", {})}
