#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""What PyTorch makes of the same problems: times of its own operators at Patchmark's shape lines,
checked against float64, written as records of claim "external" (results/SCHEMA.md).

    python3 harness/scripts/peer_pytorch.py --shapes harness/scripts/gpu_shapes.txt --budget 60
    python3 harness/scripts/peer_pytorch.py --device cpu --shape linear:S=64,K=64,O=64,type=f32

Every peer is given PyTorch's best case: weights and inputs in the layout it likes, memory formats
converted ahead, a convolution's earlier frames already in front of its input. TF32 is off. Needs
nothing but torch.
"""
import argparse
import datetime
import glob
import hashlib
import json
import math
import os
import platform
import resource
import signal
import subprocess
import sys
import time
import uuid

SCHEMA = {"name": "patchmark", "version": "1.1"}
LEAST_SAMPLES = 6  # the fewest whose extremes cover the median with 95 %
MOST_SAMPLES = 60
WIDE = 0.01  # half an interval over its median: unstable above
SAMPLE_S = 0.002
PARTS = ("attention", "linear", "conv3d", "elementwise", "decode")

DEFAULTS = {
    "attention": {"B": 1, "Sk": None, "bias": 0},
    "linear": {"G": 1, "epilogue": "none", "bias": 1},
    "conv3d": {"kt": 3, "kh": 3, "kw": 3, "st": 1, "sh": 1, "sw": 1, "lead": 2, "P": 0,
               "pad_top": 1, "pad_left": 1, "pad_bottom": 1, "pad_right": 1, "bias": 1, "aux": 0},
    "modulate": {"G": 1, "norm": "layer", "form": "adaln"},
    "qk_norm_rope": {"B": 1, "norm": "all", "rope": 1},
    "norm_silu": {"silu": 1},
    "upsample": {"ft": 1, "fs": 2},
    "average_down": {"ft": 1, "fs": 2, "lead": 0, "order": "lines", "aux": 0},
    "duplicate_up": {"ft": 1, "fs": 2, "skip": 0, "order": "lines", "aux": 0},
    "sampler_step": {"corrector": 1, "uncond": 1, "m1": 1, "m2": 1, "guided": 0},
    "ddpm_step": {"uncond": 1, "noise": 1, "guided": 0},
    "elementwise": {"G": 1, "kind": "copy"},
}


class Refused(Exception):
    """This peer does not do this problem."""


def shape_parse(line):
    """'linear:S=64,K=64,...' -> (op, fields)."""
    op, _, rest = line.partition(":")
    if op not in DEFAULTS:
        raise Refused(f"no PyTorch peer for {op}")
    p = dict(DEFAULTS[op], type="f32")
    for word in rest.split(","):
        key, _, value = word.partition("=")
        p[key] = int(value) if value.lstrip("-").isdigit() else value
    p.setdefault("out", p["type"])
    return op, p


# ---- problems ------------------------------------------------------------------------------------
# Each: inputs (the same for all peers), peers (name -> function of the inputs), check (relative L2
# of a part of the result against float64), flops.


def uniform(*shape, dtype=None, scale=1.0):
    t = torch.rand(*shape, device=DEVICE, dtype=torch.float32).mul_(2).sub_(1).mul_(scale)
    return t.to(dtype or torch.float32)


def relative_l2(got, want):
    got, want = got.double().cpu(), want.double().cpu()
    return (torch.linalg.norm(got - want) / torch.linalg.norm(want).clamp_min(1e-300)).item()


def pick(count, most=32):
    """Rows to check: both ends and some between them, drawn anew."""
    if count <= most:
        return list(range(count))
    return sorted({0, count - 1, *torch.randint(count, (most - 2,)).tolist()})


def attention(p, dtype):
    from torch.nn.attention import SDPBackend, sdpa_kernel
    if p["bias"]:
        raise Refused("no peer for attention with a bias of positions")
    sk = p["Sk"] or p["Sq"]
    q, k, v = (uniform(p["B"], s, p["N"], p["D"], dtype=dtype).transpose(1, 2)
               for s in (p["Sq"], sk, sk))

    def peer(backend):
        def run(q, k, v):
            with sdpa_kernel(backend):
                return F.scaled_dot_product_attention(q, k, v)
        return run

    def math_peer(q, k, v):
        need = 3 * p["B"] * p["N"] * p["Sq"] * sk * q.element_size()
        if need > free_bytes() / 2:
            raise Refused(f"all scores at once would take {need / 2**30:.0f} GiB")
        return peer(SDPBackend.MATH)(q, k, v)

    def check(o):
        rows, head, err = pick(p["Sq"]), int(torch.randint(p["N"], (1,))), []
        for b in range(p["B"]):
            a = q[b, head, rows].double() @ k[b, head].double().T / math.sqrt(p["D"])
            err.append(relative_l2(o[b, head, rows], a.softmax(-1) @ v[b, head].double()))
        return max(err), len(rows) * p["B"] / (p["B"] * p["N"] * p["Sq"])

    peers = {"sdpa-flash": peer(SDPBackend.FLASH_ATTENTION),
             "sdpa-cudnn": peer(SDPBackend.CUDNN_ATTENTION),
             "sdpa-efficient": peer(SDPBackend.EFFICIENT_ATTENTION),
             "sdpa-math": math_peer}
    return (q, k, v), peers, check, 4.0 * p["B"] * p["N"] * p["Sq"] * sk * p["D"]


def linear(p, dtype):
    s, kk, o, epilogue = p["S"], p["K"], p["O"], p["epilogue"]
    out = DTYPE[p["out"]]
    x, w = uniform(s, kk, dtype=dtype), uniform(o, kk, dtype=dtype, scale=math.sqrt(3 / kk))
    bias = uniform(o, dtype=dtype) if p["bias"] else None
    gate = uniform(p["G"], o).repeat_interleave(s // p["G"], 0) if p["G"] > 1 else uniform(1, o)
    aux = uniform(s, o, dtype=out) if epilogue in ("add", "gate", "mul") else None

    def run(x, w, bias, gate, aux):
        a = F.linear(x, w, bias)
        if epilogue == "gelu":
            a = F.gelu(a, approximate="tanh")
        elif epilogue == "silu":
            a = F.silu(a)
        elif epilogue == "add":
            a = aux + a
        elif epilogue == "gate":
            a = aux + gate * a
        elif epilogue == "mul":
            a = aux * a
        return a.to(out)

    def check(y):
        rows = pick(s)
        wide = [t if t is None else t.double() for t in (
            x[rows], w, bias, gate[rows] if len(gate) == s else gate,
            None if aux is None else aux[rows])]
        a = F.linear(wide[0], wide[1], wide[2])
        a = {"none": lambda: a, "gelu": lambda: F.gelu(a, approximate="tanh"),
             "silu": lambda: F.silu(a), "add": lambda: wide[4] + a,
             "gate": lambda: wide[4] + wide[3] * a, "mul": lambda: wide[4] * a}[epilogue]()
        return relative_l2(y[rows], a), len(rows) / s

    peers = {"linear-eager": run}
    if epilogue != "none" or out != dtype:
        peers["linear-compiled"] = compiled(run)
    return (x, w, bias, gate, aux), peers, check, 2.0 * s * kk * o


def conv3d(p, dtype):
    if (p["pad_top"], p["pad_left"]) != (p["pad_bottom"], p["pad_right"]):
        raise Refused("padding differs between the sides")
    frames, out = p["lead"] + p["T"], DTYPE[p["out"]]
    x = uniform(1, p["C"], frames, p["H"], p["W"], dtype=dtype)
    x[:, :, : p["lead"] - p["P"]] = 0
    taps = p["C"] * p["kt"] * p["kh"] * p["kw"]
    w = uniform(p["O"], p["C"], p["kt"], p["kh"], p["kw"], dtype=dtype, scale=math.sqrt(3 / taps))
    bias = uniform(p["O"], dtype=dtype) if p["bias"] else None
    stride, pad = (p["st"], p["sh"], p["sw"]), (0, p["pad_top"], p["pad_left"])
    x, w = (t.contiguous(memory_format=torch.channels_last_3d) for t in (x, w))
    to = (frames - p["kt"]) // p["st"] + 1
    ho = (p["H"] + 2 * pad[1] - p["kh"]) // p["sh"] + 1
    wo = (p["W"] + 2 * pad[2] - p["kw"]) // p["sw"] + 1
    aux = None
    if p["aux"]:
        aux = uniform(1, p["O"], to, ho, wo, dtype=out)
        aux = aux.contiguous(memory_format=torch.channels_last_3d)

    def run(x, w, bias, aux):
        y = F.conv3d(x, w, bias, stride, pad).to(out)
        return y if aux is None else y + aux

    def check(y):
        """A corner of the frame, where the padding is, and all output channels."""
        h, ww = min(4, ho), min(4, wo)
        left = F.pad(x[..., : (h - 1) * p["sh"] + p["kh"] - pad[1],
                       : (ww - 1) * p["sw"] + p["kw"] - pad[2]].double().cpu(),
                     (pad[2], 0, pad[1], 0))
        want = F.conv3d(left, w.double().cpu(), None if bias is None else bias.double().cpu(),
                        stride)[..., :h, :ww]
        if aux is not None:
            want = want + aux[..., :h, :ww].double().cpu()
        return relative_l2(y[..., :h, :ww], want), h * ww / (ho * wo)

    flops = 2.0 * to * ho * wo * p["O"] * taps
    return (x, w, bias, aux), {"conv3d-channels-last": run}, check, flops


def rows_problem(run, inputs, sliced, rows_of, count):
    """Row-wise operators: the function itself in float64 on a few rows is the check."""
    def check(y):
        rows = pick(count)
        part = [None if t is None else t[rows].double() if s else t.double()
                for t, s in zip(inputs, sliced)]
        want = run(*part)
        pairs = zip(y, want) if isinstance(want, tuple) else ((y, want),)
        return max(relative_l2(a[rows], b) for a, b in pairs), len(rows) / count
    return inputs, {rows_of + "-compiled": compiled(run), rows_of + "-eager": run}, check, 0.0


def modulate(p, dtype):
    s, c, g = p["S"], p["C"], p["G"]
    x, scale, shift = uniform(s, c), uniform(g, c), uniform(g, c)
    if g > 1:
        scale, shift = (t.repeat_interleave(s // g, 0) for t in (scale, shift))
    one = 1 if p["form"] == "adaln" else 0

    def run(x, scale, shift):
        if p["norm"] == "layer":
            n = F.layer_norm(x, (c,), eps=1e-6)
        else:
            n = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)
        y = n * (one + scale) + shift
        return y if x.dtype == torch.float64 else y.to(dtype)

    return rows_problem(run, (x, scale, shift), (1, g > 1, g > 1), "modulate", s)


def qk_norm_rope(p, dtype):
    s, n, d = p["S"], p["N"], p["D"]
    if p["B"] != 1:
        raise Refused("one clip at a time")
    x = uniform(s, n, d, dtype=dtype)
    weight = 1 + uniform(n * d if p["norm"] == "all" else d, scale=1 / 8)
    bias = uniform(d)
    angle = uniform(s, d // 2, scale=math.pi)
    cos, sin = angle.cos(), angle.sin()

    def run(x, weight, bias, cos, sin):
        wide = x if x.dtype == torch.float64 else x.float()
        if p["norm"] == "all":
            flat = wide.reshape(-1, n * d)
            r = torch.rsqrt(flat.square().mean(-1, keepdim=True) + 1e-6)
            u = (flat * r * weight).view(-1, n, d)
        elif p["norm"] == "head":
            u = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6) * weight
        elif p["norm"] == "layer":
            u = F.layer_norm(wide, (d,), weight.to(wide.dtype), bias.to(wide.dtype), eps=1e-6)
        else:
            u = wide
        if p["rope"]:
            a, b = u[..., 0::2], u[..., 1::2]
            c, i = cos[:, None], sin[:, None]
            u = torch.stack((a * c - b * i, a * i + b * c), -1).flatten(-2)
        return u.to(x.dtype)

    return rows_problem(run, (x, weight, bias, cos, sin), (1, 0, 0, 1, 1), "qk-norm-rope", s)


def norm_silu(p, dtype):
    x, gamma = uniform(p["S"], p["C"], dtype=dtype), 1 + uniform(p["C"], scale=1 / 8)
    root = math.sqrt(p["C"])

    def run(x, gamma):
        wide = x if x.dtype == torch.float64 else x.float()
        n = F.normalize(wide, dim=-1, eps=1e-12) * (root * gamma)
        return (F.silu(n) if p["silu"] else n).to(x.dtype)

    return rows_problem(run, (x, gamma), (1, 0), "norm-silu", p["S"])


def upsample(p, dtype):
    t, h, w, c, ft, fs = (p[k] for k in ("T", "H", "W", "C", "ft", "fs"))
    x = uniform(t, h, w, ft * c, dtype=dtype)

    def run(x):
        y = x.view(-1, h, w, ft, c).permute(0, 3, 1, 2, 4)
        y = y[:, :, :, None, :, None].expand(-1, ft, h, fs, w, fs, c)
        return y.reshape(-1, ft, h * fs, w * fs, c)

    return rows_problem(run, (x,), (1,), "upsample", t)


def average_down(p, dtype):
    t, h, w, c, o, ft, fs = (p[k] for k in ("T", "H", "W", "C", "O", "ft", "fs"))
    if p["lead"] or p["order"] != "lines" or not p["aux"]:
        raise Refused("shortcuts after the first chunk only")
    x = uniform(t // ft, ft, h, w, c, dtype=dtype)
    aux = uniform(t // ft, h // fs, w // fs, o, dtype=dtype)

    def run(x, aux):
        y = x.view(-1, ft, h // fs, fs, w // fs, fs, c).permute(0, 2, 4, 6, 1, 3, 5)
        return y.reshape(-1, h // fs, w // fs, o, c * ft * fs * fs // o).mean(-1) + aux

    return rows_problem(run, (x, aux), (1, 1), "average-down", t // ft)


def duplicate_up(p, dtype):
    t, h, w, c, o, ft, fs = (p[k] for k in ("T", "H", "W", "C", "O", "ft", "fs"))
    if p["skip"] or p["order"] != "lines" or not p["aux"]:
        raise Refused("shortcuts after the first chunk only")
    x, aux = uniform(t, h, w, c, dtype=dtype), uniform(t, ft, h * fs, w * fs, o, dtype=dtype)

    def run(x, aux):
        y = x.repeat_interleave(o * ft * fs * fs // c, -1).view(-1, h, w, o, ft, fs, fs)
        return y.permute(0, 4, 1, 5, 2, 6, 3).reshape(-1, ft, h * fs, w * fs, o) + aux

    return rows_problem(run, (x, aux), (1, 1), "duplicate-up", t)


def sampler_step(p, dtype):
    if p["guided"]:
        raise Refused("guidance of all channels only")
    x, cond, uncond, last, m1, m2 = (uniform(p["S"], p["C"]) for _ in range(6))

    def run(x, cond, uncond, last, m1, m2):
        v = uncond + 5 * (cond - uncond)
        m = x - 0.85 * v
        corrected = 0.93 * last + 0.31 * m1 - 0.06 * m2 - 0.18 * m if p["corrector"] else x
        return m, corrected, 0.91 * corrected + 0.22 * m - 0.13 * m1 - 0.07 * v

    return rows_problem(run, (x, cond, uncond, last, m1, m2), (1,) * 6, "sampler-step", p["S"])


def ddpm_step(p, dtype):
    s, c = p["S"], p["C"]
    if p["guided"] or not p["uncond"] or not p["noise"]:
        raise Refused("with noise and guidance of all channels only")
    x, cond, uncond, noise = uniform(s, c), uniform(s, 2 * c), uniform(s, 2 * c), uniform(s, c)

    def run(x, cond, uncond, noise):
        v = uncond[:, :c] + 4 * (cond[:, :c] - uncond[:, :c])
        share = (cond[:, c:] + 1) / 2
        log_var = (1 - share) * -3.3 + share * -3.2
        return 1.02 * x - 0.043 * v + torch.exp(log_var / 2) * noise

    return rows_problem(run, (x, cond, uncond, noise), (1,) * 4, "ddpm-step", s)


def elementwise(p, dtype):
    s, c, g, kind = p["S"], p["C"], p["G"], p["kind"]
    out = DTYPE[p["out"]]
    a, b, shift = uniform(s, c, dtype=dtype), uniform(g, c), uniform(g, c)
    if g > 1:
        b, shift = (t.repeat_interleave(s // g, 0) for t in (b, shift))

    def run(a, b, shift):
        wide = a if a.dtype == torch.float64 else a.float()
        y = {"copy": lambda: wide.clone(), "add": lambda: wide + b,
             "silu": lambda: F.silu(wide), "affine": lambda: wide * b + shift}[kind]()
        return y if a.dtype == torch.float64 else y.to(out)

    return rows_problem(run, (a, b, shift), (1, g > 1, g > 1), "elementwise-" + kind, s)


PROBLEMS = {"attention": attention, "linear": linear, "conv3d": conv3d, "modulate": modulate,
            "qk_norm_rope": qk_norm_rope, "norm_silu": norm_silu, "upsample": upsample,
            "average_down": average_down, "duplicate_up": duplicate_up,
            "sampler_step": sampler_step, "ddpm_step": ddpm_step, "elementwise": elementwise}


def chunk_inputs(rows):
    """The convolutions of one decode chunk, each as often as it comes, norm and SiLU in front of
    those that have them: all of kernel 3x3x3 but the first. Each convolution is checked here."""
    layers, flops, checks = [], 0.0, []
    for times, line in rows:
        _, p = shape_parse(line)
        inputs, peers, check, cost = conv3d(p, DTYPE[p["type"]])
        checks.append(check(peers["conv3d-channels-last"](*inputs)))
        normed = p["kt"] == 3 and p["kh"] == 3 and p["C"] != 16
        gamma = (1 + uniform(p["C"], 1, 1, 1, scale=1 / 8)).to(DTYPE[p["type"]])
        layers.append((times, inputs, peers["conv3d-channels-last"], gamma if normed else None))
        flops += times * cost
    return layers, flops, (max(c[0] for c in checks), min(c[1] for c in checks))


def chunk_run(layers):
    def norm(x, gamma):
        return F.silu(F.normalize(x, dim=1, eps=1e-12) * (math.sqrt(x.shape[1]) * gamma))
    fused = compiled(norm)

    def run():
        for times, (x, w, bias, aux), conv, gamma in layers:
            for _ in range(times):
                y = conv(x if gamma is None else fused(x, gamma), w, bias, aux)
        return y
    return run


# ---- measuring -----------------------------------------------------------------------------------


def compiled(function):
    """torch.compile on first use; static shapes, as everything here has one."""
    made = []

    def run(*inputs):
        if not made:
            torch._dynamo.reset()
            made.append(torch.compile(function, dynamic=False))
        return made[0](*inputs)
    return run


def free_bytes():
    return torch.cuda.mem_get_info()[0] if DEVICE == "cuda" else 4 << 30


def seconds_of(run, count):
    if DEVICE == "cuda":
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(count):
            run()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3 / count
    begin = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - begin) / count


def interval(samples):
    """Median and a distribution-free interval of it: order statistics i and n-1-i, the narrowest
    with 95 %, else the extremes and what they cover."""
    s, n = sorted(samples), len(samples)
    tail, below = 0.0, 0
    for i in range(n // 2):
        tail += math.comb(n, i) / 2.0**n
        if 1 - 2 * tail < 0.95 and i > 0:
            break
        below, level = i, 1 - 2 * tail
    median = (s[(n - 1) // 2] + s[n // 2]) / 2
    return (median, s[below], s[n - 1 - below], level if n > 1 else 0.0)


def measure(run, budget):
    """Warm-up until two stretches in a row agree within 2 %, then samples until the interval is
    narrow or the time is up."""
    end = time.perf_counter() + budget
    once = seconds_of(run, 1)
    count = max(1, min(1000, int(SAMPLE_S / max(once, 1e-7)) + 1))
    before, warm = math.inf, 1
    while time.perf_counter() < end - budget / 2:
        now = seconds_of(run, count)
        warm += 1
        if abs(now - before) <= 0.02 * now:
            break
        before = now
    samples, why = [], "count"
    while len(samples) < MOST_SAMPLES:
        samples.append(seconds_of(run, count))
        if len(samples) >= 2 * LEAST_SAMPLES:
            median, lo, hi, _ = interval(samples)
            if (hi - lo) / 2 < 0.005 * median:
                why = "interval"
                break
        least = LEAST_SAMPLES if once < budget / 8 else 1
        if time.perf_counter() > end and len(samples) >= least:
            why = "budget"
            break
    return samples, count, warm, why


# ---- records -------------------------------------------------------------------------------------


def now(form="%Y-%m-%dT%H:%M:%SZ"):
    return datetime.datetime.now(datetime.timezone.utc).strftime(form)


def commit():
    try:
        return subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], capture_output=True,
                              text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unversioned"


class Records:
    """One file of JSON Lines beside the program's own; renamed when it is complete."""

    def __init__(self, folder):
        hosts = sorted(glob.glob(os.path.join(folder, "*", "host.json")), key=os.path.getmtime)
        host = {"machine": "unknown"}
        if hosts:
            with open(hosts[-1], encoding="utf-8") as file:
                host = json.load(file)
            host.pop("schema", None)
            host.pop("kind", None)
        self.run_id, self.cases = str(uuid.uuid4()), 0
        self.commit = commit()
        place = os.path.join(folder, host["machine"])
        os.makedirs(place, exist_ok=True)
        stem = self.path = os.path.join(place, f"{now('%Y%m%dT%H%M%SZ')}-{self.commit}")
        number = 1
        while os.path.exists(self.path + ".jsonl") or os.path.exists(self.path + ".jsonl.part"):
            number += 1
            self.path = f"{stem}-{number}"
        self.path += ".jsonl"
        self.file = open(self.path + ".part", "w", encoding="utf-8")
        self.write({"schema": SCHEMA, "kind": "run", "run_id": self.run_id, "created_utc": now(),
                    "tool": {"version": "peer 1", "commit": self.commit,
                             "compiler": f"Python {platform.python_version()}, {VERSION}",
                             "flags": "", "without": ""},
                    "command": " ".join(sys.argv), "machine": host["machine"], "host": host})

    def write(self, record):
        self.file.write(json.dumps(record, separators=(",", ":")) + "\n")
        self.file.flush()

    def case(self, members):
        self.cases += 1
        self.write({"schema": SCHEMA, "kind": "case", "run_id": self.run_id, "case": self.cases,
                    "created_utc": now(), **members})

    def close(self):
        os.fsync(self.file.fileno())
        self.file.close()
        os.rename(self.path + ".part", self.path)
        print(f"record: {self.path}")


def timing_of(samples, count, warm, why):
    ns = [s * 1e9 for s in samples]
    median, lo, hi, level = interval(ns)
    mean = sum(ns) / len(ns)
    spread = math.sqrt(sum((x - mean) ** 2 for x in ns) / max(1, len(ns) - 1))
    return {"n": len(ns), "unit": "ns", "median": median, "lo": lo, "hi": hi, "level": level,
            "min": min(ns), "max": max(ns), "mean": mean, "cv": spread / mean, "samples": ns,
            "stop_reason": why, "samples_n": len(ns), "processes_n": 1,
            "schedule": "sequential", "warmup_n": warm,
            "backend": "events" if DEVICE == "cuda" else "loop",
            "runs_per_sample": count, "order": []}


def status_of(timing, error, limit):
    if not error <= limit:
        return "wrong", f"relative L2 {error:.2g} against float64 is over {limit:g}"
    if timing["n"] < LEAST_SAMPLES:
        return "unstable", f"too few samples ({timing['n']}) for a 95% interval"
    if (timing["hi"] - timing["lo"]) / 2 > WIDE * timing["median"]:
        return "unstable", "the interval stayed wide"
    return "passed", None


def write_case(records, op, line, element, peer, outcome):
    """outcome: state, reason, and where it was timed samples, error, flops, bytes."""
    recipe = {"op": op, "shape": line, "type": element, "pattern": "random", "seed": SEED,
              "threads": len(os.sched_getaffinity(0)), "device": DEVICE_TEXT, "cache_state": "hot"}
    text = json.dumps(recipe, separators=(",", ":"))
    timing, flops, moved = outcome.get("timing"), outcome.get("flops", 0.0), outcome.get("bytes", 0)
    timed = outcome["status"] in ("passed", "unstable")
    rate = timing["median"] / 1e9 if timed else None
    records.case({
        "case_kind": "kernel", "status": outcome["status"], "status_reason": outcome["why"],
        "claim": "external", "ran_on": DEVICE if timing else None,
        "repro": f"python3 harness/scripts/peer_pytorch.py --device {DEVICE} " + (
            f"--shape '{line}' --peer {peer}" if ":" in line
            else "--shapes harness/scripts/gpu_shapes.txt"),
        "recipe": recipe, "recipe_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "impl": {"variant": peer, "target": "pytorch", "numerics": None, "knobs": {},
                 "requested": peer, "resolved": peer, "plugin_hash": None, "peer": VERSION},
        "correctness": None if "error" not in outcome else {
            "worst": None, "l2_rel": outcome["error"], "max_abs": None,
            "checked_ratio": outcome["checked"], "nonfinite": outcome["nonfinite"]},
        "timing": timing if timed else None,
        "work": {"flops_effective": flops, "flops_actual": None, "bytes": float(moved)},
        "derived": None if not timed else {
            "flops_per_s_effective": flops / rate if flops else None, "flops_per_s_actual": None,
            "bytes_per_s": moved / rate, "peak_fraction": None, "fma_peak_flops_per_s": None,
            "fma_peak_isa": None, "baseline": None, "ratio": None, "ratio_lo": None,
            "ratio_hi": None},
        "memory": {"planned_bytes": {"value": None, "why": "PyTorch plans for itself"},
                   "host_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024},
        "counters": {}})


def report(peer, outcome):
    timing, flops = outcome.get("timing"), outcome.get("flops", 0.0)
    if not timing:
        print(f"  {peer:22} {outcome['status']:11} {outcome['why']}")
        return
    seconds = timing["median"] / 1e9
    rate = f"{flops / seconds / 1e9:10.0f} GFLOP/s" if flops else \
        f"{outcome['bytes'] / seconds / 1e9:10.0f} GB/s"
    print(f"  {peer:22} {outcome['status']:11} {seconds * 1e3:10.4f} ms {rate}  relative L2 "
          f"{outcome['error']:.1e}{'  ' + outcome['why'] if outcome['why'] else ''}")


def tensor_bytes(values):
    return sum(t.numel() * t.element_size() for t in values if torch.is_tensor(t))


def first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def try_peer(run, inputs, check, limit, budget):
    """One peer at one problem, whatever it throws."""
    try:
        with torch.no_grad():
            result = run(*inputs)
            error, checked = check(result)
            results = result if isinstance(result, tuple) else (result,)
            bad = sum(int((~torch.isfinite(t)).sum()) for t in results)
            moved = tensor_bytes(inputs) + tensor_bytes(results)
            del result, results
            timing = timing_of(*measure(lambda: run(*inputs), budget))
    except Refused as refused:
        return {"status": "refused", "why": str(refused)}
    except OUT_OF_MEMORY as error:
        return {"status": "out_of_memory", "why": first_line(error)}
    except Exception as error:  # a backend that is not there says so in many ways
        missing = isinstance(error, RuntimeError) or "Backend" in type(error).__name__
        return {"status": "unavailable" if missing else "crashed", "why": first_line(error)}
    state, why = status_of(timing, error, limit)
    return {"status": state, "why": why, "timing": timing, "error": error, "checked": checked,
            "nonfinite": bad, "bytes": moved}


# ---- the loop ------------------------------------------------------------------------------------

LIMITS = {"f32": 1e-5, "bf16": 2e-2, "f16": 4e-3}


def run_line(records, line, budget, only):
    print(line, flush=True)
    op = line.split(":")[0]
    try:
        op, p = shape_parse(line)
        torch.manual_seed(SEED)
        inputs, peers, check, flops = PROBLEMS[op](p, DTYPE[p["type"]])
    except Exception as error:  # an older PyTorch lacks a name, memory is short, ...
        state = ("refused" if isinstance(error, Refused) else
                 "out_of_memory" if isinstance(error, OUT_OF_MEMORY) else "unavailable")
        outcome = {"status": state, "why": first_line(error)}
        report("pytorch", outcome)
        element = line.rpartition("type=")[2] or "f32"
        write_case(records, op, line, element, "pytorch", outcome)
        return False
    wrong = False
    for peer, run in peers.items():
        if only and peer != only:
            continue
        limit = max(LIMITS[p["type"]], LIMITS[p["out"]])
        outcome = try_peer(run, inputs, check, limit, budget / len(peers))
        outcome["flops"] = flops
        wrong |= outcome["status"] == "wrong"
        report(peer, outcome)
        write_case(records, op, line, p["type"], peer, outcome)
        sys.stdout.flush()
    return wrong


def run_chunk(records, model, rows, budget):
    print(f"decode chunk of {model}: its convolutions with norm and SiLU", flush=True)
    element = rows[0][1].rpartition("type=")[2]
    try:
        with torch.no_grad():
            layers, flops, checked = chunk_inputs(rows)
        run = chunk_run(layers)
    except Exception as error:  # of the whole chunk, whatever it is
        state = "out_of_memory" if isinstance(error, OUT_OF_MEMORY) else "unavailable"
        outcome = {"status": state, "why": first_line(error)}
    else:
        outcome = try_peer(run, (), lambda y: checked, LIMITS[element], budget)
        outcome.update(flops=flops, bytes=sum(times * tensor_bytes(i) for times, i, _, _ in layers))
    report("conv3d-chunk", outcome)
    write_case(records, "conv3d", f"decode chunk of {model}", element, "conv3d-chunk", outcome)
    return outcome["status"] == "wrong"


def read_shapes(path):
    """Rows of (part, model, seconds, times, shape)."""
    with open(path, encoding="utf-8") as file:
        words = [line.split() for line in file if line.strip() and not line.startswith("#")]
    return [(w[0], w[1], float(w[2]), int(w[3]), w[4]) for w in words if w[0] in PARTS]


def order(rows):
    """The first of every part, then the second of every part, ...: what matters most comes first
    when the time is short. The part `decode` waits for the end: its lines make up a chunk."""
    parts = {name: [r for r in rows if r[0] == name] for name in PARTS if name != "decode"}
    longest = max(len(p) for p in parts.values())
    return [p[i] for i in range(longest) for p in parts.values() if i < len(p)]


def run_file(records, options):
    rows = read_shapes(options.shapes)
    end = time.perf_counter() + options.budget
    wrong = False
    reserve = 0.15 * options.budget
    for _, _, seconds, _, line in order(rows):
        if time.perf_counter() > end - reserve:
            print(f"{line}\n  no time was left")
            write_case(records, line.split(":")[0], line, line.rpartition("type=")[2] or "f32",
                       "pytorch", {"status": "unavailable", "why": "no time was left for it"})
            continue
        wrong |= run_line(records, line, min(seconds, 4.0), options.peer)
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
    for model in dict.fromkeys(r[1] for r in rows if r[0] == "decode"):
        chunk = [(r[3], r[4]) for r in rows
                 if r[1] == model and r[0] in ("conv3d", "decode") and r[4].endswith("bf16")]
        if time.perf_counter() < end:
            wrong |= run_chunk(records, model, chunk, min(5.0, reserve))
    return wrong


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--shapes", help="file of shape lines, as harness/scripts/gpu_shapes.txt")
    parser.add_argument("--shape", action="append", default=[], help="one shape line")
    parser.add_argument("--peer", help="this one alone, as sdpa-flash")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--results", default="results", help="folder of records")
    parser.add_argument("--budget", type=float, default=60, help="seconds for all of --shapes")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main():
    global DEVICE, DEVICE_TEXT, SEED, VERSION, DTYPE, OUT_OF_MEMORY, torch, F
    options = parse()
    # a pool of compilers takes longer to start than these few kernels to compile
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    try:
        import torch
        import torch.nn.functional as F
    except ImportError as error:
        print(f"peer: PyTorch cannot be used: {error}", file=sys.stderr)
        return 3
    DEVICE, SEED = options.device, options.seed
    DEVICE_TEXT = "cuda:0" if DEVICE == "cuda" else "cpu"
    if DEVICE == "cuda" and not torch.cuda.is_available():
        print("peer: this PyTorch sees no CUDA device", file=sys.stderr)
        return 3
    OUT_OF_MEMORY = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)
    DTYPE = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    VERSION = f"PyTorch {torch.__version__}"
    if DEVICE == "cuda":
        VERSION += f", CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    print(VERSION)
    records = Records(options.results)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what there is, is kept
    wrong = False
    try:
        for line in options.shape:
            wrong |= run_line(records, line, 4.0, options.peer)
        if options.shapes:
            wrong |= run_file(records, options)
    finally:
        records.close()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
