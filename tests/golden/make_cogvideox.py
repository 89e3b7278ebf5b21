#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""Golden tensors of the CogVideoX transformer in its three forms: the published class and the
pipeline's own rotation tables on our synthetic weights, in float64 (see `doubled`)."""

import math
import types

import torch
from diffusers import CogVideoXPipeline, CogVideoXTransformer3DModel

from synthetic import SEED, close, doubled, fill_model, save, uniform

# The same geometries as in tests/check_cogvideox.c. Odd numbers of text rows, frames and patches; the
# grid of the rotated one is narrower than its training's, so that it is stretched and moved.
COMMON = dict(num_attention_heads=3, attention_head_dim=16, num_layers=2, time_embed_dim=32,
              text_embed_dim=24, max_text_seq_length=7)
ROTATED = dict(COMMON, use_rotary_positional_embeddings=True, sample_height=10, sample_width=18)
FORMS = {
    "sines": (COMMON, (3, 6, 10)),
    "fitted": (ROTATED, (3, 6, 8)),
    "counted": (dict(ROTATED, patch_size_t=2, patch_bias=False), (4, 6, 8)),
}


class DoubleTimesteps(torch.nn.Module):
    """The sinusoids in float64 and rounded once, as in time_embed.h."""

    def __init__(self, width):
        super().__init__()
        self.half = width // 2

    def forward(self, t):
        i = torch.arange(self.half, dtype=torch.float64)
        angle = t.double()[:, None] * torch.exp(-math.log(10000.0) * i / self.half)
        return torch.cat([angle.cos(), angle.sin()], -1).float()


def rotation(model, frames, height, width):
    """The pipeline's tables, from latent sizes."""
    if not model.config.use_rotary_positional_embeddings:
        return None
    pipeline = types.SimpleNamespace(transformer=model, vae_scale_factor_spatial=8)
    return CogVideoXPipeline._prepare_rotary_positional_embeddings(
        pipeline, 8 * height, 8 * width, frames, torch.device("cpu"))


def prediction(config, size):
    model = CogVideoXTransformer3DModel(**config)
    width = config["num_attention_heads"] * config["attention_head_dim"]
    model.time_proj = DoubleTimesteps(width)
    fill_model(model, "normal")
    frames, height, columns = size
    x = torch.from_numpy(uniform(SEED, "cogvideox.latents", 1, 16, *size)).transpose(1, 2) * 2
    text = torch.from_numpy(uniform(SEED, "cogvideox.text", 1, 7, config["text_embed_dim"]))
    table = rotation(model, frames, height, columns)

    def run(cast):
        with torch.no_grad():
            y = model(cast(x), cast(text), torch.tensor([937.0]), image_rotary_emb=table).sample
        return y.transpose(1, 2)

    single = run(lambda v: v)
    with doubled(model):
        double = run(torch.Tensor.double)
    close(single, double, 1e-5)
    return double


if __name__ == "__main__":
    torch.set_num_threads(2)
    save("cogvideox", **{name: prediction(*form) for name, form in FORMS.items()})
