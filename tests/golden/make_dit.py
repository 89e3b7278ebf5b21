#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""Makes dit.safetensors: diffusers' DiT and its pipeline on our synthetic weights, diffusers' DDIM
and DDPM, and the respaced chain of the original DiT written out from the papers, in float64.

Our generator makes the noise of every step too, so both sides see the same. Where a layout or a
form of the original release differs from diffusers', ours can do both; both are here."""

import contextlib
import math

import diffusers
import numpy as np
import torch
from diffusers.models.embeddings import Timesteps
from diffusers.pipelines.dit import pipeline_dit
from diffusers.schedulers import scheduling_ddpm

from synthetic import SEED, bits, close, doubled, fill_model, save, uniform

# The same geometry as in tests/check_dit.c: every block has its own embedder, as in all checkpoints
# of diffusers, and positions are scaled on the larger of the two grids.
HEADS, WIDTH, LAYERS, PATCH, SAMPLE = 2, 24, 3, 2, 8
MLP_EPS = 1e-3  # of one norm alone, and large enough to show which
LABEL, NONE = 207, 1000
GUIDANCE = 4.0


class DoubleTimesteps(torch.nn.Module):
    """The sinusoids in float64 and rounded once, as in time_embed.h; diffusers multiplies in
    float32, where times near 1000 lose three digits. `shift` is diffusers' 1 or the original's 0."""

    def __init__(self, shift):
        super().__init__()
        self.shift = shift

    def forward(self, t):
        w = torch.exp(-math.log(1e4) * torch.arange(128, dtype=torch.float64) / (128 - self.shift))
        angle = t.double()[:, None] * w
        return torch.cat([angle.cos(), angle.sin()], -1).float()


def network():
    model = fill_model(diffusers.DiTTransformer2DModel(
        num_attention_heads=HEADS, attention_head_dim=WIDTH, in_channels=4, out_channels=8,
        num_layers=LAYERS, sample_size=SAMPLE, patch_size=PATCH, norm_eps=MLP_EPS), "normal")
    for name, table in model.state_dict().items():
        if name.endswith("embedding_table.weight"):
            table.copy_(torch.from_numpy(uniform(SEED, name, *table.shape)))
    own = model.transformer_blocks[0].norm1.emb.time_proj
    assert isinstance(own, Timesteps) and own.downscale_freq_shift == 1 and own.flip_sin_to_cos
    for block in model.transformer_blocks:
        block.norm1.emb.time_proj = DoubleTimesteps(1)
    return model


def as_published(model):
    """The original release's form of the same network: one embedder, its times and norms."""
    for block in model.transformer_blocks:
        block.norm1.emb = model.transformer_blocks[0].norm1.emb
        block.norm3.eps = 1e-6
    model.transformer_blocks[0].norm1.emb.time_proj = DoubleTimesteps(0)
    return model


def normal(name, first, *shape):
    """random.h's normal numbers first .. of a stream."""
    count = math.prod(shape)
    b = bits(SEED, name, 2 * (first + count))[2 * first:]
    u = ((b[0::2] >> np.uint64(11)) + np.uint64(1)).astype(np.float64) * 2.0**-53
    v = (b[1::2] >> np.uint64(11)).astype(np.float64) * 2.0**-53
    z = np.sqrt(-2 * np.log(u)) * np.cos(2 * math.pi * v)
    return torch.from_numpy(z.reshape(shape).astype(np.float32))


@contextlib.contextmanager
def drawing(module, draw):
    """Puts our numbers where a module of diffusers draws its own."""
    own = module.randn_tensor
    module.randn_tensor = lambda *_, **__: draw()
    try:
        yield
    finally:
        module.randn_tensor = own


def latents(side):
    return torch.from_numpy(uniform(SEED, "golden.latents", 1, 4, side, side)) * 2


# ---- the network -------------------------------------------------------------------------------------

def predict(model, x, t, label):
    with torch.no_grad():
        return model(x, timestep=torch.tensor([t]), class_labels=torch.tensor([label])).sample


def golden_network():
    out = {}
    for name, model, side, t, label in (
            ("class", network(), SAMPLE, 937, LABEL), ("none", network(), SAMPLE, 3, NONE),
            ("larger", network(), 12, 500, 0), ("published", as_published(network()), SAMPLE, 937, 0)):
        single = predict(model, latents(side), t, label)
        with doubled(model):
            double = predict(model, latents(side).double(), t, label)
        close(single, double, 1e-5)
        out["network." + name] = double
    return out


# ---- samplers ----------------------------------------------------------------------------------------

def toy(x, t):
    """A prediction and a variance share for every value of x, in float64."""
    return 0.5 * torch.tanh(x) + 0.3 * x + t / 2000, torch.sin(3 * x)


def ddim(steps):
    scheduler = diffusers.DDIMScheduler(clip_sample=False)
    assert scheduler.config.beta_schedule == "linear" and scheduler.config.steps_offset == 0
    assert scheduler.config.timestep_spacing == "leading" and scheduler.config.set_alpha_to_one
    scheduler.set_timesteps(steps)
    return scheduler


def golden_ddim(out):
    for steps in (1, 2, 3, 4, 50):
        scheduler = ddim(steps)
        share = scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
        x = torch.from_numpy(uniform(SEED, "golden.sample", 1, 8)).double() * 2
        states = [x]
        for t in scheduler.timesteps:
            x = scheduler.step(toy(x, t)[0], t, x).prev_sample
            states.append(x)
        out[f"ddim.{steps}.time"] = scheduler.timesteps
        out[f"ddim.{steps}.share"] = share[scheduler.timesteps]
        out[f"ddim.{steps}.states"] = torch.cat(states)


class Chain:
    """The original DiT's chain of 1000 noisings, cut to the steps that are visited."""

    def __init__(self, steps):
        share = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
        stride, at, self.visited = (999 / (steps - 1) if steps > 1 else 1), 0.0, []
        for _ in range(steps):
            self.visited.append(round(at))
            at += stride
        self.share = share[self.visited]
        self.before = np.append(1.0, self.share[:-1])
        self.beta = 1 - self.share / self.before

    def step(self, i, x, noise, prediction, variance):
        """From step i of the chain to i - 1: formulas 6 and 7 of DDPM, 15 of improved DDPM."""
        a, b, beta = self.share[i], self.before[i], self.beta[i]
        x0 = (x - math.sqrt(1 - a) * prediction) / math.sqrt(a)
        mean = (math.sqrt(b) * beta * x0 + math.sqrt(1 - beta) * (1 - b) * x) / (1 - a)
        if i == 0:
            return mean
        f = (variance + 1) / 2
        log = f * math.log(beta) + (1 - f) * math.log(beta * (1 - b) / (1 - a))
        return mean + torch.exp(log / 2) * noise


def walk(chain, x, network, noise):
    states, steps = [x], len(chain.visited)
    for k in range(steps):
        i = steps - 1 - k
        x = chain.step(i, x, noise(k), *network(x, chain.visited[i]))
        states.append(x)
    return states


def golden_ddpm(out):
    start = torch.from_numpy(uniform(SEED, "golden.sample", 1, 8)).double() * 2
    for steps in (1, 2, 4, 50, 250):
        chain = Chain(steps)
        states = walk(chain, start, toy, lambda k: normal("noise.step", 8 * k, 1, 8).double())
        out[f"ddpm.{steps}.time"] = np.array(chain.visited[::-1])
        out[f"ddpm.{steps}.states"] = torch.cat(states[-1:] if steps > 50 else states)
    same_as_diffusers(start)


def same_as_diffusers(start):
    """Given the steps that the chain visits, diffusers' DDPM makes the same of them."""
    chain, states = Chain(28), [start[..., None]]
    scheduler = diffusers.DDPMScheduler(variance_type="learned_range", clip_sample=False)
    scheduler.alphas_cumprod = torch.from_numpy(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)))
    scheduler.set_timesteps(timesteps=chain.visited[::-1])
    noise = lambda k: normal("noise.step", 8 * k, 1, 8).double()
    for k, t in enumerate(scheduler.timesteps):
        both = torch.cat(toy(states[-1], int(t)), dim=1)
        with drawing(scheduling_ddpm, lambda: noise(k)[..., None]):
            states.append(scheduler.step(both, int(t), states[-1]).prev_sample)
    close(states[-1][..., 0], walk(chain, start, toy, noise)[-1], 1e-12)


# ---- pipelines ---------------------------------------------------------------------------------------

def golden_pipeline(out):
    """DiTPipeline itself; it draws its own start, so ours is put in its place."""
    for steps in (2, 4, 50):
        pipeline = diffusers.DiTPipeline(transformer=network(), scheduler=ddim(steps),
                                         vae=diffusers.AutoencoderKL())
        pipeline.set_progress_bar_config(disable=True)
        step, seen = pipeline.scheduler.step, []

        def watch(*args, **kwargs):
            result = step(*args, **kwargs)
            seen.append(result.prev_sample[:1])
            return result

        pipeline.scheduler.step = watch
        start = normal("noise", 0, 1, 4, SAMPLE, SAMPLE)
        with drawing(pipeline_dit, lambda: start):
            pipeline(class_labels=[LABEL], guidance_scale=GUIDANCE, num_inference_steps=steps,
                     output_type="pt")
        assert len(seen) == steps
        out[f"pipeline.ddim.{steps}"] = torch.cat(seen[-2:] if steps > 4 else seen)


def golden_ddpm_pipeline(out):
    """The original's sampling: guidance of the first three channels alone, learned variance."""
    model, steps, elems = as_published(network()), 6, 4 * SAMPLE * SAMPLE

    def guided(x, t):
        cond, none = predict(model, x, t, LABEL), predict(model, x, t, NONE)
        eps = cond[:, :4].clone()
        eps[:, :3] = none[:, :3] + GUIDANCE * (cond[:, :3] - none[:, :3])
        return eps, cond[:, 4:]

    with doubled(model):
        states = walk(Chain(steps), normal("noise", 0, 1, 4, SAMPLE, SAMPLE).double(), guided,
                      lambda k: normal("noise.step", elems * k, 1, 4, SAMPLE, SAMPLE).double())
    out["pipeline.ddpm.6"] = torch.cat(states[1:])


if __name__ == "__main__":
    torch.set_num_threads(2)
    golden = golden_network()
    golden_ddim(golden)
    golden_ddpm(golden)
    golden_pipeline(golden)
    golden_ddpm_pipeline(golden)
    save("dit", **golden)
