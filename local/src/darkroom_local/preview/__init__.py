"""A runtime for trying and testing: it speaks SD WebUI's API and needs no GPU and no model.

Upscales, resizes, blends and masks are computed for real. What would need a diffusion model is a picture that
follows from the request (seed, prompt, size, sampler …) and says "preview" on its face.

`python -m darkroom_local.preview --port 7860` starts it.
"""
