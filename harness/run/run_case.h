// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_case.h   One pipeline case in a worker of its own, and what came of it. */
#ifndef PATCHMARK_RUN_CASE_H
#define PATCHMARK_RUN_CASE_H

#include "counters/counted.h"
#include "energy/energy.h"
#include "engine/case.h"
#include "machine/topology.h"
#include "records/sidecar.h"
#include "run/sample.h"
#include "timing/guard.h"
#include "timing/stopping.h"

#define SAMPLES_MAX 1000

struct worker;

/* The worst over all distinct problems of the plan, before the clock ran. */
struct checked {
    bool given;
    double worst, l2, max_abs, ratio;
    int64_t problems;
    uint64_t seed;
};

struct outcome {
    enum status status;
    bool unstable, mistrusted, throttled;
    double took_s; /* of this clip and what is beside it, by the worker's clock */
    double clock;  /* how much longer by ours, the least of any clip; up to 1 is room for noise */
    char reason[1024];
    struct pipeline_case c;
    char recipe[8192], work[1024], sha256[65], plugins[512], isa[16];
    struct tuned_use tuned; /* file NULL */
    struct checked check;
    struct pinning pinning;
    int visible;          /* the worker sees this entry of CUDA_VISIBLE_DEVICES alone; -1: all */
    int openmp, openblas; /* threads */
    char pinned[1024], others[256]; /* processors, as set: OpenMP's threads, other threads */
    double planned, resident, fma_peak, first_ns, elapsed_ns; /* elapsed: of the whole case */
    int64_t host_step_ns, graph_nodes;                        /* CUDA devices */
    struct json gpu;    /* an object: the device while clips were timed */
    struct json energy; /* likewise: joules; and a line of them for people */
    char energy_line[512];
    double total[SAMPLES_MAX], load[STAGE_COUNT][SAMPLES_MAX];
    double stage[STAGE_COUNT][SAMPLES_MAX]; /* encode and denoise: both of their stages */
    double *step;                           /* SAMPLES_MAX samples of each step */
    int64_t samples;
    int64_t passes; /* timed ones, those that are no samples too, and the time of them all */
    double passes_ns;
    int64_t clip;                         /* what the one at hand is made of, see outcome_clip */
    int64_t last_clip;                    /* the last that was new */
    uint64_t frames_hash;                 /* of the first clip */
    uint64_t clip_hash;                   /* of the last one */
    bool asked, frames_differ, rechecked; /* differ: of the same clip */
    struct stopping stopping;
    enum stop stop;
    struct guard_look look; /* of the clip at hand */
    struct guard_count guard;
    int64_t outliers;
    struct raw raw; /* every clip or pass as it was taken */
    struct sidecar_place place;
    struct summary summary;
    bool sampling; /* nothing runs whole: `sampled` has the figures, total and stage have none */
    struct sampled sampled;
    struct counted counter[COUNTERS_MAX]; /* of the last clip that each was counted in */
    int counters;
    struct audit *audit;           /* of the scenario repeat-audit (run_scenario.h), or NULL */
    struct sustained *sustained;   /* of a long run (run_sustain.h), or NULL */
    struct external *external;     /* of another stack (external.h), or NULL */
    const char *dump;              /* the worker's folder for stages of its first clip, or NULL */
    double within_s;               /* and it runs where that can be had in so long */
    struct throughput *throughput; /* of replicas (run_replicas.h); NULL: one worker alone */
    char repro[4096];
    void (*progress)(const struct outcome *o, double share); /* or NULL */
};

/* How long and how often a case is timed. */
struct run_limits {
    double budget_s;   /* timing ends here, but not before least_samples */
    double deadline_s; /* a worker silent for so long is killed */
    int64_t least_samples;
    const char *counters;  /* PAPI events, comma-separated, or NULL */
    struct energy *energy; /* sensors, or NULL */
    const char *pin;       /* "cores", "none"; NULL: none */
    double engine_check_s; /* what our own clip may take that an engine's is held against */
    double sustain_s;      /* a number over 0: cases run for so long (run_sustain.h) */
    /* times the clips, in place of the rule above; or NULL */
    enum status (*clips)(struct worker *w, const struct run_limits *limits, struct outcome *o,
                         struct fault *fault);
};

/* Resolves the case and makes room; the case is not run yet. */
enum status outcome_new(const struct case_spec *spec, struct outcome **out, struct fault *fault);
void outcome_free(struct outcome *o);

/* Verified, run once, then timed until the interval of the median is narrow or the budget is spent.
 * Whatever happens is in the outcome. */
void run_case(struct outcome *o, const struct run_limits *limits);

/* Verified, run once, then timed `clips` times; after each clip `between` is called while the worker
 * sleeps, and what it returns, where it is not ST_OK, is the outcome's status. */
void run_case_between(struct outcome *o, const struct run_limits *limits, int clips,
                      enum status (*between)(void *user, int clip), void *user);

/* For those who drive workers themselves. The worker's lines are taken in until `until`; one clip,
 * kept whatever befell it: 0 is made of what the first one was, any other number of noise of its own
 * (in a scenario, of a prompt of its own); unstable and mistrusted from the samples; no more
 * clips, and all is checked once more; what became of it, and the worker's end. */
enum status outcome_wait(struct outcome *o, struct worker *w, const struct run_limits *limits,
                         const char *until, struct fault *fault);
enum status outcome_clip(struct outcome *o, struct worker *w, const struct run_limits *limits,
                         int64_t clip, struct fault *fault);
/* A new one each time, but the last of those that a figure needs is the first again: so it shows that
 * equal noise makes equal frames, and what was kept of earlier clips is of no use to the others. */
int64_t outcome_next_clip(struct outcome *o, const struct run_limits *limits);
void outcome_judge(struct outcome *o);
/* The raw sample of what was just timed, with RAW_* flags. */
enum status outcome_keep(struct outcome *o, double seconds, uint8_t flags, struct fault *fault);
/* run_passes.c: of a sampled case, once its worker is ready; started_s: when it was started. */
enum status outcome_passes(struct outcome *o, struct worker *w, const struct run_limits *limits,
                           double started_s, struct fault *fault);
enum status outcome_end(struct outcome *o, struct worker *w, const struct run_limits *limits,
                        struct fault *fault);
void outcome_finish(struct outcome *o, struct worker *w, enum status status,
                    const struct fault *fault);

/* A number of the worker's "work" line; NAN where it said none. */
double outcome_work(const struct outcome *o, const char *key);
double outcome_stage_ns(const struct outcome *o, enum stage stage); /* median */
bool outcome_timed(const struct outcome *o);                        /* passed or unstable */
void outcome_progress(const struct outcome *o, double share);
const char *outcome_state(const struct outcome *o); /* the state of its record */

/* run_words.c: starts the worker; the command line that repeats the case, into o->repro */
enum status outcome_spawn(const struct outcome *o, const struct run_limits *limits,
                          struct worker **out, struct fault *fault);
void outcome_repro(struct outcome *o, const struct run_limits *limits);
/* A text that two cases share where they are the same; owned by the caller, NULL: no memory. */
char *outcome_key(const struct outcome *o);

/* run_energy.c: idle power, before the worker starts; the figures of a window; their member */
void outcome_idle(const struct outcome *o, const struct run_limits *limits);
void outcome_energy(struct outcome *o, const struct run_limits *limits,
                    const struct energy_window *window, const struct energy_board *board);
void outcome_energy_json(const struct outcome *o, struct json *j);

/* run_report.c */
const char *outcome_plan(const struct outcome *o); /* --kernels as asked for, "auto" */
void outcome_name(const struct outcome *o, char *out, size_t bytes); /* "tiny 128x72 f17 s4 t2" */
void outcome_json(const struct outcome *o, struct json *j);          /* members of a case record */
const char *rate_text(double rate, char out[24]);                    /* of any size; returns out */
void outcome_heading(FILE *out);
void outcome_row(const struct outcome *o, FILE *out);

#endif
