#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""An engine for `patchmark run --engine`: Wan text-to-video by PyTorch and diffusers.

    patchmark run --engine "python3 harness/engines/diffusers_wan.py" --model FOLDER --size 832x480

A folder of published weights is loaded by diffusers' own from_pretrained. Of a preset there are no
weights to share: the same networks are built from their sizes with random weights of PyTorch's own.
Tried on the CPU; on CUDA devices untested. Needs torch, diffusers, transformers, accelerate, ftfy, safetensors;
tests/golden/README.md has versions."""
import hashlib
import logging
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import engine_lines  # noqa: E402
from engine_lines import GiveUp  # noqa: E402

try:
    import diffusers
    import numpy as np
    import torch
    import transformers
    from safetensors.numpy import load_file, save_file
except ImportError as e:
    missing = str(e)
else:
    missing = None

LEVELS_APART = 1e-4  # of the noise levels, for the same sampler to be meant


class Wan:
    name = "diffusers"

    def __init__(self, case, inputs):
        if missing:
            raise GiveUp("unavailable", f"{missing}; tests/golden/README.md says what to install")
        if case["model"]["family"] != "wan":
            raise GiveUp("refused", f"this engine runs Wan models, not {case['model']['name']}")
        self.case = case
        self.version = diffusers.__version__
        self.libraries = {"torch": torch.__version__, "transformers": transformers.__version__,
                          "python": sys.version.split()[0]}
        self.place_on(case)
        folder = case["model"]["folder"]
        self.pipeline = self.load(folder) if folder else self.build()
        self.weights = "folder" if folder else "own"
        self.pipeline.scheduler = self.scheduler()
        self.pipeline.to(self.torch_device)
        self.pipeline.set_progress_bar_config(disable=True)
        noise = load_file(inputs["noise"])["latents"]
        self.noise = torch.from_numpy(noise).to(self.torch_device)
        self.choose_text(folder, inputs)

    def place_on(self, case):
        torch.set_num_threads(case["threads"])
        self.device = case["device"].split(":")[0]
        if self.device == "cuda" and not torch.cuda.is_available():
            raise GiveUp("unavailable", "PyTorch finds no CUDA device")
        self.torch_device = torch.device(case["device"])
        self.dtype = {"f32": torch.float32, "bf16": torch.bfloat16,
                      "f16": torch.float16}[case["dtype"]]

    # ---- weights ----

    def load(self, folder):
        has_tokenizer = (pathlib.Path(folder) / "tokenizer").is_dir()
        without = {} if has_tokenizer else {"tokenizer": None}
        try:
            return diffusers.WanPipeline.from_pretrained(folder, dtype=self.dtype, **without)
        except (OSError, ValueError) as e:
            raise GiveUp("refused", f"diffusers cannot load the folder: {e}".splitlines()[0])

    def build(self):
        networks = self.case["model"]["networks"]
        torch.manual_seed(0)

        def transformer():
            config = dict(networks["transformer"], cross_attn_norm=True)
            return diffusers.WanTransformer3DModel(**config).to(self.dtype).eval()

        boundary = self.case["model"]["boundary"]
        text = transformers.UMT5Config(**networks["text_encoder"], feed_forward_proj="gated-gelu",
                                       dropout_rate=0.0)
        return diffusers.WanPipeline(
            tokenizer=None, scheduler=None, transformer=transformer(),
            transformer_2=transformer() if boundary else None, boundary_ratio=boundary,
            text_encoder=transformers.UMT5EncoderModel(text).to(self.dtype).eval(),
            vae=diffusers.AutoencoderKLWan(**networks["vae"]).to(self.dtype).eval())

    def scheduler(self):
        """The one asked for, held against the noise levels that came with the case."""
        case, shift = self.case, self.case["shift"]
        if case["scheduler"] == "unipc":
            made = diffusers.UniPCMultistepScheduler(
                prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
        elif case["scheduler"].startswith("euler"):
            made = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
        else:
            raise GiveUp("refused", f"this engine has no scheduler {case['scheduler']}")
        made.set_timesteps(case["steps"])
        apart = np.abs(made.sigmas.double().numpy() - case["levels"]).max()
        if apart > LEVELS_APART:
            raise GiveUp("refused", f"diffusers places the noise levels of {case['scheduler']}"
                                    f" elsewhere, {apart:.2g} apart")
        return made

    # ---- text ----

    def choose_text(self, folder, inputs):
        self.rows = None
        self.text = "prompt"
        if folder and self.pipeline.tokenizer is None:
            if not inputs["prompt_embeds"]:
                raise GiveUp("refused", "the folder has no tokenizer, and no text rows were given")
            given = load_file(inputs["prompt_embeds"])
            self.rows = [torch.from_numpy(given[k]).to(self.torch_device, self.dtype)
                         for k in ("prompt_embeds", "negative_prompt_embeds") if k in given]
            self.text = "embeds"

    def encode_bytes(self, prompt):
        """Without a vocabulary: bytes for tokens, as many rows as the pipeline would make."""
        encoder, rows = self.pipeline.text_encoder, self.case["model"]["text_rows"]
        ids = [2 + b % (encoder.config.vocab_size - 2) for b in prompt.encode()[:rows - 1]] + [1]
        padded = torch.zeros(1, rows, dtype=torch.long, device=self.torch_device)
        padded[0, :len(ids)] = torch.tensor(ids)
        mask = (torch.arange(rows, device=self.torch_device) < len(ids)).long()[None]
        out = encoder(padded, mask).last_hidden_state
        return out * mask[..., None].to(out.dtype)

    def encode(self):
        case = self.case
        guided = case["guidance"] > 1 or (case["guidance_low"] or 0) > 1
        if self.rows:
            return self.rows[0], self.rows[1] if guided else None
        if self.pipeline.tokenizer is None:
            return (self.encode_bytes(case["prompt"]),
                    self.encode_bytes(case["negative"]) if guided else None)
        return self.pipeline.encode_prompt(
            case["prompt"], case["negative"], do_classifier_free_guidance=guided,
            max_sequence_length=case["model"]["text_rows"])

    # ---- a clip ----

    def now(self):
        if self.device == "cuda":
            torch.cuda.synchronize(self.torch_device)
        return time.perf_counter_ns()

    @staticmethod
    def levels(frames):
        return (frames * 255).round().clip(0, 255).astype(np.uint8)

    @torch.no_grad()
    def clip(self, progress):
        case, size, marks, last = self.case, self.case["generated"], [], None

        def step_done(_, step, t, values):
            nonlocal last
            marks.append(self.now())
            last = values["latents"]
            progress((step + 1) / (case["steps"] + 1))
            return {}

        start = self.now()
        prompt, negative = self.encode()
        text_done = self.now()
        low = {"guidance_scale_2": case["guidance_low"]} if case["guidance_low"] else {}
        frames = self.pipeline(
            prompt_embeds=prompt, negative_prompt_embeds=negative, width=size["width"],
            height=size["height"], num_frames=size["frames"], num_inference_steps=case["steps"],
            guidance_scale=case["guidance"], latents=self.noise.clone(), output_type="np",
            callback_on_step_end=step_done, callback_on_step_end_tensor_inputs=["latents"],
            **low).frames[0]
        frames = frames[:case["frames"], :case["height"], :case["width"]]
        rgb = np.ascontiguousarray(self.levels(frames))
        end = self.now()
        step_ns = [int(b - a) for a, b in zip([text_done, *marks], marks)]
        return {"total_ns": end - start,
                "text_ns": text_done - start if self.text == "prompt" else None,
                "denoise_ns": marks[-1] - text_done, "step_ns": step_ns,
                "decode_ns": end - marks[-1], "frames_hash": hashlib.sha256(rgb).hexdigest(),
                "arrays": (last, frames)}

    def dump(self, arrays, outputs):
        latents, frames = arrays
        save_file({"latents": latents.float().cpu().numpy()}, outputs["latents"])
        save_file({"frames": np.ascontiguousarray(frames, dtype=np.float32)}, outputs["frames"])


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    if not missing:
        for library in (diffusers, transformers):
            library.utils.logging.set_verbosity_error()
            library.utils.logging.disable_progress_bar()
    engine_lines.serve(Wan)
