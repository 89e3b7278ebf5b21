// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* engine_weights.c   Weights of a stage: noted in the trace with the forms that the chosen variants
 * want, later drawn through one staging buffer, packed, and kept until the stage is left. A matrix
 * that every reader packs is never resident unpacked. */
#include "elem.h"
#include "engine/engine_state.h"
#include "model/layer.h"

#include <stdlib.h>
#include <string.h>

static struct stage_plan *plan_now(struct engine *e)
{
    return e->current == OUTSIDE ? NULL : &e->stage[e->current];
}

static enum status outside(struct engine *e, const char *name)
{
    return fault_set(&e->fault, ST_WRONG, "weight %s is asked for outside of a stage", name);
}

/* Large weights follow --dtype; vectors and tables of the modulation stay f32. */
static enum elem stored_type(const struct engine *e, const struct weight_spec *spec)
{
    bool large = spec->kind == WEIGHT_MATRIX || spec->kind == WEIGHT_EMBEDDING;
    return large ? e->ops.type : ELEM_F32;
}

static int64_t elems_of(const struct weight_spec *spec)
{
    int64_t n = 1;
    for (int i = 0; i < spec->rank; i++)
        n *= spec->dim[i];
    return n;
}

static void fill_tensor(struct tensor *t, const struct weight *w, int32_t number, void *data)
{
    *t = (struct tensor){.data = data,
                         .elem = w->elem,
                         .weight = number,
                         .stride = w->spec.rank > 1 ? w->elems / w->spec.dim[0] : w->elems};
}

/* Length of "blocks.12." in "blocks.12.attn1.to_q.weight"; 0: the weight is in no block. */
static size_t block_prefix(const char *name)
{
    for (const char *at = strchr(name, '.'); at; at = strchr(at + 1, '.')) {
        const size_t digits = strspn(at + 1, "0123456789");
        if (digits && at[1 + digits] == '.')
            return (size_t)(at - name) + digits + 2;
    }
    return 0;
}

/* The last weights asked for are looked at first: those of a block follow each other. */
static int32_t group_of(struct stage_plan *plan, const char *name)
{
    const size_t n = block_prefix(name);
    if (!n)
        return 0;
    for (int32_t i = plan->weights; i > 0; i--)
        if (!strncmp(plan->weight[i - 1].spec.name, name, n))
            return plan->weight[i - 1].group;
    return ++plan->groups;
}

enum status weight_note(struct engine *e, struct tensor *t, const struct weight_spec *spec)
{
    struct stage_plan *plan = plan_now(e);
    if (!plan)
        return outside(e, spec->name);
    if (plan->weights == plan->weight_room) {
        int32_t room = plan->weight_room ? 2 * plan->weight_room : 256;
        struct weight *grown = realloc(plan->weight, (size_t)room * sizeof *grown);
        if (!grown)
            return ST_NO_MEMORY;
        plan->weight = grown;
        plan->weight_room = room;
    }
    struct weight w = {.spec = *spec, .elem = stored_type(e, spec), .elems = elems_of(spec)};
    w.group = group_of(plan, spec->name);
    if (!(w.spec.name = strdup(spec->name)))
        return ST_NO_MEMORY;
    plan->weight[plan->weights++] = w;
    plan->figures.weight_bytes += (size_t)w.elems * elem_bytes(w.elem);
    fill_tensor(t, &w, plan->weights, (void *)(uintptr_t)TENSOR_ALIGN);
    return ST_OK;
}

enum status weight_bind(struct engine *e, struct tensor *t, const struct weight_spec *spec)
{
    struct stage_plan *plan = plan_now(e);
    if (!plan)
        return outside(e, spec->name);
    int32_t number = ++e->weights_seen;
    if (number > plan->weights || strcmp(plan->weight[number - 1].spec.name, spec->name) != 0)
        return fault_set(&e->fault, ST_WRONG,
                         "weight %s is asked for in another order than in the"
                         " trace",
                         spec->name);
    const struct weight *w = &plan->weight[number - 1];
    fill_tensor(t, w, number, w->raw ? e->weights_slab + w->offset : NULL);
    return ST_OK;
}

void weight_keep(struct engine *e, const struct tensor *t)
{
    struct weight *w = &plan_now(e)->weight[t->weight - 1];
    w->raw = w->host = true;
}

static bool same_pack(const struct pack *k, const struct resolved *r)
{
    return k->entry == r->entry && !memcmp(k->knob, r->knob, sizeof k->knob);
}

static bool is_packable(const struct stage_plan *plan, const struct tensor *t)
{
    return t->weight > 0 && plan->weight[t->weight - 1].spec.kind == WEIGHT_MATRIX;
}

/* The first matrix among a problem's weights, by which its packed form is found; 0: none. */
static int32_t first_matrix(const struct stage_plan *plan, const struct problem *p)
{
    const struct op_info *info = op_table[p->op];
    for (int i = 0; info->tensor[i].name; i++)
        if (is_packable(plan, problem_tensor_const(p, i)))
            return problem_tensor_const(p, i)->weight;
    return 0;
}

static enum status add_pack(struct stage_plan *plan, const struct problem *p,
                            const struct resolved *r, int32_t owner)
{
    struct weight *w = &plan->weight[owner - 1];
    for (int32_t k = w->first_pack; k; k = plan->pack[k - 1].next)
        if (same_pack(&plan->pack[k - 1], r))
            return ST_OK;
    if (plan->packs == plan->pack_room) {
        int32_t room = plan->pack_room ? 2 * plan->pack_room : 256;
        struct pack *grown = realloc(plan->pack, (size_t)room * sizeof *grown);
        if (!grown)
            return ST_NO_MEMORY;
        plan->pack = grown;
        plan->pack_room = room;
    }
    struct pack k = {
        .entry = r->entry, .problem = *p, .bytes = r->need.packed_bytes, .next = w->first_pack};
    memcpy(k.knob, r->knob, sizeof k.knob);
    plan->pack[plan->packs++] = k;
    w->first_pack = plan->packs;
    return ST_OK;
}

enum status weight_uses(struct engine *e, const struct problem *problem,
                        const struct resolved *resolved)
{
    struct stage_plan *plan = plan_now(e);
    const struct op_info *info = op_table[problem->op];
    bool packs = resolved->serve == SERVE_VARIANT && resolved->need.packed_bytes > 0;
    for (int i = 0; info->tensor[i].name; i++) {
        const struct tensor *t = problem_tensor_const(problem, i);
        if (t->weight > 0 && !(packs && is_packable(plan, t)))
            plan->weight[t->weight - 1].raw = true;
    }
    int32_t owner = packs ? first_matrix(plan, problem) : 0;
    return owner ? add_pack(plan, problem, resolved, owner) : ST_OK;
}

static enum status check_stage(struct engine *e, enum stage stage)
{
    const struct stage_plan *plan = &e->stage[stage];
    const struct weights_source *source = e->config.weights;
    struct weight_spec *spec = malloc(((size_t)plan->weights + 1) * sizeof *spec);
    if (!spec)
        return ST_NO_MEMORY;
    for (int32_t i = 0; i < plan->weights; i++)
        spec[i] = plan->weight[i].spec;
    enum status s = source->check(source->user, stage, spec, plan->weights, &e->fault);
    free(spec);
    return s;
}

enum status weights_check(struct engine *e)
{
    for (int i = 0; e->config.weights && i < STAGE_COUNT; i++)
        if (e->stage[i].weights)
            TRY(check_stage(e, (enum stage)i));
    return ST_OK;
}

static size_t aligned(size_t bytes)
{
    return (bytes + TENSOR_ALIGN - 1) & ~((size_t)TENSOR_ALIGN - 1);
}

/* Elements of all matrices that one pack reads at once. */
static size_t pack_elems(const struct stage_plan *plan, const struct pack *k)
{
    size_t elems = 0;
    const struct op_info *info = op_table[k->problem.op];
    for (int i = 0; info->tensor[i].name; i++) {
        const struct tensor *t = problem_tensor_const(&k->problem, i);
        if (is_packable(plan, t))
            elems += aligned((size_t)plan->weight[t->weight - 1].elems);
    }
    return elems;
}

/* The block whose place a weight's or a pack's memory is in; 0: it has a place of its own. Small
 * weights stay: they are read at every turn and are next to nothing. */
static int32_t turn_of_weight(const struct stage_plan *plan, const struct weight *w)
{
    return plan->streams && w->spec.kind == WEIGHT_MATRIX && !w->host ? w->group : 0;
}

static int32_t turn_of_pack(const struct stage_plan *plan, const struct pack *k)
{
    return turn_of_weight(plan, &plan->weight[first_matrix(plan, &k->problem) - 1]);
}

/* Lays out one block's weights, or those without, from `at`; returns where they end. */
static size_t place_group(struct stage_plan *plan, int32_t group, size_t at)
{
    for (int32_t i = 0; i < plan->weights; i++) {
        struct weight *w = &plan->weight[i];
        if (turn_of_weight(plan, w) != group)
            continue;
        w->offset = at;
        if (w->raw)
            at += aligned((size_t)w->elems * elem_bytes(w->elem));
    }
    for (int32_t i = 0; i < plan->packs; i++) {
        struct pack *k = &plan->pack[i];
        if (turn_of_pack(plan, k) != group)
            continue;
        k->offset = at;
        at += aligned(k->bytes);
    }
    return at;
}

void weights_layout(struct stage_plan *plan, bool streams)
{
    plan->figures.packed_bytes = 0;
    plan->staging_elems = 0;
    plan->streams = streams && plan->groups > 0;
    plan->group_in = 0;
    for (int32_t i = 0; i < plan->packs; i++) {
        const struct pack *k = &plan->pack[i];
        size_t elems = pack_elems(plan, k);
        plan->figures.packed_bytes += k->bytes;
        plan->staging_elems = elems > plan->staging_elems ? elems : plan->staging_elems;
    }
    const size_t own = place_group(plan, 0, 0);
    plan->slab_bytes = own;
    for (int32_t g = 1; plan->streams && g <= plan->groups; g++) {
        const size_t end = place_group(plan, g, own);
        plan->slab_bytes = end > plan->slab_bytes ? end : plan->slab_bytes;
    }
}

/* Two components may hold tensors of one name; the folder keeps their values apart. */
static const char *const drawn_under[STAGE_COUNT] = {
    [STAGE_IMAGE] = "image_encoder.",
    [STAGE_DENOISE_LOW] = "transformer_2.",
};

/* Drawn by name, in pieces that every thread makes for itself. */
static void draw_weight(const struct engine *e, const struct weight *w, int64_t begin,
                        int64_t elems, char *to)
{
    enum { PIECE = 8192 };
    int64_t pieces = (elems + PIECE - 1) / PIECE;
    char name[2 * LAYER_NAME_MAX];
    struct weight_spec spec = w->spec;
    const char *under = drawn_under[e->current];
    snprintf(name, sizeof name, "%s%s", under ? under : "", spec.name);
    spec.name = name;
#pragma omp parallel for schedule(static) num_threads(e->config.threads)
    for (int64_t i = 0; i < pieces; i++) {
        float value[PIECE];
        int64_t first = i * PIECE, count = elems - first < PIECE ? elems - first : PIECE;
        weights_synthetic(e->config.weights_seed, e->config.fill, &spec, begin + first, count,
                          value);
        elem_convert(to + (size_t)first * elem_bytes(w->elem), w->elem, value, ELEM_F32, count);
    }
}

static enum status fetch_weight(struct engine *e, const struct weight *w, int64_t first,
                                int64_t count, char *to)
{
    const struct weights_source *source = e->config.weights;
    if (source)
        return source->read(source->user, (enum stage)e->current, &w->spec, first, count, w->elem,
                            to, e->config.threads, &e->fault);
    draw_weight(e, w, first, count, to);
    return ST_OK;
}

/* A device's weights pass through the pinned buffer, one region after the other. */
static enum status read_weight(struct engine *e, const struct weight *w, char *to)
{
    size_t size = elem_bytes(w->elem);
    int64_t most = (int64_t)(GPU_STAGE_BYTES / size);
    if (!on_device(e))
        return fetch_weight(e, w, 0, w->elems, to);
    for (int64_t first = 0, count; first < w->elems; first += count) {
        void *staged;
        count = w->elems - first < most ? w->elems - first : most;
        TRY(gpu_stage(e->gpu, (size_t)count * size, &staged, &e->fault));
        TRY(fetch_weight(e, w, first, count, staged));
        TRY(gpu_send(e->gpu, to + (size_t)first * size, staged, (size_t)count * size, &e->fault));
    }
    return ST_OK;
}

static enum status load_pack(struct engine *e, struct stage_plan *plan, const struct pack *k,
                             char *staging)
{
    struct problem p = k->problem;
    const struct op_info *info = op_table[p.op];
    for (int i = 0; info->tensor[i].name; i++) {
        struct tensor *t = problem_tensor(&p, i);
        if (!t->weight)
            continue;
        const struct weight *w = &plan->weight[t->weight - 1];
        t->data = w->raw ? e->weights_slab + w->offset : NULL;
        if (!is_packable(plan, t))
            continue;
        TRY(read_weight(e, w, staging));
        t->data = staging;
        staging += aligned((size_t)w->elems) * elem_bytes(w->elem);
    }
    struct exec exec = device_exec(e);
    exec.knob = k->knob;
    enum status s = k->entry->variant->prepare(&p.attention, &exec, e->weights_slab + k->offset);
    return s == ST_OK ? s
                      : fault_set(&e->fault, s, "%s/%s could not pack the weights of %s",
                                  k->entry->op, k->entry->name, info->name);
}

/* The weights of one block, or those without. */
static enum status load_group(struct engine *e, struct stage_plan *plan, int32_t group)
{
    for (int32_t i = 0; i < plan->weights; i++) {
        const struct weight *w = &plan->weight[i];
        if (w->raw && turn_of_weight(plan, w) == group)
            TRY(read_weight(e, w, e->weights_slab + w->offset));
    }
    for (int32_t i = 0; i < plan->packs; i++)
        if (turn_of_pack(plan, &plan->pack[i]) == group)
            TRY(load_pack(e, plan, &plan->pack[i], e->staging));
    return ST_OK;
}

enum status weights_load(struct engine *e, enum stage stage)
{
    struct stage_plan *plan = &e->stage[stage];
    plan->group_in = 0;
    plan->figures.stream_ns = 0;
    if (plan->packs)
        TRY(slab_take(e, &e->staging, plan->staging_elems * elem_bytes(e->ops.type)));
    enum status s = load_group(e, plan, 0);
    if (s == ST_OK)
        s = device_wait(e);
    if (!plan->streams)
        slab_drop(e, &e->staging);
    return s;
}

enum status weights_ready(struct engine *e, const struct problem *problem)
{
    struct stage_plan *plan = &e->stage[e->current];
    const struct op_info *info = op_table[problem->op];
    int32_t met = 0;
    for (int i = 0; plan->streams && info->tensor[i].name; i++) {
        const struct tensor *t = problem_tensor_const(problem, i);
        const int32_t group = t->weight ? turn_of_weight(plan, &plan->weight[t->weight - 1]) : 0;
        if (group && met && group != met)
            return fault_set(&e->fault, ST_WRONG, "%s reads weights of two blocks at once",
                             info->name);
        met = group ? group : met;
        if (!group || group == plan->group_in)
            continue;
        const int64_t start = clock_ns();
        TRY(load_group(e, plan, group));
        plan->group_in = group;
        plan->figures.stream_ns += clock_ns() - start;
    }
    return ST_OK;
}

const void *weights_packed(const struct engine *e, const struct problem *problem,
                           const struct resolved *resolved)
{
    const struct stage_plan *plan = &e->stage[e->current];
    int32_t owner = first_matrix(plan, problem);
    for (int32_t k = owner ? plan->weight[owner - 1].first_pack : 0; k; k = plan->pack[k - 1].next)
        if (same_pack(&plan->pack[k - 1], resolved))
            return e->weights_slab + plan->pack[k - 1].offset;
    return NULL;
}

void weights_forget(struct stage_plan *plan)
{
    for (int32_t i = 0; i < plan->weights; i++)
        free((char *)plan->weight[i].spec.name);
    free(plan->weight);
    free(plan->pack);
    memset(plan, 0, sizeof *plan);
}
