#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a small random checkpoint twice, by diffusers and by Patchmark, and prints how far apart they
are at every stage.

    python tests/golden/compare_with_diffusers.py --model all

Each checkpoint is written by diffusers' own save_pretrained and read by both as it is. Models that
read text run once from given rows and once from a prompt, through both tokenizers. Bounds: relative L2
1e-5 for text rows, 1e-4 for latents, 1/255 for any value of a frame (0 to 1). With --dtype bf16 both
are held against diffusers in float32, and the bound is the error of diffusers itself in bfloat16.
Exit code 0: all within their bounds; 1: not; 2: something could not run. Versions: README.md beside
this file."""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import types

import numpy as np

try:
    import PIL.Image
    import accelerate  # noqa: F401, diffusers loads weights with it
    import ftfy  # noqa: F401, and cleans prompts with it
    import diffusers
    import torch
    import transformers
    from safetensors.numpy import load_file, save_file
except ImportError as missing:
    sys.exit(f"compare_with_diffusers: {missing}; tests/golden/README.md says what to install")

HERE = pathlib.Path(__file__).parent
PROMPT, NEGATIVE = "a red fox walks across the snow at dawn", "blurred"
TEXT_WIDTH, TEXT_VOCAB, TEXT_ROWS = 64, 768, 512
BOUND_TEXT, BOUND_LATENTS, BOUND_FRAMES = 1e-5, 1e-4, 1 / 255
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


# ---- small random models ---------------------------------------------------------------------------

def enliven(model, seed):
    """Random values that keep variance through every layer, for untrained defaults are near zero in
    places and would hide faults."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=draw)
            if name.endswith("scale_shift_table") or "relative_attention_bias" in name:
                p.copy_(noise / 2)
            elif "norm" in name and name.endswith(("weight", "gamma")) or name.endswith("gamma"):
                p.copy_(1 + noise / 8)
            elif p.ndim < 2:
                p.copy_(noise / 8)
            else:
                p.copy_(noise / np.sqrt(p[0].numel()))
    return model.eval()


def text_encoder():
    config = transformers.UMT5Config(
        vocab_size=TEXT_VOCAB, d_model=TEXT_WIDTH, d_kv=16, d_ff=160, num_layers=2, num_heads=4,
        feed_forward_proj="gated-gelu", dropout_rate=0.0)
    return enliven(transformers.UMT5EncoderModel(config), 1)


def tokenizer():
    return transformers.AutoTokenizer.from_pretrained(HERE / "tokenizer")


def wan_transformer(seed, **more):
    return enliven(diffusers.WanTransformer3DModel(**{
        **dict(num_attention_heads=4, attention_head_dim=24, ffn_dim=224, num_layers=3,
               text_dim=TEXT_WIDTH), **more}), seed)


def wan_vae(**more):
    return enliven(diffusers.AutoencoderKLWan(**{**dict(base_dim=8), **more}), 3)


def unipc(shift):
    return diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000,
        flow_shift=shift)


def wan_2_1():
    return diffusers.WanPipeline(
        tokenizer=tokenizer(), text_encoder=text_encoder(), transformer=wan_transformer(2),
        vae=wan_vae(), scheduler=unipc(3.0))


def wan_2_2():
    return diffusers.WanPipeline(
        tokenizer=tokenizer(), text_encoder=text_encoder(), transformer=wan_transformer(2),
        transformer_2=wan_transformer(4), boundary_ratio=0.875, vae=wan_vae(),
        scheduler=unipc(12.0))


def ti2v():
    draw = np.random.default_rng(6)
    vae = wan_vae(base_dim=6, decoder_base_dim=8, z_dim=48, is_residual=True, in_channels=12,
                  out_channels=12, patch_size=2, scale_factor_spatial=16,
                  latents_mean=draw.normal(0, 0.3, 48).tolist(),
                  latents_std=draw.uniform(0.5, 1.5, 48).tolist())
    return diffusers.WanPipeline(
        tokenizer=tokenizer(), text_encoder=text_encoder(), vae=vae, scheduler=unipc(5.0),
        transformer=wan_transformer(2, in_channels=48, out_channels=48), expand_timesteps=True)


def i2v():
    clip = transformers.CLIPVisionConfig(
        hidden_size=48, intermediate_size=112, num_hidden_layers=3, num_attention_heads=3,
        image_size=56, patch_size=14, hidden_act="gelu")
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 56},
                                                crop_size={"height": 56, "width": 56})
    return diffusers.WanImageToVideoPipeline(
        tokenizer=tokenizer(), text_encoder=text_encoder(), vae=wan_vae(), scheduler=unipc(3.0),
        image_encoder=enliven(transformers.CLIPVisionModel(clip), 7), image_processor=processor,
        transformer=wan_transformer(2, in_channels=36, image_dim=48, added_kv_proj_dim=96))


def dit():
    scheduler = diffusers.DDIMScheduler(beta_start=0.0001, beta_end=0.02, clip_sample=False)
    transformer = diffusers.DiTTransformer2DModel(
        num_attention_heads=4, attention_head_dim=24, in_channels=4, out_channels=8, num_layers=3,
        sample_size=16, patch_size=2)
    return diffusers.DiTPipeline(
        transformer=enliven(transformer, 8), scheduler=scheduler,
        vae=diffusers.AutoencoderKL(block_out_channels=[8], norm_num_groups=4))


# What is asked for: width, height, frames of the clip, and the flags that say the same to both.
def model(make, pipeline, size, frames, steps, call, flags, latents, **more):
    return types.SimpleNamespace(**{
        **dict(make=make, pipeline=pipeline, size=size, frames=frames, steps=steps, call=call,
               flags=flags, latents=latents, has_image=False, label=None), **more})


MODELS = {
    "wan2.1": model(wan_2_1, diffusers.WanPipeline, (80, 48), 9, 6, dict(guidance_scale=5.0),
                    ["--guidance", "5"], (16, 3, 6, 10)),
    "wan2.2": model(wan_2_2, diffusers.WanPipeline, (48, 80), 13, 6,
                    dict(guidance_scale=4.0, guidance_scale_2=3.0), ["--guidance", "4,3"],
                    (16, 4, 10, 6)),
    "ti2v": model(ti2v, diffusers.WanPipeline, (96, 64), 9, 5, dict(guidance_scale=5.0),
                  ["--guidance", "5"], (48, 3, 4, 6)),
    "i2v": model(i2v, diffusers.WanImageToVideoPipeline, (80, 48), 9, 5, dict(guidance_scale=5.0),
                 ["--guidance", "5"], (16, 3, 6, 10), has_image=True),
    "dit": model(dit, diffusers.DiTPipeline, (128, 128), 1, 8, dict(guidance_scale=4.0),
                 ["--guidance", "4"], (4, 1, 16, 16), label=7),
}


def write_checkpoint(model, folder):
    torch.manual_seed(0)
    model.make().save_pretrained(folder)
    # transformers may keep the vocabulary in tokenizer.json alone; published folders have both.
    if (folder / "tokenizer").is_dir():
        shutil.copy(HERE / "tokenizer" / "spiece.model", folder / "tokenizer")


# ---- both runs -------------------------------------------------------------------------------------

def inputs(model, folder):
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((2, 1, TEXT_ROWS, TEXT_WIDTH)).astype(np.float32)
    rows[:, :, 100:] = 0
    made = {"latents": rng.standard_normal((1, *model.latents)).astype(np.float32)}
    texts = {"prompt_embeds": rows[0], "negative_prompt_embeds": rows[1]}
    save_file(made, folder / "noise.safetensors")
    save_file(texts, folder / "embeds.safetensors")
    smooth = PIL.Image.fromarray(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8))
    smooth.resize((108, 72), PIL.Image.BICUBIC).save(folder / "image.ppm")
    return made["latents"], texts


def run_classes(model, pipeline, latents):
    """The pipeline draws its own noise and tells of no step, so both are put in its way."""
    steps, step = [], pipeline.scheduler.step

    def watched(*arguments):
        done = step(*arguments)
        steps.append(done.prev_sample[:1, :, None].float().numpy().copy())
        return done

    pipeline.scheduler.step = watched
    module = sys.modules[type(pipeline).__module__]
    drawn, module.randn_tensor = module.randn_tensor, lambda dtype, **_: torch.from_numpy(
        latents[:, :, 0]).to(dtype)
    try:
        pipeline([model.label], num_inference_steps=model.steps, output_type="np", **model.call)
    finally:
        module.randn_tensor = drawn
    return types.SimpleNamespace(text=None, latents=steps, frames=None)


def run_diffusers(model, folder, dtype, latents, texts, image):
    """Text rows, latents after each step, frames; texts None: from the prompt."""
    pipeline = model.pipeline.from_pretrained(folder, dtype=dtype)
    pipeline.set_progress_bar_config(disable=True)
    if model.label is not None:
        return run_classes(model, pipeline, latents)
    call = dict(model.call, image=PIL.Image.open(image)) if model.has_image else model.call
    steps = []

    def watch(_, step, t, values):
        steps.append(values["latents"].float().numpy().copy())
        return values

    with torch.no_grad():
        if texts is None:
            rows = pipeline.encode_prompt(PROMPT, NEGATIVE, max_sequence_length=TEXT_ROWS)
        else:
            rows = [torch.from_numpy(t).to(dtype) for t in texts.values()]
    width, height = model.size
    frames = pipeline(
        prompt_embeds=rows[0], negative_prompt_embeds=rows[1], width=width, height=height,
        num_frames=model.frames, num_inference_steps=model.steps,
        latents=torch.from_numpy(latents), callback_on_step_end=watch, output_type="np",
        **call).frames[0]
    text = np.concatenate([r.float().numpy() for r in rows])
    return types.SimpleNamespace(text=text, latents=steps, frames=frames)


def run_patchmark(model, program, folder, dtype, work, texts):
    dump = work / "dump"
    shutil.rmtree(dump, ignore_errors=True)
    width, height = model.size
    words = [program, "generate", "--model", folder, "--size", f"{width}x{height}",
             "--steps", model.steps, "--dtype", dtype, "--noise", work / "noise.safetensors",
             "--dump", dump, *model.flags]
    if model.label is not None:
        words += ["--class", model.label]
    else:
        words += ["--frames", model.frames, "-o", work / "clip.y4m"]
        words += (["--prompt", PROMPT, "--negative", NEGATIVE] if texts is None else
                  ["--prompt-embeds", work / "embeds.safetensors"])
    words += ["--image", work / "image.ppm"] if model.has_image else []
    words = [str(w) for w in words]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        print(" ".join(words), done.stderr, sep="\n", file=sys.stderr)
        sys.exit(2)
    steps = [load_file(dump / f"latents_{i + 1:04d}.safetensors")["latents"]
             for i in range(model.steps)]
    if model.label is not None:
        return types.SimpleNamespace(text=None, latents=steps, frames=None)
    rows = load_file(dump / "text_embeds.safetensors")
    text = np.concatenate([rows["prompt_embeds"], rows["negative_prompt_embeds"]])
    frames = load_file(dump / "frames.safetensors")["frames"]
    return types.SimpleNamespace(text=text, latents=steps, frames=frames)


# ---- the table -------------------------------------------------------------------------------------

def relative(got, want):
    return float(np.linalg.norm(got.astype(np.float64) - want) / np.linalg.norm(want))


def largest(got, want):
    return float(np.abs(got.astype(np.float64) - want).max())


def errors(run, truth):
    """stage -> (what is measured, error, the bound in float32)"""
    rows = {}
    if run.text is not None:
        rows["text"] = ("relative L2", relative(run.text, truth.text), BOUND_TEXT)
    for i, (got, want) in enumerate(zip(run.latents, truth.latents)):
        rows[f"latents, step {i + 1}"] = ("relative L2", relative(got, want), BOUND_LATENTS)
    if run.frames is not None:
        rows["frames"] = ("largest", largest(run.frames, truth.frames), BOUND_FRAMES)
    return rows


def tell(title, ours, bounds):
    good = True
    print(f"\n{title}\n  {'stage':<18} {'measure':<12} {'error':>10} {'bound':>10}")
    for stage, (measure, error, _) in ours.items():
        within = error <= bounds[stage]
        good = good and within
        print(f"  {stage:<18} {measure:<12} {error:10.2e} {bounds[stage]:10.2e}  "
              f"{'ok' if within else 'TOO FAR'}")
    return good


def compare(name, program, dtype, work):
    model, folder = MODELS[name], work / "checkpoint"
    write_checkpoint(model, folder)
    latents, texts = inputs(model, work)
    good = True
    ways = [(texts, "text rows given"), (None, "from a prompt")]
    for given, how in ways if model.label is None else [(None, "from a class")]:
        image = work / "image.ppm"
        truth = run_diffusers(model, folder, torch.float32, latents, given, image)
        ours = errors(run_patchmark(model, program, folder, dtype, work, given), truth)
        if dtype == "f32":
            bounds = {stage: bound for stage, (_, _, bound) in ours.items()}
        else:
            theirs = errors(run_diffusers(model, folder, DTYPES[dtype], latents, given, image),
                            truth)
            bounds = {stage: error for stage, (_, error, _) in theirs.items()}
        good &= tell(f"{name}, {dtype}, {how}", ours, bounds)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", default="all", choices=[*MODELS, "all"])
    parser.add_argument("--dtype", default="f32", choices=DTYPES)
    parser.add_argument("--program", default="build/patchmark")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for checkpoints and dumps")
    options = parser.parse_args()
    torch.set_num_threads(2)
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    print(f"diffusers {diffusers.__version__}, transformers {transformers.__version__}, "
          f"torch {torch.__version__}; against {options.program}")
    good = True
    with tempfile.TemporaryDirectory() as temporary:
        for name in MODELS if options.model == "all" else [options.model]:
            work = (options.keep or pathlib.Path(temporary)) / f"{name}-{options.dtype}"
            work.mkdir(parents=True, exist_ok=True)
            good &= compare(name, options.program, options.dtype, work)
    print("\nall within their bounds" if good else "\nNOT within the bounds")
    sys.exit(not good)


if __name__ == "__main__":
    main()
