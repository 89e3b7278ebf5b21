#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the golden tensors of both HunyuanVideo transformers and of the noise levels their pipelines
ask for. The padding rows of text stay in, masked, as the published code has them: our code leaves
them out."""

import diffusers
import numpy as np
import torch

import synthetic
from make_goldens import DoubleTimesteps
from synthetic import SEED, close, doubled, fill_model, save, uniform

# The same geometries as in tests/check_hunyuan.c.
FIRST = dict(in_channels=4, out_channels=5, num_attention_heads=3, attention_head_dim=16,
             num_layers=2, num_single_layers=2, num_refiner_layers=2, mlp_ratio=3.0, patch_size=2,
             patch_size_t=2, text_embed_dim=40, pooled_projection_dim=24, rope_theta=256.0,
             rope_axes_dim=(4, 6, 6))
SECOND = dict(in_channels=9, out_channels=4, num_attention_heads=2, attention_head_dim=16,
              num_layers=3, num_refiner_layers=2, mlp_ratio=3.0, patch_size=1, patch_size_t=1,
              text_embed_dim=40, text_embed_2_dim=28, image_embed_dim=20, rope_theta=256.0,
              rope_axes_dim=(4, 6, 6))
ROWS, GLYPH_ROWS, IMAGE_ROWS = 11, 5, 4
SMALL = 1 / 64  # so that the eps of the norms shows
TIME, GUIDANCE = 937.25, 6.0

kind_of = synthetic.kind_of
synthetic.kind_of = lambda name, shape, head_width: (
    ("table", -1) if name == "cond_type_embed.weight" else kind_of(name, shape, head_width))


def draw(name, *shape, scale=2.0):
    return torch.from_numpy(uniform(SEED, "hunyuan." + name, 1, *shape)) * scale


def rows(name, count, width, real, scale=2.0):
    """Rows of features, zero from `real` on, and their mask."""
    values = draw(name, count, width, scale=scale)
    values[:, real:] = 0
    return values, (torch.arange(count) < real).long()[None]


def golden(model, inputs):
    """In float64 throughout, float32 agreeing; masks and other integers stay what they are."""

    def run(cast):
        cast_all = {k: cast(v) if v.is_floating_point() else v for k, v in inputs.items()}
        with torch.no_grad():
            return model(**cast_all).sample

    single = run(lambda v: v)
    with doubled(model):
        double = run(torch.Tensor.double)
    close(single, double, 1e-5)
    return double


def first(fill, real):
    model = diffusers.HunyuanVideoTransformer3DModel(**FIRST)
    model.time_text_embed.time_proj = DoubleTimesteps()
    model.context_embedder.time_text_embed.time_proj = DoubleTimesteps()
    fill_model(model, fill)
    text, mask = rows("text", ROWS, FIRST["text_embed_dim"], real)
    inputs = dict(hidden_states=draw("latents", FIRST["in_channels"], 4, 6, 10),
                  timestep=torch.tensor([TIME]), encoder_hidden_states=text,
                  encoder_attention_mask=mask, pooled_projections=draw("pooled", 24),
                  guidance=torch.tensor([1000 * GUIDANCE]))
    whole = golden(model, inputs)
    inputs.update(encoder_hidden_states=text[:, :real], encoder_attention_mask=mask[:, :real])
    close(golden(model, inputs), whole, 1e-12)
    return whole


def second(fill, real, glyphs, image):
    model = diffusers.HunyuanVideo15Transformer3DModel(**SECOND)
    model.time_embed.time_proj = DoubleTimesteps()
    model.context_embedder.time_text_embed.time_proj = DoubleTimesteps()
    fill_model(model, fill)
    text, mask = rows("text", ROWS, SECOND["text_embed_dim"], real)
    glyph, glyph_mask = rows("glyphs", GLYPH_ROWS, SECOND["text_embed_2_dim"], glyphs, SMALL)
    features = draw("image", IMAGE_ROWS, SECOND["image_embed_dim"], scale=SMALL) * image
    # the pipeline for text to video appends 5 channels of zeros, of an image and its mask
    latents = torch.cat([draw("latents", 4, 2, 3, 5), torch.zeros(1, 5, 2, 3, 5)], 1)
    return golden(model, dict(
        hidden_states=latents, timestep=torch.tensor([TIME]), encoder_hidden_states=text,
        encoder_attention_mask=mask, encoder_hidden_states_2=glyph,
        encoder_attention_mask_2=glyph_mask, image_embeds=features))


def levels(steps, shift):
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 0.0, steps + 1)[:-1])
    return scheduler.sigmas, scheduler.timesteps


if __name__ == "__main__":
    torch.set_num_threads(2)
    out = {"first.padded": first("normal", 7), "first.full": first("normal", ROWS),
           "first.outlier": first("outlier", 7), "second.plain": second("normal", 7, 0, 0),
           "second.glyphs": second("normal", 7, 3, 0), "second.image": second("normal", 7, 3, 1),
           "second.outlier": second("outlier", ROWS, GLYPH_ROWS, 0)}
    for shift, steps in ((7, 50), (9, 50), (7, 4)):
        out[f"sigma.{shift}.{steps}"], out[f"time.{shift}.{steps}"] = levels(steps, float(shift))
    save("hunyuan", **out)
