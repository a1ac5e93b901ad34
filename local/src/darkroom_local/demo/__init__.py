"""The main job, shown: the guide's requests on a local cloud, and everything that comes of them."""

from darkroom_local.demo.run import run_demo

__all__ = ["run_demo"]
