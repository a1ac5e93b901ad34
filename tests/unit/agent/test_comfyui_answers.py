"""Reading ComfyUI's history: what a run came to."""

from typing import Any

import pytest

from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom_agent.faults import RuntimeHungError
from darkroom_agent.runtimes.comfyui_answers import ForgottenOutputsError, partial, read_ending, refusal
from darkroom_agent.runtimes.comfyui_server import Receipt, StoredFile

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {}},
    "9": {"class_type": "SaveImage", "inputs": {}},
    "10": {"class_type": "SaveImage", "inputs": {}},
}


def file(name: str, type_: str = "output", **more: Any) -> dict[str, Any]:
    return {"filename": name, "subfolder": "s", "type": type_, **more}


def entry(
    outputs: dict[str, Any],
    *last: tuple[str, dict[str, Any]],
    wanted: tuple[str, ...] = (),
    cached: tuple[str, ...] = ("10", "1"),
) -> dict[str, Any]:
    good = not last or last[-1][0] == "execution_success"
    told = {"nodes": list(cached), "prompt_id": "P", "timestamp": 1500}
    messages: list[Any] = [["execution_start", {"timestamp": 1000}], ["execution_cached", told], *map(list, last)]
    status = {"status_str": "success" if good else "error", "completed": good, "messages": messages}
    return {"prompt": [0, "P", GRAPH, {}, list(wanted)], "outputs": outputs, "status": status, "meta": {}}


def error(message: str, kind: str = "RuntimeError", **more: Any) -> tuple[str, dict[str, Any]]:
    told = {"exception_message": message, "exception_type": kind, "traceback": ['  File "/x.py"'], **more}
    return "execution_error", {
        "node_id": "9",
        "node_type": "SaveImage",
        "current_inputs": {"a": ["secret"]},
        **told,
    }


def names(found: dict[str, Any]) -> list[str]:
    return [f.filename for f in read_ending(entry(found), GRAPH, {}).files]


def test_files_come_in_the_order_of_the_nodes_whatever_they_are_called() -> None:
    found = {
        "10": {"gifs": [file("d.gif")], "videos": [file("e.mp4")]},
        "9": {"images": [file("a.png"), file("b.webp")], "animated": [True], "audio": [file("c.flac")]},
        "57:8": {"3d": [file("f.glb")]},
    }
    assert ["a.png", "b.webp", "c.flac", "d.gif", "e.mp4", "f.glb"] == names(found)


def test_previews_count_only_where_nothing_was_saved() -> None:
    previews = {"1": {"images": [file("p.png", "temp")]}}
    assert ["p.png"] == names(previews)
    assert ["a.png"] == names(previews | {"9": {"images": [file("a.png")]}})


def test_a_file_that_two_nodes_name_is_taken_once_and_inputs_never() -> None:
    found = {"1": {"images": [file("in.png", "input")]}, "9": {"images": [file("a.png")], "gifs": [file("a.png")]}}
    assert ["a.png"] == names(found)


def test_texts_are_outputs_of_their_own() -> None:
    ending = read_ending(entry({"9": {"text": ["a dog", "a cat"]}}), GRAPH, {})
    assert () == ending.files
    assert {"9": {"class_type": "SaveImage", "text": ["a dog", "a cat"]}} == ending.answer["outputs"]


def test_the_answer_tells_what_was_cached_how_long_it_took_and_which_file_is_which() -> None:
    last = ("execution_success", {"timestamp": 3250})
    gif = file("a.gif", fullpath="/srv/output/a.gif", format="image/gif")
    ending = read_ending(entry({"9": {"gifs": [gif]}}, last, wanted=("9", "10")), GRAPH, {"10": "too dark"})
    assert (StoredFile("a.gif", "s", "output"),) == ending.files
    kept = {"filename": "a.gif", "subfolder": "s", "type": "output", "format": "image/gif", "number": 1}
    assert {
        "outputs": {"9": {"class_type": "SaveImage", "gifs": [kept]}},
        "cached": ["1", "10"],
        "without_output": ["10"],
        "blocked": {"10": "too dark"},
        "seconds": 2.25,
    } == ending.answer
    assert ("node 10 (SaveImage) was left out: too dark",) == ending.warnings


def test_a_save_that_put_nothing_out_is_a_warning_and_a_node_that_never_does_is_none() -> None:
    found = {"9": {"images": [file("a.png")]}}
    assert ("node 10 (SaveImage) put nothing out",) == read_ending(
        entry(found, wanted=("1", "9", "10")), GRAPH, {}
    ).warnings


@pytest.mark.parametrize(
    "outputs", [{}, {"9": {}}, {"9": {"images": [file("i.png", "input")], "animated": [False]}}]
)
def test_a_run_that_shows_nothing_failed_and_names_the_nodes(outputs: dict[str, Any]) -> None:
    with pytest.raises(TaskFailedError, match=r"no output of node 10 \(SaveImage\)") as caught:
        read_ending(entry(outputs, wanted=("10",), cached=("1",)), GRAPH, {})
    assert "no_outputs" == caught.value.type


def test_a_cached_node_that_shows_nothing_may_have_made_something_before() -> None:
    with pytest.raises(ForgottenOutputsError, match=r"no output of node 10 \(SaveImage\)") as caught:
        read_ending(entry({}, wanted=("10",), cached=("1", "10")), GRAPH, {})
    assert "output_missing" == caught.value.type


def test_what_nodes_put_out_that_another_made_is_that_ones() -> None:
    ending = read_ending(entry({"10.0.0.2": {"images": [file("a.png")]}}, wanted=("10",)), GRAPH, {})
    assert ((), [], True) == (ending.warnings, ending.answer["without_output"], ending.expanded)
    assert not read_ending(entry({"10": {"images": [file("a.png")]}}), GRAPH, {}).expanded


def test_a_run_that_was_blocked_altogether_says_by_what() -> None:
    with pytest.raises(TaskFailedError, match=r"blocked by node 10 \(SaveImage\): too dark") as caught:
        read_ending(entry({}, wanted=("10",), cached=("1",)), GRAPH, {"10": "too dark"})
    assert "no_outputs" == caught.value.type


@pytest.mark.parametrize(
    ("last", "kind", "type_", "text"),
    [
        (
            error("bad /srv/models/x.bin\nsecond"),
            TaskFailedError,
            "node_failed",
            "9 (SaveImage): bad …/x.bin second",
        ),
        (error(" \n", "builtins.KeyError"), TaskFailedError, "node_failed", "node 9 (SaveImage): KeyError"),
        (error("x" * 5000), TaskFailedError, "node_failed", "xxx…"),
        (error("no", "torch.OutOfMemoryError"), TaskInterruptedError, "out_of_memory", "node 9"),
        (error("Allocation on device "), TaskInterruptedError, "out_of_memory", "node 9"),
        (error("DefaultCPUAllocator: can't allocate memory"), TaskInterruptedError, "out_of_memory", "node 9"),
        (error("", "MemoryError"), TaskInterruptedError, "out_of_memory", "node 9"),
        (error("std::bad_alloc"), TaskInterruptedError, "out_of_memory", "node 9"),
        (error("CUBLAS_STATUS_ALLOC_FAILED when calling"), TaskInterruptedError, "out_of_memory", "node 9"),
        (error("[Errno 28] No space left on device", "OSError"), RuntimeHungError, "disk_full", "node 9"),
        (error("CUDA driver error: unknown error"), RuntimeHungError, "gpu_fault", "node 9"),
        (error("CUDA error: an illegal memory access"), RuntimeHungError, "gpu_fault", "node 9"),
        (("execution_interrupted", {"node_id": "9"}), TaskInterruptedError, "interrupted", "interrupted"),
        (("execution_cached", {}), TaskInterruptedError, "runtime_error", "without a reason"),
    ],
)
def test_the_last_message_says_how_a_run_failed(
    last: tuple[str, dict[str, Any]], kind: type[Exception], type_: str, text: str
) -> None:
    outputs = {"9": {"images": [file("a.png")]}}  # those that were finished before are listed all the same
    with pytest.raises((TaskFailedError, TaskInterruptedError)) as caught:
        read_ending(entry(outputs, last), GRAPH, {})
    assert (kind, type_) == (type(caught.value), caught.value.type)
    assert text in str(caught.value)
    assert len(str(caught.value)) <= 300
    assert "secret" not in str(caught.value)


def test_a_run_whose_last_word_is_an_error_did_not_end_well_whatever_its_status_says() -> None:
    outputs = {"9": {"images": [file("a.png")]}}
    told = entry(outputs, error("Dependency cycle detected"))
    told["status"]["status_str"] = "success"
    with pytest.raises(TaskFailedError, match="Dependency cycle"):
        read_ending(told, GRAPH, {})


def test_a_refusal_names_each_node_and_its_fault() -> None:
    bad = {"type": "value_not_in_list", "message": "Value not in list", "details": "m: 'x' not in ['y']"}
    faults = {
        "10": {"errors": [bad], "dependent_outputs": ["10"], "class_type": "SaveImage"},
        "9": {"errors": [bad], "dependent_outputs": ["9"], "class_type": "SaveImage"},
    }
    one = "(SaveImage): Value not in list: m: 'x' not in ['y']"
    refused = refusal(Receipt(None, faults, {"message": "Prompt outputs failed validation"}), GRAPH)
    assert ("invalid_workflow", f"node 9 {one}; node 10 {one}") == (refused.type, str(refused))
    dropped = partial(Receipt("P", {"10": faults["10"]}), GRAPH)
    assert ("partial_workflow", f"a part of the workflow cannot run: node 10 {one}") == (dropped.type, str(dropped))


def test_a_refusal_without_nodes_gives_the_servers_own_words() -> None:
    refused = refusal(Receipt(None, {}, {"message": "Prompt has no outputs", "details": ""}), GRAPH)
    assert "Prompt has no outputs" == str(refused)
