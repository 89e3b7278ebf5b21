#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the golden tensors: the published models' own code on our synthetic weights.

Inputs and weights come from our generator, re-implemented here in numpy, so only outputs are stored.
The networks run in float64 (see `doubled`), the pipeline as published, in float32. Versions and the
command to re-make everything: README.md beside this file."""

import math

import diffusers
import numpy as np
import torch
import transformers

from synthetic import SEED, close, doubled, fill_model, save, uniform

# The same geometry as `mini` in tests/check_golden.c.
TEXT = dict(vocab=384, heads=2, width=16, mlp=96, layers=2, rows=24)
DIT = dict(heads=3, width=16, mlp=112, layers=2)
VAE_BASE = 4
PROMPT, NEGATIVE = "a red ball", ""


# ---- the published models ---------------------------------------------------------------------------

class DoubleTimesteps(torch.nn.Module):
    """The sinusoids in float64 and rounded once, as in the original release and in time_embed.h;
    diffusers multiplies in float32, where times near 1000 lose three digits."""

    def forward(self, t):
        w = torch.exp(-math.log(10000.0) * torch.arange(128, dtype=torch.float64) / 128)
        angle = t.double()[:, None] * w
        return torch.cat([angle.cos(), angle.sin()], -1).float()


def transformer(fill="normal", text=TEXT, heads=DIT["heads"], width=DIT["width"], mlp=DIT["mlp"],
                layers=DIT["layers"]):
    model = diffusers.WanTransformer3DModel(
        num_attention_heads=heads, attention_head_dim=width, ffn_dim=mlp, num_layers=layers,
        text_dim=text["heads"] * text["width"])
    model.condition_embedder.timesteps_proj = DoubleTimesteps()
    return fill_model(model, fill)


def text_encoder(fill="normal", text=TEXT):
    config = transformers.UMT5Config(
        vocab_size=text["vocab"], d_model=text["heads"] * text["width"], d_kv=text["width"],
        d_ff=text["mlp"], num_layers=text["layers"], num_heads=text["heads"],
        feed_forward_proj="gated-gelu", dropout_rate=0.0)
    return fill_model(transformers.UMT5EncoderModel(config), fill, text["width"])


def vae(fill="normal", base=VAE_BASE):
    return fill_model(diffusers.AutoencoderKLWan(base_dim=base), fill)


def tokens(text, rows):
    ids = [byte + 3 for byte in text.encode()][: rows - 1] + [1]
    mask = [1] * len(ids) + [0] * (rows - len(ids))
    return torch.tensor([ids + [0] * (rows - len(ids))]), torch.tensor([mask])


def embeds(model, prompt, text=TEXT):
    """As the pipeline does it: all rows with a mask, padding rows set to zero afterwards."""
    ids, mask = tokens(prompt, text["rows"])
    with torch.no_grad():
        out = model(ids, attention_mask=mask).last_hidden_state
    return out * mask[..., None]


# ---- goldens ----------------------------------------------------------------------------------------

def golden_networks(fill):
    model, encoder, decoder = transformer(fill), text_encoder(fill), vae(fill)
    dim = TEXT["heads"] * TEXT["width"]
    x = torch.from_numpy(uniform(SEED, "golden.latents", 1, 16, 3, 6, 10)) * 2
    rows = torch.from_numpy(uniform(SEED, "golden.text", 1, TEXT["rows"], dim))
    rows[:, 5:] = 0
    z = torch.from_numpy(uniform(SEED, "golden.z", 1, 16, 4, 2, 4)) * 2
    mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1)
                 for v in (decoder.config.latents_mean, decoder.config.latents_std))
    t = torch.tensor([937.0])

    def run(cast):
        with torch.no_grad():
            return (model(cast(x), t, cast(rows)).sample, embeds(encoder, PROMPT),
                    decoder.decode(cast(z) * cast(std) + cast(mean)).sample)

    single = run(lambda v: v)
    with doubled(model, encoder, decoder):
        double = run(torch.Tensor.double)
    for a, b in zip(single, double):
        close(a, b, 1e-5)
    save(f"networks_{fill}", velocity=double[0], text=double[1], frames=double[2])


def toy(x, sigma):
    return 0.5 * torch.tanh(x) + 0.3 * x + sigma


def unipc(steps, shift, sigmas=None):
    scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000,
        flow_shift=shift)
    scheduler.set_timesteps(steps if sigmas is None else None, sigmas=sigmas)
    return scheduler


def euler(steps, shift):
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift)
    scheduler.set_timesteps(steps)
    return scheduler


def golden_samplers():
    out = {}
    for steps in (1, 2, 4, 50):
        original = 0.999 * (1 - np.arange(steps) / steps)
        for name, scheduler in (("unipc", unipc(steps, 3.0)), ("euler", euler(steps, 5.0)),
                                ("unipc_original", unipc(steps, 3.0, original))):
            sigma = scheduler.sigmas = scheduler.sigmas.double()
            x = torch.from_numpy(uniform(SEED, "golden.sample", 1, 8)).double() * 2
            states = [x]
            for i, t in enumerate(scheduler.timesteps):
                x = scheduler.step(toy(x, sigma[i]), t, x, return_dict=False)[0]
                states.append(x)
            out[f"{name}.{steps}.sigma"] = sigma
            out[f"{name}.{steps}.time"] = scheduler.timesteps
            out[f"{name}.{steps}.states"] = torch.cat(states)
    save("samplers", **out)


def golden_pipeline():
    encoder = text_encoder()
    pipeline = diffusers.WanPipeline(tokenizer=None, text_encoder=None, vae=vae(),
                                     scheduler=unipc(4, 3.0), transformer=transformer())
    pipeline.set_progress_bar_config(disable=True)
    steps = []

    def watch(_, step, t, values):
        steps.append(values["latents"])
        return values

    video = pipeline(
        prompt_embeds=embeds(encoder, PROMPT), negative_prompt_embeds=embeds(encoder, NEGATIVE),
        height=32, width=48, num_frames=9, num_inference_steps=4, guidance_scale=5.0,
        latents=torch.from_numpy(uniform(SEED, "golden.noise", 1, 16, 3, 4, 6)) * 2,
        callback_on_step_end=watch, output_type="np").frames
    save("pipeline", latents=torch.cat(steps), frames=video[0])


if __name__ == "__main__":
    torch.set_num_threads(2)
    for which in ("normal", "outlier"):
        golden_networks(which)
    golden_samplers()
    golden_pipeline()
