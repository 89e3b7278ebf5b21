// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* engine_state.h   The engine's insides, shared by the engine_*.c files only. */
#ifndef PATCHMARK_ENGINE_STATE_H
#define PATCHMARK_ENGINE_STATE_H

#include "engine/arena.h"
#include "machine/gpu.h"
#include "variant/choice.h"

/* A distinct problem of a stage (and of a denoising step, where the plan asks for steps). */
#define SITE_KEY_MAX (OP_DIMS_MAX + 3 * OP_TENSORS_MAX + 3)

struct site {
    int64_t key[SITE_KEY_MAX];
    struct problem problem; /* as first seen; addresses mean nothing */
    enum stage stage;
    int step; /* 0: all */
    struct resolved resolved;
    double flops;
    int64_t calls, run_ns;
    char *state;
};

/* One form of some weights that a variant packed; kept in a list at its first weight. */
struct pack {
    const struct registry_entry *entry;
    int64_t knob[KNOB_MAX];
    struct problem problem; /* names its weights by number */
    size_t bytes, offset;
    int32_t next; /* 1-based number of the next pack of the same first weight */
};

struct weight {
    struct weight_spec spec; /* name owned */
    enum elem elem;
    int64_t elems;
    bool raw;           /* some call reads it unpacked */
    bool host;          /* the host reads it, so it never leaves its stage */
    int32_t group;      /* the block it belongs to, from 1; 0: none */
    size_t offset;      /* in the stage's slab, where raw */
    int32_t first_pack; /* 1-based, 0: none */
};

struct stage_plan {
    struct stage_figures figures;
    struct weight *weight;
    int32_t weights, weight_room;
    struct pack *pack;
    int32_t packs, pack_room;
    size_t slab_bytes, staging_elems;
    int32_t groups;
    bool streams;     /* groups take turns in one place of the slab */
    int32_t group_in; /* the one that is there; 0: none */
};

#define OUTSIDE STAGE_COUNT /* memory that outlives stages */

struct engine {
    struct ops ops; /* first: struct ops * is struct engine * */
    struct engine_config config;
    char *kernels, *plan_file, *tuned; /* copies of what config points at */
    struct choice *choice;
    struct gpu *gpu; /* NULL on the CPU, and until the device is needed */
    struct gpu_graph *graph;
    bool capturing; /* the step at hand is being recorded */

    struct site *site;
    int32_t sites, site_room;
    int32_t *bucket;  /* open addressing: site number + 1, 0 empty */
    uint32_t buckets; /* a power of two */

    struct stage_plan stage[STAGE_COUNT];
    struct arena arena[STAGE_COUNT + 1];
    char *slab[STAGE_COUNT + 1];  /* activations */
    char *weights_slab, *scratch; /* of the current stage; on a device all slabs are the device's */
    char *kept[STAGE_COUNT];      /* weights that outlive their stage */
    char *staging;                /* of a stage that streams */
    enum residency residency;
    size_t residency_bytes[RESIDENCY_COUNT];
    bool experts; /* the request's model has two */

    int current; /* enum stage, or OUTSIDE */
    int step, step_count;
    int32_t weights_seen;
    int marked, first_step; /* borders of steps passed in this stage; its first step, from 0 */
    int64_t entered_ns, stepped_ns, hooks_ns, stage_hooks_ns, stepped_hooks_ns;
    int64_t *step_ns;
    int64_t enqueue_ns; /* of the step at hand */
    double flops_done, flops_total;
    int64_t started_ns, shown_ns, total_ns;
    struct fault fault;
    struct traced_call *trace; /* built on demand */
};

int64_t clock_ns(void);

/* engine_ops.c */
void engine_ops_fill(struct engine *e);

/* engine_sites.c */
enum status site_of(struct engine *e, enum op_id op, const void *problem, struct site **out);

/* engine_weights.c */
enum status weight_note(struct engine *e, struct tensor *t, const struct weight_spec *spec);
enum status weight_bind(struct engine *e, struct tensor *t, const struct weight_spec *spec);
void weight_keep(struct engine *e,
                 const struct tensor *t); /* the host reads it: keep it unpacked */
/* What a traced call means for its weights: packed forms, or raw ones. */
enum status weight_uses(struct engine *e, const struct problem *problem,
                        const struct resolved *resolved);
enum status weights_check(struct engine *e); /* of all stages, where they are not drawn */
void weights_layout(struct stage_plan *plan, bool streams);
enum status weights_load(struct engine *e, enum stage stage);
/* Memory and contents: taken with the stage, or still there from its last time. */
enum status weights_enter(struct engine *e, enum stage stage);
void weights_leave(struct engine *e);
/* Of a stage that streams: the block whose weights the problem reads is in its place. */
enum status weights_ready(struct engine *e, const struct problem *problem);
const void *weights_packed(const struct engine *e, const struct problem *problem,
                           const struct resolved *resolved);
void weights_forget(struct stage_plan *plan);

/* engine_device.c: memory, data and order, on the CPU or on the device */
bool on_device(const struct engine *e);
enum status device_open(struct engine *e);
void device_close(struct engine *e);
struct exec device_exec(const struct engine *e); /* threads, device and stream filled in */
/* Replaces *slab by `bytes` of the place where kernels run. */
enum status slab_take(struct engine *e, char **slab, size_t bytes);
void slab_drop(struct engine *e, char **slab);
enum status state_take(struct engine *e, struct site *site);
enum status tensor_put(struct engine *e, const struct tensor *t, const void *host, int64_t rows,
                       int64_t row_elems);
enum status tensor_get(struct engine *e, const struct tensor *t, void *host, int64_t rows,
                       int64_t row_elems);
enum status device_wait(struct engine *e); /* nothing on the CPU */
/* The borders of denoising steps, within each expert's stage: time, and the graph where steps are
 * graphs. */
enum status step_begin(struct engine *e);
enum status steps_end(struct engine *e);

/* engine_residency.c */
void residency_measure(struct engine *e);                  /* every plan's bytes */
void residency_choose(struct engine *e, size_t available); /* and lays it out */

/* engine_try.c: runs the library variants of a traced plan once each; *changed where the plan must
 * be traced anew because one of them refused a problem */
enum status libraries_try(struct engine *e, bool *changed);

/* engine_progress.c */
void progress_show(struct engine *e, bool last);

#endif
