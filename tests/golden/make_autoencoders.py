#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""Makes autoencoders.safetensors: both video autoencoders, encoding and decoding, whole and in tiles.

The published models fold chunks through their caches here: three chunks each, latents of odd sizes.
Of every output each N-th value is stored, N a prime, which meets all channels, pixels and frames
in turn."""

import diffusers
import torch

from synthetic import SEED, close, doubled, fill_model, save, uniform

# The same as in tests/check_autoencoders.c. `side`: pixels of a folded square.
MODELS = {
    "2.1": dict(config=dict(base_dim=4), z=16, scale=8, side=1),
    "2.2": dict(config=dict(base_dim=4, decoder_base_dim=6, z_dim=48, is_residual=True,
                            in_channels=12, out_channels=12, patch_size=2,
                            scale_factor_spatial=16, latents_mean=[0.0] * 48,
                            latents_std=[1.0] * 48), z=48, scale=16, side=2),
}
FRAMES_STEP, MEAN_STEP = 31, 3


def vae(name, fill):
    return fill_model(diffusers.AutoencoderKLWan(**MODELS[name]["config"]), fill)


def part(x, step):
    return x.reshape(-1)[::step]


def inputs(name, T, H, W):
    """Latents as the decoder takes them, and pixels that make as many."""
    z, scale = MODELS[name]["z"], MODELS[name]["scale"]
    latents = uniform(SEED, f"golden.{name}.z", 1, z, T, H, W) * 2
    pixels = uniform(SEED, f"golden.{name}.pixels", 1, 3, 1 + 4 * (T - 1), H * scale, W * scale)
    return torch.from_numpy(latents), torch.from_numpy(pixels)


def run(model, latents, pixels):
    """Frames, and the mean of the posterior; float64, and float32 must agree."""
    def both(cast):
        with torch.no_grad():
            return (model.decode(cast(latents)).sample,
                    model.encode(cast(pixels)).latent_dist.mode())

    single = both(lambda v: v)
    with doubled(model):
        double = both(torch.Tensor.double)
    for a, b in zip(single, double):
        close(a, b, 1e-5)
    return double


def golden():
    out = {}
    for name in MODELS:
        for fill in ("normal", "outlier"):
            frames, mean = run(vae(name, fill), *inputs(name, 3, 3, 5))
            out[f"{name}.{fill}.frames"] = part(frames, FRAMES_STEP)
            out[f"{name}.{fill}.mean"] = part(mean, MEAN_STEP)
        out.update(tiled(name))
    save("autoencoders", **out)


def tiled(name):
    """Square tiles of 5 cells, 3 apart, the last ones cut short, of frames of 8 bits. When encoding,
    the published code counts folded pixels, so that a tile there is `side` times as large in pixels
    as it says."""
    scale, side = MODELS[name]["scale"], MODELS[name]["side"]
    model = vae(name, "normal")
    latents, pixels = inputs(name, 2, 7, 8)
    pixels = torch.floor((pixels.double() + 1) * 127.5 + 0.5) / 127.5 - 1

    def enable(unit):
        model.enable_tiling(tile_sample_min_height=5 * unit, tile_sample_stride_height=3 * unit,
                            tile_sample_min_width=5 * unit, tile_sample_stride_width=3 * unit)

    enable(scale)
    with doubled(model), torch.no_grad():
        frames = model.decode(latents.double()).sample
    enable(scale // side)
    with doubled(model), torch.no_grad():
        mean = model.encode(pixels).latent_dist.mode()
    return {f"{name}.tiled.frames": part(frames, FRAMES_STEP),
            f"{name}.tiled.mean": part(mean, MEAN_STEP)}


if __name__ == "__main__":
    torch.set_num_threads(2)
    golden()
