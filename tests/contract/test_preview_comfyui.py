"""The preview's ComfyUI answers as a ComfyUI server does (0.3.64): shapes, order of events, caching, faults."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from PIL import Image, ImageChops

from darkroom_local.preview.comfyui.server import make_app
from darkroom_local.preview.runtime import Pace

NOISE = Image.effect_noise((48, 32), 60).convert("RGB")


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def empty(colour: int = 0x336699, size: int = 16, count: int = 1) -> dict[str, Any]:
    return node("EmptyImage", width=size, height=size, batch_size=count, color=colour)


def save(source: str, prefix: str = "x") -> dict[str, Any]:
    return node("SaveImage", images=[source, 0], filename_prefix=prefix)


def scale(source: str, width: int, height: int, method: str = "lanczos", crop: str = "disabled") -> dict[str, Any]:
    return node("ImageScale", image=[source, 0], upscale_method=method, width=width, height=height, crop=crop)


def sample(steps: int, size: int = 64) -> dict[str, Any]:
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["6", 0], "latent_image": ["5", 0]}
    settings = {"seed": 1, "cfg": 8, "sampler_name": "euler", "scheduler": "normal", "denoise": 1}
    return {
        "4": node("CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly.safetensors"),
        "5": node("EmptyLatentImage", width=size, height=size, batch_size=2),
        "6": node("CLIPTextEncode", text="a lighthouse", clip=["4", 1]),
        "3": node("KSampler", steps=steps, **links, **settings),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": save("8"),
    }


@dataclass
class Client:
    """A client of the server, with a socket of its own."""

    session: aiohttp.ClientSession
    socket: aiohttp.ClientWebSocketResponse

    async def get(self, path: str, **query: str) -> Any:
        async with self.session.get(path, params=query) as answer:
            return await answer.json()

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        async with self.session.post(path, json=body) as answer:
            json_ = answer.content_type == "application/json"
            return answer.status, await answer.json() if json_ else await answer.text()

    async def send(self, graph: Any, prompt_id: str = "P", **more: Any) -> tuple[int, Any]:
        body = {"prompt": graph, "client_id": "c", "prompt_id": prompt_id, **more}
        return await self.post("/prompt", body)

    async def events(self) -> list[tuple[str, dict[str, Any]]]:
        """What is told until the prompt is over."""
        told: list[tuple[str, dict[str, Any]]] = []
        while not told or told[-1] != ("executing", {"node": None, "prompt_id": told[-1][1].get("prompt_id")}):
            event = await self.socket.receive_json(timeout=5)
            told.append((event["type"], event["data"]))
        return told

    async def run(self, graph: Any, prompt_id: str = "P") -> dict[str, Any]:
        """Run a graph and return its entry in the history."""
        status, answer = await self.send(graph, prompt_id)
        assert (200, {}) == (status, answer["node_errors"])
        await self.events()
        entry: dict[str, Any] = (await self.get(f"/history/{prompt_id}"))[prompt_id]
        return entry

    async def images(self, graph: Any, prompt_id: str = "P") -> list[Image.Image]:
        entry = await self.run(graph, prompt_id)
        found: list[Image.Image] = []
        for output in entry["outputs"].values():
            for file in output["images"]:
                async with self.session.get("/view", params=file) as answer:
                    found.append(Image.open(io.BytesIO(await answer.read())))
        return found

    async def upload(self, image: Image.Image, name: str = "in.png", **fields: str) -> tuple[int, Any]:
        file = io.BytesIO()
        image.save(file, "PNG")
        form = aiohttp.FormData(fields)
        form.add_field("image", file.getvalue(), filename=name)
        async with self.session.post("/upload/image", data=form) as answer:
            return answer.status, await answer.json() if answer.status == 200 else None


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    server = TestServer(make_app(pace=Pace(0.005, 0)))
    await server.start_server()
    yield server
    await server.close()


@pytest.fixture
async def client(server: TestServer) -> AsyncIterator[Client]:
    async with (
        aiohttp.ClientSession(server.make_url("/")) as session,
        session.ws_connect("/ws?clientId=c") as socket,
    ):
        hello = await socket.receive_json(timeout=5)
        assert {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "c"} == hello["data"]
        yield Client(session, socket)


def kinds(events: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """The events' names, with the node that they are about."""
    return [f"{kind} {data['node']}" if "node" in data else kind for kind, data in events if kind != "status"]


async def test_events_come_in_comfyuis_order(client: Client) -> None:
    await client.send({"1": empty(), "2": scale("1", 8, 8), "9": save("2")})
    state = "progress_state"
    assert [
        *("execution_start", "execution_cached"),
        *(state, "executing 1", state),
        *(state, "executing 2", state),
        *(state, "executing 9", "executed 9", state),
        *("execution_success", "executing None"),
    ] == kinds(await client.events())


async def test_a_cached_run_tells_of_its_outputs_only(client: Client) -> None:
    graph = {"1": empty(), "9": save("1")}
    first = await client.run(graph)
    await client.send(graph, "Q")
    events = await client.events()
    told = [
        "execution_start",
        "execution_cached",
        "executed 9",
        "progress_state",
        "execution_success",
        "executing None",
    ]
    assert told == kinds(events)
    assert ["1", "9"] == dict(events)["execution_cached"]["nodes"]
    assert first["outputs"] == (await client.get("/history/Q"))["Q"]["outputs"]


async def test_what_has_changed_runs_again_and_so_does_what_depends_on_it(client: Client) -> None:
    await client.run({"1": empty(), "2": empty(1), "9": save("1"), "10": save("2")})
    entry = await client.run({"1": empty(), "2": empty(2), "9": save("1"), "10": save("2")}, "Q")
    assert ["1", "9"] == dict(map(tuple, entry["status"]["messages"]))["execution_cached"]["nodes"]


async def test_forgotten_results_are_made_anew(client: Client) -> None:
    graph = {"1": empty(), "9": save("1")}
    await client.run(graph)
    assert (200, "") == await client.post("/free", {"unload_models": True, "free_memory": True})
    entry = await client.run(graph, "Q")
    assert [] == dict(map(tuple, entry["status"]["messages"]))["execution_cached"]["nodes"]
    assert "x_00002_.png" == entry["outputs"]["9"]["images"][0]["filename"]


async def test_the_history_holds_the_prompt_the_outputs_and_the_messages(client: Client) -> None:
    graph = {"1": empty(), "9": save("1", "sub/x")}
    entry = await client.run(graph)
    assert [0, "P", graph, {"client_id": "c"}, ["9"]] == entry["prompt"]
    assert {"9": {"images": [{"filename": "x_00001_.png", "subfolder": "sub", "type": "output"}]}} == entry[
        "outputs"
    ]
    assert ("success", True) == (entry["status"]["status_str"], entry["status"]["completed"])
    assert ["execution_start", "execution_cached", "execution_success"] == [
        m[0] for m in entry["status"]["messages"]
    ]
    assert {"node_id": "9", "display_node": "9", "parent_node": None, "real_node_id": "9"} == entry["meta"]["9"]
    assert {} == await client.get("/history/unknown")
    assert {"P"} == set(await client.get("/api/history"))


def fault(kind: str, message: str, details: str, **extra: Any) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": extra}


SIDE = ["INT", {"default": 512, "min": 0, "max": 16384, "step": 1}]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"upscale_method": "best"},
            fault(
                "value_not_in_list",
                "Value not in list",
                "upscale_method: 'best' not in ['nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos']",
                input_name="upscale_method",
                input_config=[["nearest-exact", "bilinear", "area", "bicubic", "lanczos"], {}],
                received_value="best",
            ),
        ),
        (
            {"width": -4},
            fault(
                "value_smaller_than_min",
                "Value -4 smaller than min of 0",
                "width",
                input_name="width",
                input_config=SIDE,
                received_value=-4,
            ),
        ),
        (
            {"width": 99999},
            fault(
                "value_bigger_than_max",
                "Value 99999 bigger than max of 16384",
                "width",
                input_name="width",
                input_config=SIDE,
                received_value=99999,
            ),
        ),
        (
            {"width": "a"},
            fault(
                "invalid_input_type",
                "Failed to convert an input value to a INT value",
                "width, a, invalid literal for int() with base 10: 'a'",
                input_name="width",
                input_config=SIDE,
                received_value="a",
                exception_message="invalid literal for int() with base 10: 'a'",
            ),
        ),
        (
            {"image": ["1"]},
            fault(
                "bad_linked_input",
                "Bad linked input, must be a length-2 list of [node_id, slot_index]",
                "image",
                input_name="image",
                input_config=["IMAGE", {}],
                received_value=["1"],
            ),
        ),
        (
            {"image": ["7", 1]},
            fault(
                "return_type_mismatch",
                "Return type mismatch between linked nodes",
                "image, received_type(MASK) mismatch input_type(IMAGE)",
                input_name="image",
                input_config=["IMAGE", {}],
                received_type="MASK",
                linked_node=["7", 1],
            ),
        ),
    ],
)
async def test_a_wrong_input_is_told_in_comfyuis_words(
    client: Client, changed: dict[str, Any], expected: dict[str, Any]
) -> None:
    await client.upload(NOISE)
    wrong = scale("1", 8, 8)
    wrong["inputs"] |= changed
    graph = {"1": empty(), "7": node("LoadImage", image="in.png"), "2": wrong, "9": save("2")}
    status, answer = await client.send(graph)
    assert 400 == status
    whole = fault("prompt_outputs_failed_validation", "Prompt outputs failed validation", "")
    assert whole == answer["error"]
    assert {"2": {"errors": [expected], "dependent_outputs": ["9"], "class_type": "ImageScale"}} == answer[
        "node_errors"
    ]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, fault("no_prompt", "No prompt provided", "No prompt provided")),
        ({"prompt": {}}, fault("prompt_no_outputs", "Prompt has no outputs", "")),
        ({"prompt": {"1": empty()}}, fault("prompt_no_outputs", "Prompt has no outputs", "")),
        (
            {"prompt": {"1": node("Nope")}},
            fault("invalid_prompt", "Cannot execute because node Nope does not exist.", "Node ID '#1'"),
        ),
        (
            {"prompt": {"nodes": [], "links": []}},
            fault(
                "invalid_prompt",
                "Cannot execute because a node is missing the class_type property.",
                "Node ID '#nodes'",
            ),
        ),
    ],
)
async def test_a_graph_that_is_none_is_refused(client: Client, body: Any, error: dict[str, Any]) -> None:
    assert (400, {"error": error, "node_errors": {}}) == await client.post("/prompt", body)


async def test_a_missing_file_a_missing_input_and_a_missing_node_are_told(client: Client) -> None:
    _, answer = await client.send({"1": node("LoadImage", image="gone.png"), "9": save("1")})
    details = "image - Invalid image file: gone.png"
    expected = fault("custom_validation_failed", "Custom validation failed for node", details, input_name="image")
    assert [expected] == answer["node_errors"]["1"]["errors"]
    _, answer = await client.send({"9": save("77")})
    (error,) = answer["node_errors"]["9"]["errors"]
    assert ("exception_during_validation", "'77'") == (error["type"], error["details"])
    assert "Exception when validating node: '77'" == answer["error"]["details"]


async def test_branches_with_faults_are_dropped_and_the_rest_runs(client: Client) -> None:
    graph = {"1": empty(), "9": save("1"), "3": node("ImageInvert"), "10": save("3")}
    status, answer = await client.send(graph)
    missing = fault("required_input_missing", "Required input is missing", "image", input_name="image")
    expected = {"3": {"errors": [missing], "dependent_outputs": ["10"], "class_type": "ImageInvert"}}
    assert (200, expected) == (status, answer["node_errors"])
    await client.events()
    entry = (await client.get("/history/P"))["P"]
    assert (["9"], "success") == (list(entry["outputs"]), entry["status"]["status_str"])


async def test_a_node_that_fails_ends_the_run_and_earlier_outputs_are_listed(client: Client) -> None:
    blended = node("ImageBlend", image1=["1", 0], image2=["1", 0], blend_factor=1, blend_mode="magic")
    await client.send({"1": empty(), "8": save("1"), "7": blended, "9": save("7")})
    events = await client.events()
    data = dict(events)["execution_error"]
    assert "executing None" == kinds(events)[-1]
    assert ("7", "ImageBlend", "ValueError", "Unsupported blend mode: magic\n") == tuple(
        data[name] for name in ("node_id", "node_type", "exception_type", "exception_message")
    )
    assert {"executed", "traceback", "current_inputs", "current_outputs", "timestamp", "prompt_id"} < set(data)
    entry = (await client.get("/history/P"))["P"]
    assert ("error", False) == (entry["status"]["status_str"], entry["status"]["completed"])
    assert ["8"] == list(entry["outputs"])


async def test_sampling_tells_each_step_and_makes_labelled_pictures(client: Client) -> None:
    await client.send(sample(3))
    steps = [data for kind, data in await client.events() if kind == "progress"]
    assert [{"value": n, "max": 3, "prompt_id": "P", "node": "3"} for n in (1, 2, 3)] == steps
    images = await client.images(sample(3), "Q")
    assert [(64, 64)] * 2 == [image.size for image in images]
    assert images[0].tobytes() != images[1].tobytes()
    assert sample(3) == json.loads(images[0].info["prompt"])  # the graph travels in the file, as there


async def test_an_interrupt_stops_the_prompt_that_is_named_and_no_other(client: Client) -> None:
    await client.send(sample(10_000))
    await client.send({"1": empty(), "9": save("1")}, "Q")
    running = {"queue_running": 1, "queue_pending": 1}
    assert running == {name: len(items) for name, items in (await client.get("/queue")).items()}
    assert (200, "") == await client.post("/interrupt", {"prompt_id": "Q"})
    told: list[str] = []
    while told.count("progress") < 5:  # it goes on
        told.append((await client.socket.receive_json(timeout=5))["type"])
    assert "execution_interrupted" not in told
    assert (200, "") == await client.post("/queue", {"delete": ["Q"]})
    assert (200, "") == await client.post("/api/interrupt", {"prompt_id": "P"})
    events = await client.events()
    assert "KSampler" == dict(events)["execution_interrupted"]["node_type"]
    entry = (await client.get("/history/P"))["P"]
    assert ("error", "execution_interrupted") == (entry["status"]["status_str"], entry["status"]["messages"][-1][0])
    assert {} == await client.get("/history/Q")
    assert "success" == (await client.run(sample(2), "R"))["status"]["status_str"]


async def test_an_interrupt_without_an_id_stops_whatever_runs(client: Client) -> None:
    await client.send(sample(10_000))
    async with client.session.post("/interrupt") as answer:
        assert 200 == answer.status
    assert "execution_interrupted" in dict(await client.events())


async def test_uploads_keep_their_names_unless_another_file_has_them(client: Client) -> None:
    other = Image.new("RGB", (8, 8))
    stored = {"name": "in.png", "subfolder": "job/a", "type": "input"}
    assert (200, stored) == await client.upload(NOISE, subfolder="job/a")
    assert (200, stored) == await client.upload(NOISE, subfolder="job/a")
    assert (200, stored | {"name": "in (1).png"}) == await client.upload(other, subfolder="job/a")
    assert (200, stored) == await client.upload(other, subfolder="job/a", overwrite="true")
    assert 400 == (await client.upload(NOISE, subfolder="../../a"))[0]
    (loaded,) = await client.images({"1": node("LoadImage", image="job/a/in.png"), "9": save("1")})
    assert (8, 8) == loaded.size


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"filename": "in.png", "type": "input", "subfolder": ""}, 200),
        ({"filename": "gone.png", "type": "output", "subfolder": ""}, 404),
        ({"filename": "in.png", "type": "input", "subfolder": "../.."}, 403),
        ({"filename": "../in.png", "type": "input"}, 400),
        ({"type": "input"}, 404),
    ],
)
async def test_only_files_of_its_own_folders_are_shown(client: Client, query: dict[str, str], status: int) -> None:
    await client.upload(NOISE)
    async with client.session.get("/view", params=query) as answer:
        assert status == answer.status


async def test_a_body_that_is_no_json_ends_in_a_500(client: Client) -> None:
    async with client.session.post("/prompt", data=b"{") as answer:
        assert (500, "text/plain") == (answer.status, answer.content_type)


async def test_classes_are_described_for_the_editor(client: Client) -> None:
    (name,) = await client.get("/object_info/SaveImage")
    described = (await client.get("/api/object_info"))[name]
    assert (["IMAGE"], [], True) == (
        described["input"]["required"]["images"],
        described["output"],
        described["output_node"],
    )
    assert {} == await client.get("/object_info/Nope")
    assert "0.3.64" == (await client.get("/system_stats"))["system"]["comfyui_version"]


async def difference(client: Client, graph: dict[str, Any], expected: Image.Image) -> int:
    """The largest difference of a pixel between what comes out of the node 2 and what is expected."""
    await client.upload(NOISE)
    (image,) = await client.images({"1": node("LoadImage", image="in.png"), "9": save("2"), **graph})
    bands: Any = ImageChops.difference(expected, image.convert("RGB")).getextrema()
    return int(max(high for _, high in bands))


@pytest.mark.parametrize(
    ("size", "method", "resampling"),
    [
        ((96, 64), "lanczos", Image.Resampling.LANCZOS),
        ((20, 10), "lanczos", Image.Resampling.LANCZOS),
        ((96, 64), "nearest-exact", Image.Resampling.NEAREST),
        ((24, 16), "area", Image.Resampling.BOX),
        ((96, 64), "bilinear", Image.Resampling.BILINEAR),
    ],
)
async def test_scaling_is_computed(
    client: Client, size: tuple[int, int], method: str, resampling: Image.Resampling
) -> None:
    assert await difference(client, {"2": scale("1", *size, method)}, NOISE.resize(size, resampling)) <= 1


async def test_bilinear_takes_the_four_nearest_pixels_even_where_the_image_shrinks(client: Client) -> None:
    halves = Image.new("RGB", (24, 16))
    for x, y in ((x, y) for x in range(24) for y in range(16)):
        four: list[Any] = [NOISE.getpixel((2 * x + i, 2 * y + j)) for i in (0, 1) for j in (0, 1)]
        halves.putpixel((x, y), tuple(sum(band) // 4 for band in zip(*four, strict=True)))
    assert await difference(client, {"2": scale("1", 24, 16, "bilinear")}, halves) <= 1


async def test_a_side_of_0_keeps_the_shape_and_center_cuts(client: Client) -> None:
    whole = NOISE.resize((96, 64), Image.Resampling.LANCZOS)
    assert 0 == await difference(client, {"2": scale("1", 96, 0)}, whole)
    square = NOISE.crop((8, 0, 40, 32)).resize((16, 16), Image.Resampling.LANCZOS)
    assert 0 == await difference(client, {"2": scale("1", 16, 16, crop="center")}, square)
    by = node("ImageScaleBy", image=["1", 0], upscale_method="lanczos", scale_by=1.55)
    assert 0 == await difference(client, {"2": by}, NOISE.resize((74, 50), Image.Resampling.LANCZOS))


@pytest.mark.parametrize(
    ("mode", "value"),
    [
        ("normal", 200),
        ("multiply", 78),
        ("screen", 222),
        ("overlay", 157),
        ("soft_light", 134),
        ("difference", 0),
    ],
)
async def test_blending_is_computed(client: Client, mode: str, value: int) -> None:
    """100 below, 200 above: by hand, from the modes' formulas."""
    graph = {"5": empty(0x646464), "6": empty(0xC8C8C8)}
    whole = node("ImageBlend", image1=["5", 0], image2=["6", 0], blend_factor=1.0, blend_mode=mode)
    assert await difference(client, graph | {"2": whole}, Image.new("RGB", (16, 16), (value,) * 3)) <= 1
    half = node("ImageBlend", image1=["5", 0], image2=["6", 0], blend_factor=0.25, blend_mode=mode)
    faded = round(100 - 0.25 * 200 if mode == "difference" else 100 * 0.75 + value * 0.25)
    assert await difference(client, graph | {"2": half}, Image.new("RGB", (16, 16), (faded,) * 3)) <= 1


async def test_a_single_image_blends_with_each_of_a_batch_and_sizes_are_made_equal(client: Client) -> None:
    blended = node("ImageBlend", image1=["5", 0], image2=["6", 0], blend_factor=0.5, blend_mode="normal")
    graph = {"5": empty(0, 16, 3), "6": empty(0xFFFFFF, 40), "2": blended, "9": save("2")}
    images = await client.images(graph)
    assert [((16, 16), (127, 127, 127))] * 3 == [(image.size, image.getpixel((3, 3))) for image in images]


async def test_a_client_that_leaves_loses_its_events_and_not_its_prompt(client: Client) -> None:
    await client.send(sample(20))
    await client.socket.close()
    async with asyncio.timeout(5):
        while not (entry := await client.get("/history/P")):  # noqa: ASYNC110  nobody tells us
            await asyncio.sleep(0.01)
    assert "success" == entry["P"]["status"]["status_str"]
