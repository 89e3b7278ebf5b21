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

# Statistics of the 48 latent channels of Wan 2.2, as published.
MEAN = [-.2289, -.0052, -.1323, -.2339, -.2799, .0174, .1838, .1557, -.1382, .0542, .2813, .0891,
        .1570, -.0098, .0375, -.1825, -.2246, -.1207, -.0698, .5109, .2665, -.2108, -.2158, .2502,
        -.2055, -.0322, .1109, .1567, -.0729, .0899, -.2799, -.1230, -.0313, -.1649, .0117, .0723,
        -.2839, -.2083, -.0520, .3748, .0152, .1957, .1433, -.2944, .3573, -.0548, -.1681, -.0667]
STD = [.4765, 1.0364, .4514, 1.1677, .5313, .4990, .4818, .5013, .8158, 1.0344, .5894, 1.0901,
       .6885, .6165, .8454, .4978, .5759, .3523, .7135, .6804, .5833, 1.4146, .8986, .5659, .7069,
       .5338, .4889, .4917, .4069, .4999, .6866, .4093, .5709, .6065, .6415, .4944, .5726, 1.2042,
       .5458, 1.6887, .3971, 1.0600, .3943, .5537, .5444, .4089, .7468, .7744]


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


def transformer(stream="", channels=16, image=False, positions=None, out=16):
    model = diffusers.WanTransformer3DModel(
        num_attention_heads=HEADS, attention_head_dim=WIDTH, ffn_dim=MLP, num_layers=LAYERS,
        text_dim=TEXT, in_channels=channels, out_channels=out,
        image_dim=CLIP["hidden_size"] if image else None,
        added_kv_proj_dim=HEADS * WIDTH if image else None, pos_embed_seq_len=positions)
    model.condition_embedder.timesteps_proj = DoubleTimesteps()
    return fill(model, stream)


def vae_2_2():
    return synthetic.fill_model(diffusers.AutoencoderKLWan(
        base_dim=4, decoder_base_dim=6, z_dim=48, is_residual=True, in_channels=12, out_channels=12,
        patch_size=2, scale_factor_spatial=16, latents_mean=MEAN, latents_std=STD), "normal")


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

def run(pipeline, shape=LATENTS, frames=9, rows=24, width=48, **given):
    """Latents after every step, and what the pipeline makes of the last."""
    pipeline.set_progress_bar_config(disable=True)
    steps = []

    def watch(_, step, t, values):
        steps.append(values["latents"])
        return values

    out = pipeline(
        prompt_embeds=text("golden.prompt", rows), negative_prompt_embeds=text("golden.negative", rows),
        height=32, width=width, num_frames=frames, latents=noise(*shape), callback_on_step_end=watch,
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

    for name, kind in (("first.end", "latent"), ("first.frames", "np")):
        first = from_image(transformer=transformer("", 48, out=48), scheduler=unipc(4, 5.0),
                           expand_timesteps=True, **{**parts, "vae": vae_2_2()})
        out["first.latents"], out[name] = run(
            first, (1, 48, 3, 2, 4), width=64, image=picture("golden.image", 32, 64),
            num_inference_steps=4, guidance_scale=5.0, output_type=kind)
    out["first.frames"] = out["first.frames"].reshape(-1)[::7]
    none = to_video(transformer=transformer(), scheduler=unipc(4, 5.0), expand_timesteps=True, **parts)
    out["none.latents"], _ = run(none, num_inference_steps=4, guidance_scale=5.0,
                                 output_type="latent")

    one = from_image(transformer=transformer("", 36, True), scheduler=unipc(4, 3.0), **clip, **parts)
    out["one.latents"], out["one.frames"] = run(
        one, (1, 16, 2, 4, 6), 5, ROWS, image=image, num_inference_steps=4, guidance_scale=5.0,
        output_type="np")
    out["one.frames"] = out["one.frames"].reshape(-1)[::7]
    two = from_image(transformer=transformer("", 36, True, 2 * CLIP_ROWS), scheduler=unipc(3, 16.0),
                     **clip, **parts)
    out["two.latents"], _ = run(two, rows=ROWS, image=image, last_image=last, num_inference_steps=3,
                                guidance_scale=5.0, output_type="latent")

    both_experts = from_image(
        transformer=transformer("", 36), transformer_2=transformer("transformer_2.", 36),
        scheduler=unipc(4, 5.0), boundary_ratio=0.9, **parts)
    out["channels.latents"], _ = run(both_experts, image=image, num_inference_steps=4,
                                     guidance_scale=3.5, output_type="latent")
    return out


if __name__ == "__main__":
    torch.set_num_threads(2)
    save("wan", **components(), **preprocessed(), **pipelines())
