// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* kernels_energy.c   Joules of one run of a variant. Blocks that take turns are far too short for
 * any sensor, so each variant runs alone for a while after all are timed, the others asleep. */
#include "contest/kernels.h"
#include "machine/device.h"

static int device_or_none(void) { return device_kind() == DEVICE_CUDA ? device_index() : -1; }

void kernels_idle(const struct contest *c)
{
    if (c->options->soak_s > 0)
        energy_idle(c->options->energy, device_or_none(), c->nvml);
}

void arm_energy(const struct contest *c, struct arm *a)
{
    struct energy_window window;
    struct nvml_window seen = {.count = 0};
    struct energy_report report;
    int64_t runs = 0;
    double busy_s = 0;
    nvml_window_open(c->nvml, &seen);
    energy_window_open(c->options->energy, &window);
    bool ran = arm_soak(c, a, c->options->soak_s, &runs, &busy_s);
    energy_window_close(c->options->energy, &window);
    nvml_window_close(c->nvml, &seen);
    const struct energy_board board = {c->nvml, &seen, c->roof->device_name, c->unwatched.text,
                                       device_or_none()};
    const struct energy_per per = {.what = "run",
                                   .count = (double)runs,
                                   .seconds = a->summary.median,
                                   .busy_s = busy_s,
                                   .flag = "--energy",
                                   .flag_scale = 1};
    if (ran) {
        energy_report(c->options->energy, &window, c->roof->device ? &board : NULL, &per, &report);
        json_init(&a->energy, false);
        energy_json(&report, &a->energy, NULL);
        energy_line(c->options->energy, &report, a->energy_line, sizeof a->energy_line);
    }
    nvml_window_free(&seen);
}

void kernels_energy_json(const struct contest *c, const struct arm *a, struct json *j)
{
    if (arm_timed(a) && a->energy.used)
        json_raw(j, "energy", a->energy.text);
    else
        json_unavailable(j, "energy",
                         c->options->soak_s > 0 ? "nothing was timed"
                                                : "not asked for; --energy SECONDS measures it");
}
