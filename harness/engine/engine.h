// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* engine.h   Runs model code: fills struct ops in its three modes.
 *
 * First the generator runs once in trace mode: the engine notes every op call with its problem, and
 * lays out activations with the same allocator that execution will use. From the trace come the
 * flops, the variant for each (op, problem, step range), and the memory plan. Then execution: one
 * slab for activations, one for scratch, weights per stage drawn through a staging buffer and
 * packed for the variants that the plan chose, freed with the stage. */
#ifndef PATCHMARK_ENGINE_H
#define PATCHMARK_ENGINE_H

#include "model/generate.h"
#include "model/weights.h"
#include "ops/op_info.h"
#include "tune/tuned.h"
#include "variant/registry.h"

/* Which variant serves which op. `kernels` is a comma list of: auto (default), base, reference, a
 * target ("c", "avx2"), OP=VARIANT, OP@FIRST-LAST=VARIANT (1-based steps). Later words win. */
struct kernel_choice {
    const char *kernels;   /* NULL: auto */
    const char *plan_file; /* replays a plan that plan_write made; overrides kernels */
    const char *tuned;     /* the table of tuned kernels that auto reads; NULL: none */
};

/* How a CUDA device gets its work: call by call, or a denoising step at a time as a CUDA graph. The
 * first step of an expert always goes call by call: it loads kernels and opens libraries. */
enum launch { LAUNCH_STREAM = 0, LAUNCH_GRAPH };

/* Where weights come from when they are not drawn. Sentences go into the fault at hand.
 *   check   before memory is taken: all weights that a stage asks for, one sentence where they are
 *           not exactly what is there
 *   read    elements first .. first + count - 1 of one of them as `elem`, by so many threads */
struct weights_source {
    enum status (*check)(void *user, enum stage stage, const struct weight_spec *spec,
                         int64_t count, struct fault *fault);
    enum status (*read)(void *user, enum stage stage, const struct weight_spec *spec, int64_t first,
                        int64_t count, enum elem elem, void *to, int threads, struct fault *fault);
    void *user;
};

/* How long weights stay in memory. */
enum residency {
    RESIDENCY_AUTO = 0,
    RESIDENCY_RESIDENT,    /* those of all stages, from their first use on */
    RESIDENCY_EXPERT_SWAP, /* as stage, of a model with two experts */
    RESIDENCY_STAGE,       /* as long as their stage runs */
    RESIDENCY_BLOCK_STREAM, /* those of a transformer's block, while it runs: read again every time */
    RESIDENCY_COUNT
};
extern const char *const residency_names[RESIDENCY_COUNT];

struct engine_config {
    struct kernel_choice choice;
    enum elem type; /* f32, bf16, f16 */
    enum device_kind device;
    int device_index;
    enum launch launch; /* on a CUDA device */
    enum residency residency;
    bool op_times; /* waits for the device after each call, so that run_ns is each call's own */
    int threads;
    const struct weights_source *weights; /* outlives the engine; NULL: drawn by fill and seed */
    enum fill fill;
    uint64_t weights_seed;
    bool quiet; /* no progress bar whatever stderr is */
    /* called now and then during execution instead of the bar; share of the work done, 0 to 1 */
    void (*progress)(void *user, double share);
    void *user;
};

struct stage_figures {
    int64_t calls;
    double flops;
    size_t weight_bytes, packed_bytes, activation_bytes, scratch_bytes, state_bytes;
    size_t peak_bytes;       /* of the stage: weights + packed + activations + scratch + state */
    int64_t load_ns, run_ns; /* of the last execution; run excludes load */
    int64_t stream_ns;       /* part of run_ns: reading and packing blocks as they came */
    /* Of the steps of all experts, at STAGE_DENOISE: */
    int64_t graph_nodes; /* of the largest graph launched; 0: none */
    int64_t host_ns; /* on a CUDA device: what the host needs to enqueue a step, the least over all
                        steps, for a full queue makes it wait */
};

struct engine;

enum status engine_new(const struct engine_config *config, struct engine **out,
                       struct fault *fault);
void engine_free(struct engine *engine);

/* Traces the request, resolves the plan, computes memory. Refuses with ST_NO_MEMORY, needed and
 * available said, where the peak exceeds what the machine or the device has free (unless
 * check_memory is false: then no device is opened). On a device library variants run each of their
 * problems once first: only then is known what their library takes. */
enum status engine_plan(struct engine *engine, const struct generate_request *request,
                        bool check_memory, struct fault *fault);
/* Counts calls and flops alone: no plan, no memory, any size. */
enum status engine_count(struct engine *engine, const struct generate_request *request,
                         struct fault *fault);
const struct stage_figures *engine_stage(const struct engine *engine, enum stage stage);
size_t engine_peak_bytes(const struct engine *engine); /* largest stage + what outlives stages */
/* The plan for weights, and what each would take in all. */
enum residency engine_residency(const struct engine *engine);
size_t engine_residency_bytes(const struct engine *engine, enum residency residency);
/* "fits (stage)", "fits by plan block-stream", "does not fit: ..." of so many bytes. */
void engine_describe_fit(const struct engine *engine, size_t available, char *out, size_t bytes);
/* Free now where the engine works: the machine's memory, or that of an opened device. */
size_t engine_available_bytes(const struct engine *engine);
/* Executes the planned request; may be called again. step_ns (steps entries) may be NULL. The hooks
 * of request->sink are called, their time is in no figure. */
enum status engine_execute(struct engine *engine, const struct generate_request *request,
                           int64_t *step_ns, struct fault *fault);

/* Wall time of the last execution from the prompt string to the last frame, without loading weights
 * and without hooks. */
int64_t engine_total_ns(const struct engine *engine);

/* The resolved plan, one line per distinct (op shape, step range): "shape-line<TAB>first-last<TAB>
 * variant<TAB>knob=value,..."; steps 0-0 mean all calls. */
enum status engine_plan_write(const struct engine *engine, FILE *out);
/* Short form for people and records: "attention=avx2_01_flash linear=avx2_01_panel ...". */
void engine_plan_summary(const struct engine *engine, char *out, size_t bytes);
uint64_t engine_plan_hash(const struct engine *engine);
/* Variants that words passed over because their library refused when it was tried, counted from 0:
 * "conv3d/cudnn_00_bf16 conv3d:T=4,..."; false past the last. */
bool engine_refused(const struct engine *engine, int index, char *line, size_t bytes);
void engine_tuned(const struct engine *engine, struct tuned_use *out);
/* "tuned 12 of 34 shapes by results/m/tuned.tsv (a1b2...), 2 lines are stale"; "" without one. */
void engine_tuned_text(const struct engine *engine, char *out, size_t bytes);
/* True where every chosen variant's class is exact (f32, bf16, f16, winograd). */
bool engine_plan_exact(const struct engine *engine);

/* Distinct problems that ran or will run, in order of first call; valid until the next plan. */
struct traced_call {
    struct problem problem;
    enum stage stage;
    const char *served_by;
    const struct registry_entry *entry; /* the variant, NULL for the reference */
    const int64_t *knob;
    int64_t calls;
    double flops;   /* of one call */
    int64_t run_ns; /* of all calls in the last execution */
};
const struct traced_call *engine_trace(const struct engine *engine, int64_t *count);

#endif
