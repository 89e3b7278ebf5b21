#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""Golden tensors of the CogVideoX transformer in its three forms: the published class and the
pipeline's own rotation tables on our synthetic weights, in float64 (see `doubled`); its DDIM on a toy
network; the whole pipeline as published, in float32; and how far the class itself is off in bfloat16."""

import math
import types

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXPipeline, CogVideoXTransformer3DModel

from synthetic import SEED, close, doubled, fill_model, save, uniform

# The same geometries as in tests/check_cogvideox.c. Odd numbers of text rows, frames and patches; the
# grid of the fitted one is narrower than its training's, so that it is stretched and moved sideways;
# a wide one is moved down.
COMMON = dict(num_attention_heads=4, attention_head_dim=16, num_layers=2, time_embed_dim=32,
              text_embed_dim=24, max_text_seq_length=7)
ROTATED = dict(COMMON, use_rotary_positional_embeddings=True, sample_height=10, sample_width=18)
FORMS = {
    "sines": (COMMON, (3, 6, 10)),
    "fitted": (ROTATED, (3, 6, 8)),
    "wide": (ROTATED, (1, 4, 14)),
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


def transformer(config):
    model = CogVideoXTransformer3DModel(**config)
    width = config["num_attention_heads"] * config["attention_head_dim"]
    model.time_proj = DoubleTimesteps(width)
    return fill_model(model, "normal")


def prediction(config, size):
    model = transformer(config)
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
    model.bfloat16()
    half = run(torch.Tensor.bfloat16).double()
    return double, (half - double).norm() / double.norm()


def ddim(shift):
    """As the published models configure it."""
    return CogVideoXDDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        prediction_type="v_prediction", rescale_betas_zero_snr=True, set_alpha_to_one=True,
        timestep_spacing="trailing", snr_shift_scale=shift)


def samples(shift, steps):
    scheduler = ddim(shift)
    scheduler.set_timesteps(steps)
    x = torch.from_numpy(uniform(SEED, "golden.sample", 1, 8)).double() * 2
    states = [x]
    for t in scheduler.timesteps:
        v = 0.5 * torch.tanh(x) + 0.3 * x + t.double() / 1000
        x = scheduler.step(v, t, x, return_dict=False)[0]
        states.append(x)
    return scheduler.timesteps, torch.cat(states)


def clip():
    """9 frames are 3 latent ones, padded to 4 for patches over time."""
    config, size = FORMS["counted"]
    pipeline = CogVideoXPipeline(tokenizer=None, text_encoder=None, vae=None, scheduler=ddim(3.0),
                                 transformer=transformer(config))
    pipeline.set_progress_bar_config(disable=True)
    prompt, negative = (
        torch.from_numpy(uniform(SEED, name, 1, 7, config["text_embed_dim"]))
        for name in ("cogvideox.text", "cogvideox.negative"))
    noise = torch.from_numpy(uniform(SEED, "cogvideox.latents", 1, 16, *size)).transpose(1, 2) * 2
    latents = pipeline(
        prompt_embeds=prompt, negative_prompt_embeds=negative, height=8 * size[1],
        width=8 * size[2], num_frames=9, num_inference_steps=4, guidance_scale=6.0, latents=noise,
        output_type="latent").frames
    return latents.transpose(1, 2)


if __name__ == "__main__":
    torch.set_num_threads(2)
    out = {}
    for name, form in FORMS.items():
        out[name], out[f"{name}.bf16_error"] = prediction(*form)
    for shift, steps in ((3.0, 2), (3.0, 3), (3.0, 4), (3.0, 50), (1.0, 4)):
        key = f"ddim.{shift:.0f}.{steps}"
        out[f"{key}.time"], out[f"{key}.states"] = samples(shift, steps)
    save("cogvideox", clip=clip(), **out)
