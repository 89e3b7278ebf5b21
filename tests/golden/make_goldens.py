#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the golden tensors: the published models' own code on our synthetic weights.

Inputs and weights come from our generator, re-implemented here in numpy, so only outputs are stored.
The networks run in float64 (see `doubled`), the pipeline as published, in float32. Versions and the
command to re-make everything: README.md beside this file."""

import contextlib
import math
import pathlib

import diffusers
import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
SEED = 7

# The same geometry as `mini` in tests/check_golden.c.
TEXT = dict(vocab=384, heads=2, width=16, mlp=96, layers=2, rows=24)
DIT = dict(heads=3, width=16, mlp=112, layers=2)
VAE_BASE = 4
PROMPT, NEGATIVE = "a red ball", ""


# ---- random.h and weights.h ------------------------------------------------------------------------

def mix(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def fnv1a(name):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def bits(seed, name, count):
    key = mix(np.array([seed ^ fnv1a(name)], dtype=np.uint64))
    return mix(key + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def uniform(seed, name, *shape):
    u = (bits(seed, name, math.prod(shape)) >> np.uint64(40)).astype(np.float64) / 2.0**23 - 1.0
    return u.reshape(shape).astype(np.float32)


def round_away(x):
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


def kind_of(name, shape, head_width):
    """Kind and gain of a tensor, as reference/model asks for it."""
    if name == "shared.weight":
        return "table", 1
    if name.endswith(("relative_attention_bias.weight", "norm_out.gamma")):
        return "table", 0
    if name.endswith("scale_shift_table"):
        return "table", -1
    if name.endswith(".bias"):
        return "bias", 0
    if name.endswith("gamma") or len(shape) == 1:
        return "gain", 0
    if name.endswith("SelfAttention.q.weight"):
        return "matrix", -round_away(0.5 * math.log2(head_width))
    return "matrix", 0


def weight(seed, fill, name, shape, head_width):
    kind, gain = kind_of(name, shape, head_width)
    u = uniform(seed, name, *shape)
    peaked = fill == "outlier" and name.endswith(("norm_q.weight", "norm_k.weight"))
    if kind == "table":
        return u * np.float32(2.0**gain)
    if kind == "bias":
        return u * np.float32(2.0 ** (gain - 3))
    if kind == "gain":
        return (1 + u / 8) * np.float32(2.0 ** (gain + 2 * peaked))
    u *= np.float32(2.0 ** (gain + round_away(0.5 * math.log2(3 / math.prod(shape[1:])))))
    if fill == "outlier":
        large = bits(seed, "outlier", shape[1]) % np.uint64(64) == 0
        rest = round_away(-0.5 * math.log2(1 + 1023 * large.sum() / shape[1]))
        scale = np.where(large, 2.0 ** (rest + 5), 2.0**rest).astype(np.float32)
        u *= scale.reshape((1, -1) + (1,) * (len(shape) - 2))
    return u


def fill_model(model, fill, head_width=1):
    """Gives every tensor of a model its synthetic value, by checkpoint name."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            name = name.replace("encoder.embed_tokens.", "shared.")
            tensor.copy_(torch.from_numpy(weight(SEED, fill, name, tuple(tensor.shape), head_width)))
    return model.eval()


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


@contextlib.contextmanager
def doubled(*models):
    """Runs models in float64 throughout: without this, casts inside the norms go back to float32."""
    single, to = torch.Tensor.float, torch.Tensor.to
    torch.Tensor.float = lambda self: self.double()
    torch.Tensor.to = lambda self, *a, **k: to(
        self, *[torch.float64 if x is torch.float32 else x for x in a], **k)
    for model in models:
        model.double()
    try:
        yield
    finally:
        torch.Tensor.float, torch.Tensor.to = single, to
        for model in models:
            model.float()


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


def save(name, **tensors):
    arrays = {k: np.ascontiguousarray(np.asarray(v), dtype=np.float32) for k, v in tensors.items()}
    path = HERE / f"{name}.safetensors"
    save_file(arrays, path)
    path.chmod(0o644)
    print(name, {k: v.shape for k, v in arrays.items()})


def close(a, b, limit):
    error = float((a.double() - b.double()).norm() / b.double().norm())
    assert error <= limit, error


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
