#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/ltx.safetensors: the transformers of LTX-Video and LTX-2 and the noise levels of their
pipelines. The geometries are those of tests/check_ltx.c; see README.md beside this file."""

import math
import types

import diffusers
import numpy as np
import torch
from diffusers.pipelines.ltx import pipeline_ltx, pipeline_ltx_condition

from synthetic import SEED, close, doubled, fill_model, save, uniform

TEXT_ROWS, REAL_ROWS = 9, 5
GRID = (3, 4, 5)          # latent frames, rows, columns
FPS = 30.0
TIME = 937.5
CHANNELS, CAPTION = 12, 20


class DoubleTimesteps(torch.nn.Module):
    """As in make_goldens.py: the sinusoids in float64, rounded once."""

    def forward(self, t):
        w = torch.exp(-math.log(10000.0) * torch.arange(128, dtype=torch.float64) / 128)
        angle = t.double()[:, None] * w
        return torch.cat([angle.cos(), angle.sin()], -1).float()


def double_times(model):
    for module in model.modules():
        if hasattr(module, "time_proj"):
            module.time_proj = DoubleTimesteps()
    return model


class DoubleFrequencies(diffusers.models.transformers.transformer_ltx.LTXVideoRotaryPosEmbed):
    """The frequencies from float64, as LTX-2 has them. LTX-Video takes powers in float32, where the last digit
    depends on the width of the machine's vectors; the fastest angles move by some thousandths."""

    def forward(self, hidden, frames, height, width, scale, coords):
        if coords is None:
            grid = self._prepare_video_coords(1, frames, height, width, scale, hidden.device)
        else:
            base = (self.base_num_frames, self.base_height, self.base_width)
            grid = torch.stack([coords[:, i] / base[i] for i in range(3)], -1)
        powers = 10000.0 ** torch.linspace(0, 1, self.dim // 6, dtype=torch.float64)
        angle = (grid[..., None] * 2 - 1) * torch.from_numpy((powers * math.pi / 2).numpy().astype(np.float32))
        angle = angle.transpose(-1, -2).flatten(2)
        rest = torch.zeros(1, angle.shape[1], self.dim % 6 // 2)
        angle = torch.cat([rest, angle], -1).repeat_interleave(2, -1)
        return angle.cos(), angle.sin()


# ---- LTX-Video --------------------------------------------------------------------------------------

def ltx():
    model = diffusers.LTXVideoTransformer3DModel(
        in_channels=CHANNELS, out_channels=CHANNELS, num_attention_heads=4, attention_head_dim=20,
        cross_attention_dim=80, num_layers=2, caption_channels=CAPTION)
    published, model.rope = model.rope, DoubleFrequencies(80)
    hidden = torch.zeros(1, 1)
    for got, want in zip(model.rope(hidden, *GRID, (0.3, 32, 32), None), published(hidden, *GRID, (0.3, 32, 32))):
        assert (got - want).abs().max() < 5e-3
    return fill_model(double_times(model), "normal")


def text(name, width):
    rows = torch.from_numpy(uniform(SEED, name, 1, TEXT_ROWS, width))
    rows[:, REAL_ROWS:] = 0.5  # nothing may come of what is masked
    return rows


MASK = torch.tensor([[1] * REAL_ROWS + [0] * (TEXT_ROWS - REAL_ROWS)])


def golden_ltx(tensors):
    x = torch.from_numpy(uniform(SEED, "ltx.latents", 1, math.prod(GRID), CHANNELS)) * 2
    rows, time = text("ltx.text", CAPTION), torch.tensor([TIME])
    condition = diffusers.LTXConditionPipeline
    coords = condition._scale_video_ids(condition._prepare_video_ids(1, *GRID), 32, 8).float()
    coords[:, 0] = coords[:, 0] * (1.0 / FPS)
    model = ltx()

    def run(how, *a):
        return model(*a, time.to(a[0].dtype), MASK, return_dict=False, **how)[0]

    for name, how in (("latent_frames", dict(num_frames=GRID[0], height=GRID[1], width=GRID[2],
                                             rope_interpolation_scale=(8 / FPS, 32, 32))),
                      ("pixel_frames", dict(video_coords=coords))):
        with torch.no_grad():
            single = run(how, x, rows)
            with doubled(model):
                double = run(how, x.double(), rows.double())
        close(single, double, 1e-5)
        tensors["ltx." + name] = double[0]


# ---- LTX-2 ------------------------------------------------------------------------------------------

def audio_rows():
    return round((1 + 8 * (GRID[0] - 1)) / FPS * 25.0)


def ltx_2():
    return fill_model(double_times(diffusers.LTX2VideoTransformer3DModel(
        in_channels=CHANNELS, out_channels=CHANNELS, num_attention_heads=4, attention_head_dim=20,
        cross_attention_dim=80, audio_in_channels=CHANNELS, audio_out_channels=CHANNELS,
        audio_num_attention_heads=4, audio_attention_head_dim=10, audio_cross_attention_dim=40,
        num_layers=2, caption_channels=CAPTION, rope_type="split",
        cross_attn_timestep_scale_multiplier=400)), "normal")


def golden_ltx_2(tensors):
    model = ltx_2()
    x = torch.from_numpy(uniform(SEED, "ltx.latents", 1, math.prod(GRID), CHANNELS)) * 2
    a = torch.from_numpy(uniform(SEED, "ltx.sound", 1, audio_rows(), CHANNELS)) * 2
    both, time = text("ltx.both", 2 * CAPTION), torch.tensor([TIME])

    def run(x, a, both):
        t = time.to(x.dtype)
        return model(x, a, both[..., :CAPTION], both[..., CAPTION:], t, sigma=t, encoder_attention_mask=MASK,
                     audio_encoder_attention_mask=MASK, num_frames=GRID[0], height=GRID[1], width=GRID[2],
                     fps=FPS, audio_num_frames=a.shape[1], use_cross_timestep=True, return_dict=False)

    with torch.no_grad():
        single = run(x, a, both)
        with doubled(model):
            double = run(x.double(), a.double(), both.double())
    for s, d in zip(single, double):
        close(s, d, 1e-5)
    tensors["ltx_2.video"], tensors["ltx_2.audio"] = double[0][0], double[1][0]


# ---- denoising loops --------------------------------------------------------------------------------

def scheduler():
    """As the conversion scripts of diffusers write it."""
    return diffusers.FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=1024,
        max_image_seq_len=4096, shift_terminal=0.1)


def call(pipe, width, seen, **more):
    """Both prompts as rows with a mask, guidance alone."""
    def keep(pipe, i, t, tensors):
        seen.append(tensors["latents"][0])
        return {}

    pipe.set_progress_bar_config(disable=True)
    noise = torch.from_numpy(uniform(SEED, "ltx.latents", 1, math.prod(GRID), CHANNELS)) * 2
    return pipe(prompt_embeds=text("ltx.both" if width > CAPTION else "ltx.text", width),
                prompt_attention_mask=MASK, negative_prompt_embeds=text("ltx.negative", width),
                negative_prompt_attention_mask=MASK, latents=noise, num_frames=1 + 8 * (GRID[0] - 1),
                height=32 * GRID[1], width=32 * GRID[2], frame_rate=FPS, num_inference_steps=4,
                guidance_scale=3.0, output_type="latent", callback_on_step_end=keep, **more)


def golden_ltx_loop(tensors):
    seen = []
    pipe = diffusers.LTXPipeline(scheduler(), None, None, None, ltx())
    call(pipe, CAPTION, seen)
    tensors["ltx.loop"] = torch.stack(seen)


class Connectors(torch.nn.Module):
    """Hands on what the connectors' outputs are in our rows."""

    device = torch.device("cpu")

    def forward(self, rows, mask, padding_side):
        return rows[..., :CAPTION], rows[..., CAPTION:], mask


class Still(torch.nn.Module):
    """In place of an autoencoder: latents are what they are."""

    device = torch.device("cpu")

    def __init__(self, **config):
        super().__init__()
        self.latents_mean, self.latents_std = torch.zeros(1), torch.ones(1)
        self.config = types.SimpleNamespace(**config)


def golden_ltx_2_loop(tensors):
    seen = []
    pipe = diffusers.LTX2Pipeline(scheduler(), None, None, None, None, Connectors(), ltx_2(), None)
    sound = torch.from_numpy(uniform(SEED, "ltx.sound", 1, audio_rows(), CHANNELS)) * 2
    pipe.vae, pipe.audio_vae = Still(scaling_factor=1.0), Still(mel_bins=16, latent_channels=3)
    audio = call(pipe, 2 * CAPTION, seen, audio_latents=sound, stg_scale=0.0, audio_stg_scale=0.0,
                 modality_scale=1.0, audio_modality_scale=1.0, guidance_rescale=0.0, audio_guidance_rescale=0.0,
                 audio_guidance_scale=3.0).audio
    tensors["ltx_2.loop"] = torch.stack(seen)
    tensors["ltx_2.loop.audio"] = audio[0].transpose(0, 1).flatten(1)


# ---- noise levels -----------------------------------------------------------------------------------

TOKENS = (192, 1024, 7392, 13376)
STEPS = (2, 7, 50)


def golden_levels(tensors):
    """The levels and times of both pipelines; rows end with the final 0."""
    terminal = scheduler()
    plain = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=False)
    tensors["shift"] = [math.exp(pipeline_ltx.calculate_shift(n, 1024, 4096, 0.95, 2.05)) for n in TOKENS]
    for steps in STEPS:
        for n in TOKENS:
            mu = pipeline_ltx.calculate_shift(n, 1024, 4096, 0.95, 2.05)
            terminal.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)
            tensors[f"terminal.{n}.{steps}"] = terminal.sigmas
            assert (terminal.timesteps == terminal.sigmas[:-1] * 1000).all()
        plain.set_timesteps(timesteps=pipeline_ltx_condition.linear_quadratic_schedule(steps) * 1000)
        tensors[f"quadratic.{steps}"] = plain.sigmas
        tensors[f"quadratic.times.{steps}"] = plain.timesteps


# ---- parameters -------------------------------------------------------------------------------------

def print_parameters():
    """The counts that tests/check_ltx.c holds the presets to."""
    ltx_2 = dict(rope_type="split")  # the other published values are the class's own
    for name, kind, config in (
            ("ltx-video-2b", diffusers.LTXVideoTransformer3DModel, {}),
            ("ltx-video-13b", diffusers.LTXVideoTransformer3DModel,
             dict(attention_head_dim=128, cross_attention_dim=4096, num_layers=48)),
            ("ltx-2-19b", diffusers.LTX2VideoTransformer3DModel, ltx_2)):
        with torch.device("meta"):
            print(name, sum(p.numel() for p in kind(**config).parameters()))


if __name__ == "__main__":
    tensors = {}
    golden_ltx(tensors)
    golden_ltx_2(tensors)
    golden_ltx_loop(tensors)
    golden_ltx_2_loop(tensors)
    golden_levels(tensors)
    save("ltx", **tensors)
    print_parameters()
