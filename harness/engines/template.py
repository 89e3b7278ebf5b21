#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""A template for engines of other stacks (xDiT, TensorRT-LLM, a server, a program like
stable-diffusion.cpp). UNTESTED with any stack: as it stands it refuses every case.

    patchmark run --engine "python3 harness/engines/template.py" --model FOLDER

Where the stack is a program that makes one clip a call, take the stage times that it prints; a clip's
total must hold all that our clock sees of it, its start and loading included, or the row is not
believed. A stack that can stay loaded should."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import engine_lines  # noqa: E402
from engine_lines import GiveUp  # noqa: E402


class Template:
    name, version = "template", "untested"
    libraries = {}

    def __init__(self, case, inputs):
        # case["model"]: name, family, folder (or None), networks. case: prompt, negative, width,
        # height, frames, generated (made, then cut to these), latents (shape), fps, steps,
        # scheduler, levels (steps + 1), times, shift, guidance, guidance_low, seed, dtype, threads,
        # device. inputs: noise and prompt_embeds, safetensors files or None. Load the weights here.
        self.device = case["device"].split(":")[0]  # "cpu", "cuda" or "other"
        self.weights = "folder" if case["model"]["folder"] else "own"
        self.text = "prompt"  # or "embeds", "none", where the prompt is not encoded here
        raise GiveUp("refused", "this is a template: no stack stands behind it")

    def clip(self, progress):
        # progress(share) now and then, or a long clip is taken for a hang.
        return {"total_ns": 0, "text_ns": None, "denoise_ns": 0, "step_ns": [0],
                "decode_ns": None, "frames_hash": "", "arrays": None}

    def dump(self, arrays, outputs):
        # outputs["latents"]: safetensors with `latents` of the shape case["latents"], as the sampler
        # leaves them; outputs["frames"]: `frames` [frames, height, width, 3], 0 to 1. One of both
        # is enough, f32, f16 or bf16.
        pass


if __name__ == "__main__":
    engine_lines.serve(Template)
