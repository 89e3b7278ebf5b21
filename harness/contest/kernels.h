// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* kernels.h   What the parts of `kernels` share: the command (cmd_kernels.c), the contest of
 * variants (kernels_contest.c), one variant seen from there (kernels_arm.c) and its worker
 * (kernels_worker.c), what the machine cannot do (kernels_roof.c), tables (kernels_print.c) and
 * records (kernels_record.c). */
#ifndef PATCHMARK_KERNELS_H
#define PATCHMARK_KERNELS_H

#include "base/json.h"
#include "contest/arm_spec.h"
#include "contest/kernels_cache.h"
#include "contest/kernels_watch.h"
#include "counters/counted.h"
#include "energy/energy.h"
#include "machine/gpu.h"
#include "machine/nvml.h"
#include "machine/topology.h"
#include "ops/op_info.h"
#include "records/sidecar.h"
#include "timing/guard.h"
#include "timing/measure.h"
#include "timing/stopping.h"
#include "variant/registry.h"

#define KERNELS_BLOCK_MAX 10             /* samples of one visit */
#define KERNELS_BLOCK_SECONDS 0.04       /* what a visit's samples should take together */
#define KERNELS_BLOCK_DEVICE_SECONDS 1.2 /* on a device: fresh large data takes as long */
#define KERNELS_BLOCK_WARM_SECONDS 0.03  /* idle OpenBLAS threads spin for 2^26 cycles */
#define KERNELS_SAMPLE_SECONDS 0.002     /* far above the clock's resolution and a wake-up */

/* Runs timed together as one sample, where one run takes `seconds`. */
static inline int64_t kernels_runs_per_sample(double seconds)
{
    double runs = seconds > 0 ? KERNELS_SAMPLE_SECONDS / seconds : 1e6;
    return runs <= 1 ? 1 : runs >= 1e6 ? 1000000 : (int64_t)runs + 1;
}

#define KERNELS_MOST_BLOCKS 4096 /* of one variant */
#define KERNELS_LAUNCHES_MAX 8   /* of one run, told apart */

enum status backend_find(const char *name, enum backend *out, struct fault *fault);

struct kernels_options {
    const char *glob, *without, *shape, *backend_text, *counters, *results;
    const char *cache;            /* NULL: the op's own */
    int64_t cache_bytes;          /* of the last-level cache; 0: what the machine says */
    const char *pin;              /* "cores", "none" */
    const char *profile;          /* the variant to run under a profiler, in the glob's place */
    int64_t threads, repetitions; /* blocks; 0: until the interval is narrow */
    double budget;
    uint64_t seed;
    enum backend backend;
    bool json;
    double soak_s; /* each variant runs so long alone, for its energy; 0: not */
    struct energy_request energy_request;
    struct energy *energy; /* sensors, where soak_s */
    int64_t block_least;   /* samples of one visit, where each is short; 0: one */
};

struct worker;

/* One variant at one shape. */
struct arm {
    const struct registry_entry *entry;
    struct registry_entry foreign; /* what entry points at where only another build knows it */
    struct arm_spec spec;          /* threads filled in */
    char title[224];               /* as tables call it: the variant and what of it was asked for */
    char program_sha256[65];       /* of the other build, "" of this program */
    char program_commit[64];
    struct worker *worker; /* NULL once it has ended */
    struct watch watch;    /* what we saw of it ourselves */
    char touched[128];     /* where it faulted on a guarded page; "": nowhere */
    int processes;         /* that took the samples */
    const char *state;     /* of the record: "passed", "refused", ... */
    char reason[1024];
    bool checked;
    double worst, l2, max_abs, checked_ratio;
    const char *store;     /* rotation_new_in's; NULL: none */
    double sample_seconds; /* for rows of the reference in one check; 0: as check.h has it */
    int64_t nonfinite;
    enum numerics numerics;
    char knobs[256];                              /* "rows=96,keys=128" or "-" */
    double flops, bytes;                          /* really done */
    size_t planned_bytes, peak_bytes, turn_bytes; /* turn: of one copy of what rotates */
    int copies;                                   /* that take turns; 1: hot */
    enum cache_state cache;                       /* of its worker */
    size_t cache_bytes;                           /* over twice which they are, together */
    double run_seconds;
    int64_t runs, warm_samples;
    double warm_seconds;
    struct pinning pin;
    int openmp, openblas;           /* threads */
    char pinned[1024], others[256]; /* processors, as set: OpenMP's threads, other threads */
    double *samples;                /* one of each block, its median, seconds per run */
    int64_t n;                      /* blocks */
    struct sidecar_place place;     /* of all samples, once they are kept */
    struct guard_count guard;
    int64_t outliers;
    struct raw raw;         /* every sample of every block */
    struct summary summary; /* over blocks */
    struct stopping stopping;
    const char *stop_reason;
    int *order; /* place among the arms in each round */
    int rounds;
    double ratio[3]; /* baseline / own median, and interval; NaN: not compared */
    struct counted counter[COUNTERS_MAX]; /* per run */
    int counters;
    struct nvml_window window;                      /* what the device did during its blocks */
    struct gpu_launch launch[KERNELS_LAUNCHES_MAX]; /* on a CUDA device, as far as there is room */
    int launches;                                   /* of one run; -1: launches_why */
    char launches_why[256], algorithm[512]; /* algorithm: a library's, "" where it has none */
    int blocks_apart; /* where the two clocks differ by over 5 %; the last one in words */
    char apart[160];
    double event_seconds, wall_seconds; /* of all blocks, by the device's clock and by ours */
    struct json energy;                 /* an object, or unused */
    char energy_line[512];
};

/* What was measured of this machine at the threads asked for; the best of what this run saw. Of a
 * CUDA device: what its units and its bus could reach at their highest clocks. */
struct roof {
    double flops; /* multiply-adds, 2 each, per second, by the set `isa` */
    const char *isa;
    double copy_bytes;  /* read and written per second; 0: not measured */
    double cache_bytes; /* of all last-level caches together; 0: unknown */
    bool device;
    char device_name[128];
    double class_flops[NUM_COUNT]; /* by numerics class, 0 unknown; f32's on the CPU is `flops` */
    double bus_bytes;              /* per second; 0 unknown */
};

static inline double roof_flops(const struct roof *roof, enum numerics numerics)
{
    const bool f32_units =
        numerics == NUM_F32 || numerics == NUM_WINOGRAD || numerics == NUM_SPARSE;
    const double known = roof->class_flops[numerics];
    return roof->device || known > 0 || !f32_units ? known : roof->flops;
}

struct contest {
    const struct kernels_options *options;
    struct problem problem;
    char shape[512]; /* canonical line */
    struct arm *arms;
    int count;
    const struct arm *baseline, *best; /* NULL where nothing was timed */
    double ratio[3];                   /* best against the baseline or the next best, likewise */
    const struct arm *against;
    struct roof *roof;
    struct cache_choice cache;
    uint64_t data_seed;    /* of timed blocks: drawn anew, so that no file can hold their results */
    bool apart;            /* one arm at a time, not in turn */
    double settle_seconds; /* of warming a device until its clock and power were flat */
    bool settled;          /* they were */
    struct nvml *nvml;     /* of the CUDA device; NULL: not watched */
    struct fault unwatched; /* why not */
};

static inline bool arm_timed(const struct arm *a) { return a->n > 0 && a->summary.n > 0; }

/* True where the variant is at fault: wrong, nonfinite, crashed, timeout, mistrusted. */
bool kernels_failed(const struct arm *a);

/* kernels_arm.c: each asks the worker and waits; false or a state set where it failed. */
void arm_stop(struct arm *a, const char *state, const char *reason);
void arm_start(const struct contest *c, struct arm *a);
bool arm_ready(const struct contest *c, struct arm *a);
bool arm_check(const struct contest *c, struct arm *a, const char *command, double seconds);
bool arm_warm(const struct contest *c, struct arm *a, double seconds);
void arm_block(const struct contest *c, struct arm *a, uint64_t seed, int place);
void arm_counters(const struct contest *c, struct arm *a);
/* On a CUDA device: what a run launches, and how fast its memory copies. */
void arm_launches(const struct contest *c, struct arm *a);
void arm_copy(const struct contest *c, struct arm *a, double *bytes_per_second);
/* Runs for so long and no more than it takes: how often, and the seconds of it that were runs. */
bool arm_soak(const struct contest *c, struct arm *a, double seconds, int64_t *runs,
              double *busy_s);
void arm_finish(const struct contest *c, struct arm *a);

/* kernels_energy.c */
void kernels_idle(const struct contest *c);
void arm_energy(const struct contest *c, struct arm *a);
void kernels_energy_json(const struct contest *c, const struct arm *a, struct json *j);

/* kernels_contest.c: the picked variants of the shape's op; contest_free on every path. */
enum status contest_new(const struct kernels_options *options, const struct problem *shape,
                        const struct registry_entry *const *picked, int picked_count,
                        struct roof *roof, struct contest *c, struct fault *fault);
/* The same of arms with knobs, threads and programs of their own, in the order given; all specs are
 * of the shape's op. */
enum status contest_new_arms(const struct kernels_options *options, const struct problem *shape,
                             const struct arm_spec *specs, int spec_count, struct roof *roof,
                             struct contest *c, struct fault *fault);
enum status contest_run(struct contest *c, struct fault *fault);
/* The cache state of all arms, before they start. One that was asked for and cannot be had is every
 * arm's row. */
void contest_choose_cache(struct contest *c);
/* States, summaries and ratios of arms whose blocks were taken; the end of contest_run. */
void contest_judge(struct contest *c);
/* Chooses the cache state: from options, problem, count and roof, which must stand. */
enum status contest_cache(struct contest *c, struct fault *fault);
void contest_free(struct contest *c);

/* kernels_profile.c: verifies and runs one variant between marks; prints how to profile it. */
enum status kernels_profile(const struct kernels_options *options, const struct arm_spec *spec,
                            const struct registry_entry *const *picked, int count,
                            struct fault *fault);

/* kernels_settle.c: on a device whose driver can be asked, all arms by turns until its clock and its
 * power are flat, or a quarter of the budget is spent. */
void contest_settle(struct contest *c);
/* Clocks within 1 % and power within 3 % of each other: medians of two stretches of looks. */
bool settle_flat(const struct nvml_sample *before, int64_t befores, const struct nvml_sample *after,
                 int64_t afters);

/* kernels_roof.c; of a CUDA device nothing is measured but its copies, and those by arm_copy */
void roof_measure(struct roof *roof, int threads);
/* The CPU's units for classes other than f32, where some timed arm is of one; anew, and the best
 * counts, where an arm beats what is known. */
void roof_measure_classes(struct roof *roof, int threads, const struct problem *p,
                          const struct arm *arms, int count);
/* True where copy_bytes is not measured and may bind, or is measured and beaten. */
bool roof_needs_copy(const struct roof *roof, const struct problem *p, const struct arm *a);
/* Takes a second or so, and only where some timed arm needs it. */
void roof_measure_copy(struct roof *roof, int threads, const struct problem *p,
                       const struct arm *arms, int count);
/* Whether the arm's median is a time that this machine cannot reach; why in *reason. */
bool roof_beaten(const struct roof *roof, const struct problem *p, const struct arm *a,
                 char *reason, size_t bytes);

/* kernels_record.c: members of one case, without the schema's head. */
void kernels_case(const struct contest *c, const struct arm *a, struct json *j);

/* kernels_print.c */
void kernels_table(const struct contest *c, FILE *out);
void kernels_repro(const struct contest *c, const struct arm *a, char *out, size_t bytes);
/* Of its class's units, and of a device's memory bus; NaN: not known. */
double kernels_peak_fraction(const struct contest *c, const struct arm *a);
double kernels_bus_fraction(const struct contest *c, const struct arm *a);
/* "36.66 ms +-0.12"; half NaN: no interval. "1.05": three digits. */
void kernels_time_text(double seconds, double half, char *out, size_t bytes);
void kernels_winner(const struct contest *c, char *out, size_t bytes);

/* cmd_kernels.c: a kernel case of a sweep, given by the words that `kernels` takes (run_cases.h). */
struct kernels_tally {
    bool timed, failed; /* of the variants, any */
};
/* ST_BAD_INPUT where the words are wrong; another status where this machine or build has nothing for
 * them. *budget_s: seconds it may take. */
enum status kernels_words_check(const char *const *words, double *budget_s, struct fault *fault);
/* The table to standard output, or the case's object into `document`; a record for each variant.
 * Either may be NULL. */
struct record_file;
enum status kernels_words_run(const char *const *words, struct record_file *record,
                              struct json *document, struct kernels_tally *tally,
                              struct fault *fault);

#endif
