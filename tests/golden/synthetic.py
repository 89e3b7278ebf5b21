#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""What all golden scripts share: our generator of inputs and weights re-implemented in numpy, models
filled by it, float64 throughout, files."""

import contextlib
import math
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
SEED = 7


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
    peaked = fill == "outlier" and name.endswith(
        ("norm_q.weight", "norm_k.weight", "norm_added_q.weight", "norm_added_k.weight"))
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


def save(name, **tensors):
    arrays = {k: np.ascontiguousarray(np.asarray(v), dtype=np.float32) for k, v in tensors.items()}
    path = HERE / f"{name}.safetensors"
    save_file(arrays, path)
    path.chmod(0o644)
    print(name, {k: v.shape for k, v in arrays.items()})


def close(a, b, limit):
    error = float((a.double() - b.double()).norm() / b.double().norm())
    assert error <= limit, error
