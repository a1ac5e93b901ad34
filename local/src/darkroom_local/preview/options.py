"""The WebUI's settings, and what one request overrides of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

# The real server knows some hundreds; these are the ones that requests name, with AUTOMATIC1111 1.8's defaults.
DEFAULTS: Mapping[str, Any] = {
    "samples_save": True,
    "samples_format": "png",
    "grid_save": True,
    "grid_format": "png",
    "grid_only_if_multiple": True,
    "n_rows": -1,
    "return_grid": True,
    "return_mask": False,
    "return_mask_composite": False,
    "enable_pnginfo": True,
    "jpeg_quality": 80,
    "webp_lossless": False,
    "face_restoration": False,
    "face_restoration_model": "CodeFormer",
    "code_former_weight": 0.5,
    "upscaler_for_img2img": None,
    "ESRGAN_tile": 192,
    "ESRGAN_tile_overlap": 8,
    "img2img_color_correction": False,
    "img2img_fix_steps": False,
    "img2img_background_color": "#ffffff",
    "initial_noise_multiplier": 1.0,
    "inpainting_mask_weight": 1.0,
    "sd_model_checkpoint": None,
    "sd_checkpoint_hash": "",
    "sd_checkpoints_limit": 1,
    "sd_checkpoints_keep_in_cpu": True,
    "sd_checkpoint_cache": 0,
    "disable_mmap_load_safetensors": False,
    "sd_vae": "Automatic",
    "sd_vae_checkpoint_cache": 0,
    "sd_unet": "Automatic",
    "CLIP_stop_at_last_layers": 1,
    "upcast_attn": False,
    "randn_source": "GPU",
    "tiling": False,
    "eta_ddim": 0.0,
    "eta_ancestral": 1.0,
    "s_churn": 0.0,
    "s_tmin": 0.0,
    "s_tmax": 0.0,
    "s_noise": 1.0,
    "s_min_uncond": 0.0,
    "eta_noise_seed_delta": 0,
    "always_discard_next_to_last_sigma": False,
    "token_merging_ratio": 0.0,
    "token_merging_ratio_img2img": 0.0,
    "token_merging_ratio_hr": 0.0,
    "interrogate_keep_models_in_memory": False,
    "live_previews_enable": True,
    "show_progress_every_n_steps": 10,
    "show_progress_type": "Approx NN",
    "live_preview_content": "Prompt",
    "add_model_hash_to_info": True,
    "add_model_name_to_info": True,
    "api_enable_requests": True,
    "api_forbid_local_requests": True,
    "api_useragent": "",
}


class Options:
    """What config.json stores, over the defaults."""

    def __init__(self) -> None:
        self._stored: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 -- a setting is whatever JSON holds
        return self._stored.get(key, DEFAULTS[key])

    def as_dict(self) -> dict[str, Any]:
        """Every setting, stored or default."""
        return {**DEFAULTS, **self._stored}

    def store(self, key: str, value: object) -> bool:
        """Store one setting; False when it was stored with this value already.

        Raises:
            KeyError: there is no such setting (the WebUI answers 500 with just this error).
        """
        if key in self._stored and self._stored[key] == value:
            return False
        if key not in DEFAULTS:
            raise KeyError(key)
        self._stored[key] = value
        return True

    @contextmanager
    def overridden(self, settings: Mapping[str, Any], *, restore: bool = True) -> Iterator[None]:
        """Hold other settings for one job.

        Only settings that were stored before come back afterwards: an overridden key that config.json never
        held leaks into the next job, as on the real server.

        Raises:
            KeyError: as `store`.
        """
        saved = {key: self._stored[key] for key in settings if key in self._stored}
        try:
            for key, value in settings.items():
                self.store(key, value)
            yield
        finally:
            if restore:
                self._stored.update(saved)
