"""A runtime for trying and testing: it speaks SD WebUI's or ComfyUI's API and needs no GPU and no model.

Upscales, resizes, blends and masks are computed for real. What would need a diffusion model is a picture that
follows from the request (seed, prompt, size, sampler …) and says "preview" on its face.

`python -m darkroom_local.preview --type comfyui --port 8188` starts it.
"""
