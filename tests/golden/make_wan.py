#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""Makes wan.safetensors: what the Wan models have beyond text to video with one expert, the models'
own code on our synthetic weights. Two experts and two guidances; times per token; the image branch;
CLIP; image to video of every kind. As in make_goldens.py only outputs are stored."""

import diffusers
import numpy as np
import PIL.Image
import torch
import transformers

import synthetic
from make_goldens import DoubleTimesteps, unipc, vae
from synthetic import SEED, close, doubled, save, uniform

# The same geometry as in tests/check_wan.c.
HEADS, WIDTH, MLP, LAYERS, TEXT = 3, 16, 112, 2, 32
CLIP = dict(hidden_size=32, intermediate_size=80, num_hidden_layers=3, num_attention_heads=2,
            image_size=42, patch_size=14, hidden_act="gelu")
CLIP_ROWS = 1 + (42 // 14) ** 2
ROWS = 512  # diffusers counts the image's rows as what is beyond 512
LATENTS = (1, 16, 3, 4, 6)  # of 9 frames of 32x48


# ---- the published models --------------------------------------------------------------------------

def fill(model, stream=""):
    """As fill_model, from a stream of its own where parts share names; tables by our names."""
    tables = {"pos_embed": -1, "class_embedding": 0, "position_embedding.weight": 0}
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            shape, gain = tuple(tensor.shape), [g for end, g in tables.items() if name.endswith(end)]
            value = (uniform(SEED, stream + name, *shape) * np.float32(2.0 ** gain[0]) if gain else
                     synthetic.weight(SEED, "normal", stream + name, shape, 1))
            tensor.copy_(torch.from_numpy(value))
    return model.eval()


def transformer(stream="", channels=16, image=False, positions=None):
    model = diffusers.WanTransformer3DModel(
        num_attention_heads=HEADS, attention_head_dim=WIDTH, ffn_dim=MLP, num_layers=LAYERS,
        text_dim=TEXT, in_channels=channels, out_channels=16,
        image_dim=CLIP["hidden_size"] if image else None,
        added_kv_proj_dim=HEADS * WIDTH if image else None, pos_embed_seq_len=positions)
    model.condition_embedder.timesteps_proj = DoubleTimesteps()
    return fill(model, stream)


def image_encoder():
    # published tensors have a prefix that this release of transformers leaves out
    return fill(transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**CLIP)),
                "image_encoder.vision_model.")


def image_processor():
    side = CLIP["image_size"]
    return transformers.CLIPImageProcessor(size={"shortest_edge": side},
                                           crop_size={"height": side, "width": side})


# ---- inputs ----------------------------------------------------------------------------------------

def picture(name, height=32, width=48):
    """Smooth, so that resampling it means something: a coarse grid of our values, enlarged."""
    coarse = np.floor((uniform(SEED, name, height // 8, width // 8, 3) + 1) * 127.9)
    return PIL.Image.fromarray(coarse.repeat(8, 0).repeat(8, 1).astype(np.uint8))


def text(name, rows, real=5):
    out = torch.from_numpy(uniform(SEED, name, 1, rows, TEXT))
    out[:, real:] = 0
    return out


def noise(*shape):
    return torch.from_numpy(uniform(SEED, "golden.noise", *shape)) * 2


# ---- components ------------------------------------------------------------------------------------

def both(model, run):
    """In float64, having seen that float32 agrees."""
    with torch.no_grad():
        single = run(lambda v: v)
        with doubled(model):
            double = run(torch.Tensor.double)
    close(single, double, 1e-5)
    return double


def components():
    x = torch.from_numpy(uniform(SEED, "golden.latents", 1, 36, 3, 6, 10)) * 2
    features = torch.from_numpy(uniform(SEED, "golden.features", 2, CLIP_ROWS, 32)) * 2
    rows, t = text("golden.text", ROWS), torch.tensor([937.0])
    one, two = transformer("", 36, True), transformer("", 36, True, 2 * CLIP_ROWS)
    plain = transformer()
    per_token = torch.tensor([0.0, 937.0, 411.0]).repeat_interleave(15)[None]
    pixels = torch.from_numpy(uniform(SEED, "golden.pixels", 1, 42, 42, 3)) * 2
    encoder = image_encoder()
    return dict(
        image_velocity=both(one, lambda c: one(c(x), t, c(rows), c(features[:1])).sample),
        images_velocity=both(two, lambda c: two(c(x), t, c(rows), c(features)).sample),
        times_velocity=both(plain, lambda c: plain(
            c(x[:, :16]), per_token, c(rows[:, :24])).sample),
        clip=both(encoder, lambda c: encoder(
            c(pixels).permute(0, 3, 1, 2), output_hidden_states=True).hidden_states[-2]))


def preprocessed():
    """Of an image larger and of one smaller than what CLIP sees, wide and tall."""
    out = {}
    for name, height, width in (("golden.wide", 96, 152), ("golden.tall", 48, 24)):
        image = picture(name, height, width)
        pixels = image_processor()(images=image, return_tensors="pt").pixel_values
        out[f"{name[7:]}.clip"] = pixels[0].permute(1, 2, 0)
        video = diffusers.video_processor.VideoProcessor(vae_scale_factor=8)
        out[f"{name[7:]}.frame"] = video.preprocess(image, height=32, width=48)[0].permute(1, 2, 0)
    return out


# ---- pipelines -------------------------------------------------------------------------------------

def run(pipeline, shape=LATENTS, frames=9, rows=24, **given):
    """Latents after every step, and what the pipeline makes of the last."""
    pipeline.set_progress_bar_config(disable=True)
    steps = []

    def watch(_, step, t, values):
        steps.append(values["latents"])
        return values

    out = pipeline(
        prompt_embeds=text("golden.prompt", rows), negative_prompt_embeds=text("golden.negative", rows),
        height=32, width=48, num_frames=frames, latents=noise(*shape), callback_on_step_end=watch,
        **given).frames[0]
    return torch.cat(steps), out


def pipelines():
    parts = dict(tokenizer=None, text_encoder=None, vae=vae())
    image, last = picture("golden.image"), picture("golden.last")
    to_video, from_image = diffusers.WanPipeline, diffusers.WanImageToVideoPipeline
    clip = dict(image_encoder=image_encoder(), image_processor=image_processor())
    out = {}

    experts = to_video(transformer=transformer(), transformer_2=transformer("transformer_2."),
                       scheduler=unipc(6, 3.0), boundary_ratio=0.875, **parts)
    out["experts.latents"], _ = run(experts, num_inference_steps=6, guidance_scale=4.0,
                                    guidance_scale_2=3.0, output_type="latent")

    first = from_image(transformer=transformer(), scheduler=unipc(4, 5.0), expand_timesteps=True,
                       **parts)
    out["first.latents"], out["first.end"] = run(
        first, image=image, num_inference_steps=4, guidance_scale=5.0, output_type="latent")
    none = to_video(transformer=transformer(), scheduler=unipc(4, 5.0), expand_timesteps=True, **parts)
    out["none.latents"], _ = run(none, num_inference_steps=4, guidance_scale=5.0,
                                 output_type="latent")

    one = from_image(transformer=transformer("", 36, True), scheduler=unipc(4, 3.0), **clip, **parts)
    out["one.latents"], out["one.frames"] = run(
        one, (1, 16, 2, 4, 6), 5, ROWS, image=image, num_inference_steps=4, guidance_scale=5.0,
        output_type="np")
    two = from_image(transformer=transformer("", 36, True, 2 * CLIP_ROWS), scheduler=unipc(3, 16.0),
                     **clip, **parts)
    out["two.latents"], _ = run(two, rows=ROWS, image=image, last_image=last, num_inference_steps=3,
                                guidance_scale=5.0, output_type="latent")
    out["image.clip"], out["last.clip"] = (
        image_processor()(images=i, return_tensors="pt").pixel_values[0].permute(1, 2, 0)
        for i in (image, last))

    both_experts = from_image(
        transformer=transformer("", 36), transformer_2=transformer("transformer_2.", 36),
        scheduler=unipc(4, 5.0), boundary_ratio=0.9, **parts)
    out["channels.latents"], _ = run(both_experts, image=image, num_inference_steps=4,
                                     guidance_scale=3.5, output_type="latent")
    return out


if __name__ == "__main__":
    torch.set_num_threads(2)
    save("wan", **components(), **preprocessed(), **pipelines())
