"""What is wrong with a pipeline's document is found, each fault with its path."""

from typing import Any

import pytest

from darkroom.documents import bind_inputs, read_document
from darkroom.errors import InvalidRequestError
from darkroom.inspections import check_document, find_foreign_links, find_out_of_reach
from darkroom.references import Reference, ReferenceFailedError, resolve
from darkroom.runtimes import Runtime, RuntimeType

RUNTIMES = {
    "sdruntime": Runtime(name="sdruntime", type=RuntimeType.SDWEBUI, model="one", samplers=("Euler",)),
    "comfy": Runtime(name="comfy", type=RuntimeType.COMFYUI),
}
GRAPH = {"1": {"class_type": "LoadImage", "inputs": {"image": "${inputs.picture}"}}}
TEXT = {"prompt": "a dog", "steps": 4}


def step(id_: str = "a", **more: Any) -> dict[str, Any]:
    return {"id": id_, "runtime": "sdruntime", "type": "text-to-image", "content": TEXT} | more


def upscale(image: str, id_: str = "b", **more: Any) -> dict[str, Any]:
    return step(id_, type="extra-single-image", content={"image": image}, **more)


def faults(*steps: dict[str, Any], **more: Any) -> list[tuple[str, str]]:
    try:
        check_document(read_document({"steps": list(steps), **more}), RUNTIMES)
    except InvalidRequestError as error:
        return [(fault.field, fault.message) for fault in error.fields]
    return []


@pytest.mark.parametrize(
    ("steps", "path", "message"),
    [
        pytest.param([step(needs=["a"])], "steps[0].needs", "a → a", id="waits for itself"),
        pytest.param(
            [step(needs=["b"]), step("b", needs=["c"]), step("c", needs=["a"])],
            "steps[0].needs",
            "a → b → c → a",
            id="cycle",
        ),
        pytest.param(
            [upscale("${b.images[0]}", "a"), upscale("${a.images[0]}")],
            "steps[0].needs",
            "a → b → a",
            id="cycle by references",
        ),
        pytest.param([step(needs=["x"])], "steps[0].needs[0]", "no step 'x'", id="unknown step"),
        pytest.param(
            [upscale("${x.images[0]}")], "steps[0].content.image", "no step 'x'", id="unknown in reference"
        ),
        pytest.param([step(needs=["b"]), step("b")], "steps[0].needs[0]", "comes later", id="later step"),
        pytest.param(
            [upscale("${a.images[0]}"), step()], "steps[0].content.image", "comes later", id="later in reference"
        ),
        pytest.param([step(), step()], "steps[1].id", "another step", id="duplicate id"),
        pytest.param(
            [step(runtime="typo")], "steps[0].runtime", "there is: comfy, sdruntime", id="unknown runtime"
        ),
        pytest.param(
            [step(type="pipeline", content=GRAPH)], "steps[0].type", "not pipeline", id="the runtime cannot do it"
        ),
        pytest.param(
            [step(runtime="comfy", type="pipeline", content=GRAPH | {"2": {"inputs": {"image": ["9", 0]}}})],
            "steps[0].content.2.class_type",
            "the node's class",
            id="wrong workflow",
        ),
        pytest.param(
            [step(content=TEXT | {"sampler_name": "typo"})],
            "steps[0].content.sampler_name",
            "Euler",
            id="no sampler",
        ),
        pytest.param(
            [step(content=TEXT | {"override_settings": {"sd_model_checkpoint": "other"}})],
            "steps[0].content",
            "serves 'one' only",
            id="another model",
        ),
        pytest.param([step(content={})], "steps[0].content", "empty", id="no content"),
        pytest.param([step(content={"steps": 0})], "steps[0].content.steps", "greater", id="content out of range"),
        pytest.param(
            [step(), upscale("${a.images}")], "steps[1].content.image", "another type", id="list for image"
        ),
        pytest.param(
            [step(content=TEXT | {"seed": "${inputs.what}"})],
            "steps[0].content.seed",
            "another type",
            id="text for seed",
        ),
        pytest.param(
            [step(content=TEXT | {"seed": "${item}"})], "steps[0].content.seed", "foreach", id="item without"
        ),
        pytest.param(
            [step(content={"prompt": "${inputs.x}"})], "steps[0].content.prompt", "no input", id="no input"
        ),
        pytest.param(
            [step(content={"prompt": "${a b}"})], "steps[0].content.prompt", "no reference", id="no reference"
        ),
        pytest.param(
            [step(), upscale("${a.pictures}")], "steps[1].content.image", "'pictures'", id="no such result"
        ),
        pytest.param([step(foreach="${inputs.what}")], "steps[0].foreach", "no list", id="foreach over a text"),
        pytest.param([step(foreach="a")], "steps[0].foreach", "must be a list", id="foreach is text"),
        pytest.param([step(foreach=[0] * 1001)], "steps[0].foreach", "1001 items", id="too many items"),
        pytest.param([step(when="a = b")], "steps[0].when", "no condition", id="no condition"),
        pytest.param([step(when="${x.status}")], "steps[0].when", "no step 'x'", id="unknown step in a condition"),
    ],
)
def test_a_fault_is_found_where_it_is(steps: list[dict[str, Any]], path: str, message: str) -> None:
    found = faults(*steps, inputs={"what": "text", "picture": {"type": "image"}})

    assert [field for field, _ in found] == [path]
    assert message in found[0][1]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        pytest.param({"steps": [step(f"s{n}") for n in range(101)]}, "steps", id="too many steps"),
        pytest.param({"steps": []}, "steps", id="no steps"),
        pytest.param({"steps": [step("inputs")]}, "steps[0].id", id="reserved id"),
        pytest.param({"steps": [step(retry={"max_attempts": 0})]}, "steps[0].retry.max_attempts", id="no attempt"),
        pytest.param({"steps": [step(on_failure="ignore")]}, "steps[0].on_failure", id="unknown way on"),
        pytest.param(
            {"steps": [step()], "inputs": {"n": {"type": "integer", "default": "x"}}}, "inputs.n", id="default"
        ),
        pytest.param({"steps": [step()], "typo": 1}, "typo", id="unknown field"),
    ],
)
def test_a_wrong_form_is_told_by_its_path(change: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_document(change)

    assert [fault.field for fault in caught.value.fields] == [path]


def test_runtimes_of_other_keys_and_folders_that_they_cannot_write_to_are_found() -> None:
    narrow = Runtime(name="narrow", type=RuntimeType.SDWEBUI, owners=("other",), output_prefix="posters")
    document = read_document({"steps": [step(), step("b", runtime="narrow"), step("c", runtime="narrow")]})

    found = list(find_out_of_reach(document, RUNTIMES | {"narrow": narrow}, "owner"))

    assert [fault.field for fault in found] == ["steps[1].runtime", "prefix", "steps[2].runtime"]
    assert list(find_out_of_reach(document, RUNTIMES | {"narrow": narrow}, "other")) == [found[1]]


@pytest.mark.parametrize(
    ("link", "found"),
    [
        pytest.param("s3://bucket/uploads/other/1/a.png", True, id="of another owner"),
        pytest.param("s3://bucket/uploads/owner/1/a.png", False, id="of one's own"),
        pytest.param("s3://bucket/.requests/x.json", True, id="a request"),
        pytest.param("s3://bucket/.pipelines/owner/p/plan.json", True, id="what Darkroom keeps for itself"),
        pytest.param("s3://elsewhere/uploads/other/1/a.png", False, id="of another bucket"),
    ],
)
def test_links_to_others_files_are_found_wherever_the_document_says_them(link: str, *, found: bool) -> None:
    document = read_document(
        {
            "inputs": {"picture": {"type": "image", "default": link}, "list": [{"url": link}]},
            "steps": [upscale(link), step("c", foreach=[link]), step("d", content=TEXT | {"x": [{"y": link}]})],
        }
    )

    faults = [fault.field for fault in find_foreign_links(document, "bucket", "owner")]

    places = ["steps[0].content.image", "steps[1].foreach[0]", "steps[2].content.x[0].y"]
    places += ["inputs.picture", "inputs.list[0].url"]
    assert faults == (places if found else [])


def test_a_link_that_a_reference_is_part_of_is_looked_at_when_it_is_known() -> None:
    document = read_document(
        {"inputs": {"who": "x"}, "steps": [upscale("s3://bucket/uploads/${inputs.who}/1/a.png")]}
    )

    assert list(find_foreign_links(document, "bucket", "owner")) == []


def test_every_fault_is_told_at_once() -> None:
    assert [field for field, _ in faults(step(runtime="x"), step(needs=["y"]), step("c", when="="))] == [
        "steps[0].runtime",
        "steps[1].id",
        "steps[1].needs[0]",
        "steps[2].when",
    ]


def test_what_may_be_is_no_fault() -> None:
    good = [
        step(content=TEXT | {"seed": "${inputs.seed}", "prompt": "${inputs.what}, $${not} one"}),
        upscale("${item}", foreach="${a.images}", needs=["a"], retry={"max_attempts": 3}, on_failure="continue"),
        step(
            "c", content=TEXT | {"seed": "${a.info.seed}", "steps": "${index}"}, foreach=[1, 2], when="${b.images}"
        ),
    ]

    assert faults(*good, inputs={"seed": 3, "what": {"type": "string"}}) == []


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        pytest.param({"n": 2}, {"n": 2, "s": "x"}, id="given"),
        pytest.param({"n": 2, "s": "y"}, {"n": 2, "s": "y"}, id="in place of a default"),
        pytest.param({}, "inputs.n", id="missing"),
        pytest.param({"n": "2"}, "inputs.n", id="of another type"),
        pytest.param({"n": True}, "inputs.n", id="a boolean is no number"),
        pytest.param({"n": 2, "z": 1}, "inputs.z", id="unknown"),
    ],
)
def test_inputs_are_bound_by_type_and_default(given: dict[str, Any], bound: Any) -> None:
    document = read_document({"inputs": {"n": {"type": "integer"}, "s": "x"}, "steps": [step()]})

    if isinstance(bound, dict):
        assert bind_inputs(document, given) == bound
        return
    with pytest.raises(InvalidRequestError) as caught:
        bind_inputs(document, given)
    assert [fault.field for fault in caught.value.fields] == [bound]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("${x}", 1, id="a number stays one"),
        pytest.param("n=${x}", "n=1", id="inside a text it is text"),
        pytest.param("${l}", ["a"], id="a list stays one"),
        pytest.param("${l} ${x}", '["a"] 1', id="two are text"),
        pytest.param("$${x}", "${x}", id="escaped"),
        pytest.param({"k": ["${x}"]}, {"k": [1]}, id="anywhere inside"),
        pytest.param("${}", None, id="nothing"),
        pytest.param("${a..b}", None, id="no path"),
    ],
)
def test_references_are_resolved_with_their_type(text: Any, value: Any) -> None:
    def look(reference: Reference) -> Any:
        return {"x": 1, "l": ["a"]}[reference.root]

    if value is None:
        with pytest.raises(ReferenceFailedError):
            resolve(text, look)
    else:
        assert resolve(text, look) == value
