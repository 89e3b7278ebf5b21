// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* plot.h   Pipeline cases read back from result files, and the data files that plots/NAME.gp draws.
 * Everything in a case is safe in a data file: letters, digits and " ._+-=:,@()" only. */
#ifndef PATCHMARK_PLOT_H
#define PATCHMARK_PLOT_H

#include "op.h"

/* What makes two cases the same measurement. Sorted in this order, so the axes come last. */
#define PLOT_FIELDS(X)                                                                             \
    X(CLAIM, "claim", "%s")                                                                        \
    X(RAN_ON, "ran_on", "on %s")                                                                   \
    X(MODEL, "recipe.model", "%s")                                                                 \
    X(GEOMETRY, "recipe.geometry_sha256", "geometry %.8s")                                         \
    X(WEIGHTS, "recipe.weights.kind", "%s weights")                                                \
    X(FILL, "recipe.weights.fill", "%s fill")                                                      \
    X(CHECKPOINT, "recipe.weights.sha256", "checkpoint %.8s")                                      \
    X(TYPE, "recipe.type", "%s")                                                                   \
    X(STEPS, "recipe.steps", "%s steps")                                                           \
    X(SCHEDULER, "recipe.scheduler", "%s")                                                         \
    X(SIGMAS, "recipe.sigma_grid", "sigmas %s")                                                    \
    X(SHIFT, "recipe.shift", "shift %s")                                                           \
    X(GUIDANCE, "recipe.guidance", "guidance %s")                                                  \
    X(GUIDANCE_LOW, "recipe.guidance_low", "second guidance %s")                                   \
    X(FORWARDS, "recipe.forwards", "%s forwards")                                                  \
    X(TEXT_ROWS, "recipe.text_rows", "%s text rows")                                               \
    X(PARALLEL, "recipe.parallel", "%s")                                                           \
    X(RESIDENCY, "recipe.residency", "residency %s")                                               \
    X(CACHE, "recipe.cache_state", "cache %s")                                                     \
    X(DEVICE, "recipe.device", "%s")                                                               \
    X(LAUNCH, "recipe.launch", "launch %s")                                                        \
    X(MACHINE, "run.machine", "%s")                                                                \
    X(CLASS, "recipe.plan_class", "%s")                                                            \
    X(PLAN, "recipe.plan", "%s")                                                                   \
    X(FPS, "recipe.fps", "%s fps")                                                                 \
    X(THREADS, "recipe.threads", "threads %s")                                                     \
    X(SIZE, NULL, "%s")                                                                            \
    X(FRAMES, "recipe.frames", "%s frames")

#define PLOT_ENUM(name, path, label) PLOT_##name,
enum plot_field { PLOT_FIELDS(PLOT_ENUM) PLOT_FIELD_COUNT };
#undef PLOT_ENUM
#define PLOT_BIT(name) (UINT32_C(1) << PLOT_##name)

enum { PLOT_STAGES = 3 };

struct plot_case {
    char *field[PLOT_FIELD_COUNT]; /* "" where the record does not say */
    char status[24], created[32];
    char requested[40]; /* what was asked of --kernels, "" where not recorded */
    int64_t width, height, frames, threads;
    double clip_s;               /* frames / fps */
    bool timed;                  /* the status allows a time and there is one */
    double time_s, lo_s, hi_s;   /* median and its interval; NaN where not given */
    double stage_s[PLOT_STAGES]; /* conditions, denoise, decode */
    bool taken;                  /* the figure at hand uses it, ... */
    int series;                  /* ... as a point of this series; -1: of none */
};

/* What the roofline figure is of: a roof (case kind `ceiling`) or a kernel under it. */
enum plot_point_kind { PLOT_PEAK, PLOT_MEMORY, PLOT_KERNEL };
struct plot_point {
    enum plot_point_kind kind;
    char machine[96], device[16], created[32], run[40], claim[16], status[24];
    char group[48];  /* "bf16", "L2", op */
    char member[48]; /* unit, kind of walk, variant */
    char shape[200]; /* with the cache state it was timed in */
    int64_t threads;
    double rate;      /* flops or bytes per second: of a roof the best, of a kernel the median */
    double intensity; /* of a kernel, flops per byte of its operands once; NaN: it counts none */
};

struct plot_set {
    struct plot_point *points; /* in the order read */
    int64_t point_count, point_room;
    struct plot_case *cases; /* sorted; of the same case measured twice the newer stays */
    int64_t count, room;
    int64_t files, older; /* files read; cases left out for a newer one */
    int64_t unknown;      /* cases that ended before their recipe was known */
    int64_t latents;      /* denoise-only cases, left out of all figures */
    int64_t grouped;      /* likewise cases of batches, replicas and scenarios */
};

/* Reads .jsonl files and folders of them; a corrupt line is refused, named with file and line. */
enum status plot_read(const char *const *paths, int count, struct plot_set *set,
                      struct fault *fault);
void plot_free(struct plot_set *set);

struct plot_note {
    int series;
    char missing[240];  /* set: nothing is written, these records would be needed */
    char left_out[320]; /* what the figure does not show, "" for nothing */
};
struct plot_figure {
    const char *name; /* plots/NAME.gp draws OUT/NAME.tsv */
    const char *question;
    void (*write)(struct plot_set *set, FILE *out, struct plot_note *note);
};
extern const struct plot_figure plot_figures[]; /* ends with a NULL name */

#endif
