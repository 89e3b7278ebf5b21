// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* engine_progress.c   A bar on stderr, only where stderr is a terminal; work is counted in
 * flops. */
#include "engine/case.h"
#include "engine/engine_state.h"

#include <string.h>
#include <unistd.h>

void progress_show(struct engine *e, bool last)
{
    enum { WIDTH = 30 };
    static const char bar[] = "##############################";
    static const char dots[] = "..............................";
    int64_t now = clock_ns();
    bool told = e->config.progress != NULL;
    int64_t pause_ns = told ? 500000000 : 100000000;
    if ((e->config.quiet && !told) || e->flops_total <= 0 ||
        (!last && now - e->shown_ns < pause_ns))
        return;
    e->shown_ns = now;
    if (told) {
        e->config.progress(e->config.user, last ? 1 : e->flops_done / e->flops_total);
        return;
    }
    if (last) {
        fprintf(stderr, "\r%79s\r", "");
        return;
    }
    double done = e->flops_done / e->flops_total;
    double spent_s = (double)(now - e->started_ns) * 1e-9;
    int filled = (int)(done * WIDTH);
    char where[32] = "";
    if (e->step)
        snprintf(where, sizeof where, "step %d/%d", e->step, e->step_count);
    fprintf(stderr, "\r%-11s [%.*s%.*s] %3.0f%%  %-11s about %.0f s left   ",
            e->current == OUTSIDE ? "" : stage_names[e->current], filled, bar, WIDTH - filled, dots,
            100 * done, where, done > 0 ? spent_s * (1 - done) / done : 0.0);
    fflush(stderr);
}
