# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""The lines between Patchmark and an engine written in Python; harness/external/external.h says
what they are. Needs nothing but Python. An engine makes a class with

    name, version, libraries, device, weights, text   as `ready` tells them, after
    __init__(case, inputs)                            which loads weights; may raise GiveUp
    clip(progress)                                    one clip: a dict with total_ns, denoise_ns, step_ns,
                                                      frames_hash, ..., and under "arrays" what to dump
    dump(arrays, outputs)                             writes them

and calls serve(CLASS)."""
import json
import os
import resource
import sys
import time
import traceback


class GiveUp(Exception):
    """status: refused, unavailable, out_of_memory or crashed"""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


def take_stdout():
    """Standard output for the protocol alone: whatever a library prints goes to stderr."""
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return lines


def serve(engine_class):
    lines = take_stdout()

    def say(event, **members):
        print(json.dumps({"event": event, **members}), file=lines, flush=True)

    try:
        talk(engine_class, say)
    except GiveUp as e:
        say("fail", status=e.status, reason=str(e))
    except MemoryError:
        say("fail", status="out_of_memory", reason="the engine is out of memory")
    except Exception as e:  # whatever a stack raises is told in one line, and in full on stderr
        traceback.print_exc()
        memory = "OutOfMemory" in type(e).__name__
        say("fail", status="out_of_memory" if memory else "crashed",
            reason=f"{type(e).__name__}: {e}".splitlines()[0][:300])


def talk(engine_class, say):
    first = json.loads(sys.stdin.readline())
    if first.get("patchmark_engine") != 1:
        raise GiveUp("refused", "this engine speaks version 1 of the protocol")
    start = time.perf_counter_ns()
    engine = engine_class(first["case"], first["inputs"])
    say("ready", protocol=1, name=engine.name, version=engine.version,
        libraries=engine.libraries, device=engine.device, weights=engine.weights,
        text=engine.text, load_ns=time.perf_counter_ns() - start)
    for line in sys.stdin:
        order = json.loads(line)
        if order["event"] != "go":
            return
        clip = engine.clip(lambda share: say("progress", share=share))
        arrays = clip.pop("arrays")
        if order["dump"] and first["outputs"]["latents"]:
            engine.dump(arrays, first["outputs"])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        say("clip", clip=order["clip"], peak_bytes=peak, **clip)
