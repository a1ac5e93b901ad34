"""The ComfyUI side of the preview runtime: small graphs, executed for real.

Scaling, blending and inverting are computed; what would need a diffusion model is the labelled preview picture.
Requests, answers, events, caching and faults are those of a ComfyUI server (0.3.64), as far as an agent meets them.

Different here: pixels are whole numbers between nodes, so values may differ by one or two; `bicubic` is Pillow's,
and so is `area` where sizes are no multiples. No file outside the server's own folders is ever read.
"""
