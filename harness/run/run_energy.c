// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_energy.c   Joules of a pipeline case: its window is that of all timed clips and of what lies
 * between them, as reading weights; the record says what share of it was clip time. */
#include "machine/gpu.h"
#include "run/run_case.h"
#include "run/run_replicas.h"

#include <math.h>

void outcome_idle(const struct outcome *o, const struct run_limits *limits)
{
    struct gpu_info info;
    struct nvml *nvml = NULL;
    struct fault unused = {{0}};
    bool device = o->c.config.device != DEVICE_CPU;
    int index = device ? o->c.config.device_index : -1;
    if (!limits->energy || o->sampling || o->c.absent != ST_OK)
        return;
    if (device && gpu_describe(index, &info, &unused) == ST_OK)
        nvml_open(info.uuid, &nvml, &unused);
    energy_idle(limits->energy, index, nvml);
    nvml_close(nvml);
}

void outcome_energy(struct outcome *o, const struct run_limits *limits,
                    const struct energy_window *window, const struct energy_board *board)
{
    struct energy_report report;
    const struct throughput *all = o->throughput;
    const double batch = (double)o->c.request.batch, window_s = window->end_s - window->begin_s;
    const bool by_time = all || limits->clips; /* the budget says how long, not the clips */
    const struct energy_per per = {
        .what = "clip",
        .count = all ? all->clips : batch * (double)o->passes,
        .frames =
            model_ends_as_latents(o->c.request.model) ? 0 : (double)o->c.request.geometry.frames,
        .seconds = o->summary.median * 1e-9 / batch,
        .busy_s = all ? all->window_s : o->passes_ns * 1e-9,
        .flag = o->sustained ? "--sustain"
                : by_time    ? "--budget"
                             : "--repetitions",
        .flag_scale = by_time ? 1 : window_s / (double)o->passes,
    };
    energy_report(limits->energy, window, board, &per, &report);
    energy_json(&report, &o->energy, NULL);
    energy_line(limits->energy, &report, o->energy_line, sizeof o->energy_line);
}

void outcome_energy_json(const struct outcome *o, struct json *j)
{
    if (outcome_timed(o) && o->energy.used)
        json_raw(j, "energy", o->energy.text);
    else
        json_unavailable(j, "energy",
                         o->sampling        ? "no clip ran whole"
                         : o->throughput    ? "the boards of several devices are not added up"
                         : outcome_timed(o) ? "other work took turns with the clips"
                                            : "nothing was timed");
}
