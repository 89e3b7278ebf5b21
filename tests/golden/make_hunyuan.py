#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the golden tensors of both HunyuanVideo transformers and of their pipelines up to the last
latents. The padding rows of text stay in, masked, as the published code has them: our code leaves
them out."""

import diffusers
import numpy as np
import torch

import synthetic
from make_goldens import DoubleTimesteps
from synthetic import SEED, bits, close, doubled, fill_model, save, uniform

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


def made(kind, fill, **geometry):
    model = kind(**geometry)
    embedders = [model.context_embedder.time_text_embed]
    embedders += [getattr(model, name) for name in ("time_text_embed", "time_embed")
                  if hasattr(model, name)]
    for embedder in embedders:
        embedder.time_proj = DoubleTimesteps()
    return fill_model(model, fill)


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
    model = made(diffusers.HunyuanVideoTransformer3DModel, fill, **FIRST)
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
    model = made(diffusers.HunyuanVideo15Transformer3DModel, fill, **SECOND)
    text, mask = rows("text", ROWS, SECOND["text_embed_dim"], real)
    glyph, glyph_mask = rows("glyphs", GLYPH_ROWS, SECOND["text_embed_2_dim"], glyphs, SMALL)
    features = draw("image", IMAGE_ROWS, SECOND["image_embed_dim"], scale=SMALL) * image
    # the pipeline for text to video appends 5 channels of zeros, of an image and its mask
    latents = torch.cat([draw("latents", 4, 2, 3, 5), torch.zeros(1, 5, 2, 3, 5)], 1)
    return golden(model, dict(
        hidden_states=latents, timestep=torch.tensor([TIME]), encoder_hidden_states=text,
        encoder_attention_mask=mask, encoder_hidden_states_2=glyph,
        encoder_attention_mask_2=glyph_mask, image_embeds=features))


# ---- pipelines --------------------------------------------------------------------------------------

# A pipeline asks its autoencoder for the latent grid only.
VAE = dict(latent_channels=4, layers_per_block=1)
CLIP = dict(height=48, width=80, num_frames=9, num_inference_steps=4, output_type="latent")


def euler(shift):
    return diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift)


def levels(steps, shift):
    scheduler = euler(shift)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 0.0, steps + 1)[:-1])
    return scheduler.sigmas, scheduler.timesteps


def normal(name, count):
    """random_normal() of random.h, seed 0: what our code takes where no pooled vector is given."""
    u = bits(0, name, 2 * count) >> np.uint64(11)
    u, v = (u[0::2] + np.uint64(1)) * 2.0**-53, u[1::2] * 2.0**-53
    return torch.from_numpy((np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)).astype(np.float32))


def first_pipeline():
    model = made(diffusers.HunyuanVideoTransformer3DModel, "normal",
                 **dict(FIRST, out_channels=4, patch_size_t=1))
    vae = diffusers.AutoencoderKLHunyuanVideo(**VAE, block_out_channels=(8,) * 4, norm_num_groups=4)
    pipeline = diffusers.HunyuanVideoPipeline(
        text_encoder=None, tokenizer=None, text_encoder_2=None, tokenizer_2=None, vae=vae,
        transformer=model, scheduler=euler(7.0))
    pipeline.set_progress_bar_config(disable=True)
    text, mask = rows("text", ROWS, FIRST["text_embed_dim"], 7)
    return pipeline(
        prompt_embeds=text, prompt_attention_mask=mask, guidance_scale=GUIDANCE,
        pooled_prompt_embeds=normal("pooled", FIRST["pooled_projection_dim"])[None],
        latents=draw("noise", 4, 3, 6, 10), **CLIP).frames


def second_pipeline():
    model = made(diffusers.HunyuanVideo15Transformer3DModel, "normal", **SECOND)
    vae = diffusers.AutoencoderKLHunyuanVideo15(**VAE, block_out_channels=(8,) * 5)
    pipeline = diffusers.HunyuanVideo15Pipeline(
        text_encoder=None, tokenizer=None, text_encoder_2=None, tokenizer_2=None, vae=vae,
        transformer=model, scheduler=euler(9.0),
        guider=diffusers.ClassifierFreeGuidance(guidance_scale=GUIDANCE))
    pipeline.set_progress_bar_config(disable=True)
    pipeline.vision_num_semantic_tokens = IMAGE_ROWS
    pipeline.vision_states_dim = SECOND["image_embed_dim"]
    text, mask = rows("text", ROWS, SECOND["text_embed_dim"], 7)
    negative, _ = rows("negative", ROWS, SECOND["text_embed_dim"], 7)
    glyph, none = rows("glyphs", GLYPH_ROWS, SECOND["text_embed_2_dim"], 0)
    return pipeline(
        prompt_embeds=text, prompt_embeds_mask=mask, prompt_embeds_2=glyph,
        prompt_embeds_mask_2=none, negative_prompt_embeds=negative,
        negative_prompt_embeds_mask=mask, negative_prompt_embeds_2=glyph,
        negative_prompt_embeds_mask_2=none, latents=draw("noise", 4, 3, 3, 5), **CLIP).frames


if __name__ == "__main__":
    torch.set_num_threads(2)
    out = {"first.padded": first("normal", 7), "first.full": first("normal", ROWS),
           "first.outlier": first("outlier", 7), "second.plain": second("normal", 7, 0, 0),
           "second.glyphs": second("normal", 7, 3, 0), "second.image": second("normal", 7, 3, 1),
           "second.outlier": second("outlier", ROWS, GLYPH_ROWS, 0)}
    for shift, steps in ((7, 50), (9, 50), (7, 4)):
        out[f"sigma.{shift}.{steps}"], out[f"time.{shift}.{steps}"] = levels(steps, float(shift))
    out["first.latents"], out["second.latents"] = first_pipeline(), second_pipeline()
    save("hunyuan", **out)
