#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""Runs harness/engines/diffusers_wan.py by Patchmark: a small random checkpoint at two sizes beside our
own rows, and a preset whose weights the engine draws itself.

    python tests/golden/run_diffusers_engine.py

Exit code 0: every clip of the checkpoint agrees with ours, the preset's is not compared, and our clock
and the engine's agree; 1: not. Versions: README.md beside this file."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

from compare_with_diffusers import MODELS, write_checkpoint

ENGINE = pathlib.Path(__file__).parents[2] / "harness" / "engines" / "diffusers_wan.py"
TIMED = ("passed", "unstable")
OWN = "its own random weights"


def run(program, *words):
    words = [program, "run", "--engine", f"default;'{sys.executable}' '{ENGINE}'",
             "--frames", "9", "--steps", "4", "--results", "none", "--format", "json", *words]
    done = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)["cases"] if done.stdout else []


def good(case):
    correct, folder = case["correctness"], case["recipe"]["weights"]["kind"] == "checkpoint"
    return case["status"] in TIMED and (
        correct.get("agrees") is True and correct["rechecked"] if folder else
        correct.get("why") == OWN)


def tell(case):
    r, c = case["recipe"], case["correctness"] or {}
    seconds = case["timing"]["median"] * 1e-9 if case["timing"] else float("nan")
    apart = (f"latents {c['l2_rel']:.2e}, frames {c['psnr_db']:.1f} dB, clocks "
             f"{case['external']['wall_over_engine']:.4f}" if "agrees" in c else c.get("why", ""))
    print(f"  {r['model']:<6} {r['width']}x{r['height']:<5} {case['claim']:<9} "
          f"{case['status']:<9} {seconds:8.3f} s  {apart if case['claim'] == 'external' else ''}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--program", default="build/patchmark")
    parser.add_argument("--budget", default="6")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "random-wan"
        folder.mkdir()
        write_checkpoint(MODELS["wan2.1"], folder)
        cases = run(options.program, "--model", folder, "--size", "80x48,128x96",
                    "--budget", options.budget)
        cases += run(options.program, "--model", "tiny", "--size", "80x48", "--budget",
                     options.budget)
    for case in cases:
        tell(case)
    theirs = [c for c in cases if c["claim"] == "external"]
    fine = len(cases) == 6 and len(theirs) == 3 and all(good(c) for c in theirs)
    print("all as they should be" if fine else "NOT as they should be")
    sys.exit(not fine)


if __name__ == "__main__":
    main()
