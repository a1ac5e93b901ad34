"""The demo's input picture, on a web server and in the bucket."""

import io

from aiohttp import web
from PIL import Image, ImageDraw

from darkroom_local.demo.requests import SIDE
from darkroom_local.loopback import LoopbackServer
from darkroom_local.stack import Stack

_PATH = "/cat.png"
_FUR, _INNER, _NIGHT = "#e8a04c", "#f6d7a8", "#23395b"


def picture() -> bytes:
    """A cat's face, as PNG."""
    image = Image.new("RGB", (SIDE, SIDE), _NIGHT)
    draw = ImageDraw.Draw(image)
    for side in (-1, 1):
        draw.polygon([(SIDE // 2 + side * x, y) for x, y in ((76, 110), (66, 30), (20, 84))], fill=_FUR)
        draw.polygon([(SIDE // 2 + side * x, y) for x, y in ((66, 100), (60, 50), (32, 86))], fill=_INNER)
    draw.ellipse((40, 64, 216, 224), fill=_FUR)
    for left in (80, 144):
        draw.ellipse((left, 116, left + 32, 148), fill="white")
        draw.ellipse((left + 11, 120, left + 21, 146), fill="black")
    draw.polygon([(118, 160), (138, 160), (128, 172)], fill="#7a3b2e")
    for dy in (-8, 4, 16):
        draw.line((108, 176, 44, 176 + dy), fill="white", width=2)
        draw.line((148, 176, 212, 176 + dy), fill="white", width=2)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def web_server(png: bytes) -> LoopbackServer:
    """Serves the picture while entered."""

    async def serve(_: web.Request) -> web.Response:
        return web.Response(body=png, content_type="image/png")

    app = web.Application()
    app.router.add_get(_PATH, serve)
    return LoopbackServer(app)


def http_link(server: LoopbackServer) -> str:
    """Where the web server has the picture."""
    return f"{server.url}{_PATH}"


def put(stack: Stack, png: bytes) -> str:
    """Put the picture into the output bucket and return its link."""
    bucket, key = stack.outputs["OutputS3Bucket"], f"inputs{_PATH}"
    stack.client("s3").put_object(Bucket=bucket, Key=key, Body=png, ContentType="image/png")
    return f"s3://{bucket}/{key}"
