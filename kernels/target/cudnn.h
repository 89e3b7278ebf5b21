// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cudnn.h   cuDNN's graph API, loaded at run time, as the _00_ variants use it: a graph is built
 * with one sticky status, the first engine configuration that keeps the rules becomes its plan, and
 * plans are kept by problem. Everything on the host; the device sees what a plan enqueues. */
#ifndef PATCHMARK_TARGET_CUDNN_H
#define PATCHMARK_TARGET_CUDNN_H

#include <cudnn_graph.h>

#include "target/library.h"

/* ---- the library ----------------------------------------------------------------------------- */

#define CUDNN_SYMBOLS(X)                                                                           \
    X(version, cudnnGetVersion)                                                                    \
    X(create, cudnnCreate)                                                                         \
    X(destroy, cudnnDestroy)                                                                       \
    X(set_stream, cudnnSetStream)                                                                  \
    X(make, cudnnBackendCreateDescriptor)                                                          \
    X(drop, cudnnBackendDestroyDescriptor)                                                         \
    X(finalize, cudnnBackendFinalize)                                                              \
    X(set, cudnnBackendSetAttribute)                                                               \
    X(get, cudnnBackendGetAttribute)                                                               \
    X(execute, cudnnBackendExecute)

struct cudnn_api {
#define CUDNN_MEMBER(member, symbol) __typeof__(symbol) *member;
    CUDNN_SYMBOLS(CUDNN_MEMBER)
#undef CUDNN_MEMBER
};

static inline enum status cudnn_load(struct cudnn_api *api)
{
    static const char *const names[] = {"libcudnn.so.9", NULL};
    static const struct library_symbol symbols[] = {
#define CUDNN_ENTRY(member, symbol) {#symbol, offsetof(struct cudnn_api, member)},
        CUDNN_SYMBOLS(CUDNN_ENTRY)
#undef CUDNN_ENTRY
    };
    return library_load(names, symbols, (int)(sizeof symbols / sizeof symbols[0]), api);
}

static inline cudnnDataType_t cudnn_type(enum elem elem)
{
    return elem == ELEM_F32 ? CUDNN_DATA_FLOAT
                            : (elem == ELEM_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_HALF);
}

/* What the library cannot do is the variant's refusal; all else went wrong on the way. */
static inline enum status cudnn_status(cudnnStatus_t s)
{
    if (s == CUDNN_STATUS_SUCCESS)
        return ST_OK;
    return (int)s / 1000 == (int)CUDNN_STATUS_NOT_SUPPORTED / 1000 ? ST_REFUSED : ST_DEVICE;
}

/* ---- graphs ---------------------------------------------------------------------------------- */

enum { CUDNN_MADE_MAX = 64, CUDNN_OPS_MAX = 8, CUDNN_RANK_MAX = 5, CUDNN_KEY_MAX = 24 };

/* The first status that was no success stays, and nothing more is asked of the library. */
struct cudnn_graph {
    const struct cudnn_api *api;
    cudnnHandle_t handle;
    cudnnStatus_t status;
    int made_count, op_count;
    cudnnBackendDescriptor_t made[CUDNN_MADE_MAX], op[CUDNN_OPS_MAX];
};

static inline cudnnBackendDescriptor_t cudnn_make(struct cudnn_graph *g,
                                                  cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t made = NULL;
    if (g->status == CUDNN_STATUS_SUCCESS && g->made_count == CUDNN_MADE_MAX)
        g->status = CUDNN_STATUS_INTERNAL_ERROR;
    if (g->status == CUDNN_STATUS_SUCCESS)
        g->status = g->api->make(type, &made);
    if (made)
        g->made[g->made_count++] = made;
    return made;
}

static inline void cudnn_set(struct cudnn_graph *g, cudnnBackendDescriptor_t to,
                             cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                             int64_t count, const void *values)
{
    if (g->status == CUDNN_STATUS_SUCCESS)
        g->status = g->api->set(to, name, type, count, values);
}

static inline void cudnn_set_part(struct cudnn_graph *g, cudnnBackendDescriptor_t to,
                                  cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t part)
{
    cudnn_set(g, to, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part);
}

static inline void cudnn_set_type(struct cudnn_graph *g, cudnnBackendDescriptor_t to,
                                  cudnnBackendAttributeName_t name, cudnnDataType_t type)
{
    cudnn_set(g, to, name, CUDNN_TYPE_DATA_TYPE, 1, &type);
}

static inline void cudnn_finish(struct cudnn_graph *g, cudnnBackendDescriptor_t made)
{
    if (g->status == CUDNN_STATUS_SUCCESS)
        g->status = g->api->finalize(made);
}

static inline void cudnn_finish_op(struct cudnn_graph *g, cudnnBackendDescriptor_t op)
{
    cudnn_finish(g, op);
    if (g->status == CUDNN_STATUS_SUCCESS && g->op_count == CUDNN_OPS_MAX)
        g->status = CUDNN_STATUS_INTERNAL_ERROR;
    if (g->status == CUDNN_STATUS_SUCCESS)
        g->op[g->op_count++] = op;
}

/* VIRTUAL: between two operations, never stored. VALUE: one number in host memory. */
enum cudnn_place { CUDNN_STORED, CUDNN_VIRTUAL, CUDNN_VALUE };

static inline cudnnBackendDescriptor_t cudnn_tensor(struct cudnn_graph *g, int64_t id,
                                                    cudnnDataType_t type, int rank,
                                                    const int64_t *dim, const int64_t *stride,
                                                    enum cudnn_place place)
{
    cudnnBackendDescriptor_t t = cudnn_make(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    const int64_t align = place == CUDNN_STORED ? 16 : 4;
    const bool yes = true;
    cudnn_set(g, t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    cudnn_set_type(g, t, CUDNN_ATTR_TENSOR_DATA_TYPE, type);
    cudnn_set(g, t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, rank, dim);
    cudnn_set(g, t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, rank, stride);
    cudnn_set(g, t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    if (place == CUDNN_VIRTUAL)
        cudnn_set(g, t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &yes);
    if (place == CUDNN_VALUE)
        cudnn_set(g, t, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &yes);
    cudnn_finish(g, t);
    return t;
}

/* y = a <mode> b in f32; b NULL where the mode takes one operand. */
static inline void cudnn_pointwise(struct cudnn_graph *g, cudnnPointwiseMode_t mode,
                                   cudnnBackendDescriptor_t a, cudnnBackendDescriptor_t b,
                                   cudnnBackendDescriptor_t y)
{
    cudnnBackendDescriptor_t how = cudnn_make(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    cudnn_set(g, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    cudnn_set_type(g, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
    cudnn_finish(g, how);
    cudnnBackendDescriptor_t op = cudnn_make(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    cudnn_set_part(g, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    cudnn_set_part(g, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, a);
    if (b)
        cudnn_set_part(g, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    cudnn_set_part(g, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    cudnn_finish_op(g, op);
}

static inline void cudnn_graph_free(struct cudnn_graph *g)
{
    while (g->made_count > 0)
        g->api->drop(g->made[--g->made_count]);
}

/* ---- plans ----------------------------------------------------------------------------------- */

/* Which engine configuration a graph may get. */
struct cudnn_rule {
    uint32_t forbidden; /* bits 1 << cudnnBackendNumericalNote_t */
    size_t room_bytes;  /* of workspace */
    int choice;         /* how many that keep the rules are passed over */
};

#define CUDNN_NOTE(name) (UINT32_C(1) << CUDNN_NUMERICAL_NOTE_##name)
/* Sums in less than f32, and forms that are a numerics class of their own or change from run to
 * run. */
#define CUDNN_NEVER                                                                                \
    (CUDNN_NOTE(REDUCED_PRECISION_REDUCTION) | CUDNN_NOTE(FFT) | CUDNN_NOTE(NONDETERMINISTIC) |    \
     CUDNN_NOTE(WINOGRAD) | CUDNN_NOTE(WINOGRAD_TILE_4x4) | CUDNN_NOTE(WINOGRAD_TILE_6x6) |        \
     CUDNN_NOTE(WINOGRAD_TILE_13x13))
/* For f32 operands the tensor cores mean TF32. */
#define CUDNN_NEVER_F32 (CUDNN_NEVER | CUDNN_NOTE(TENSOR_CORE) | CUDNN_NOTE(DOWN_CONVERT_INPUTS))

struct cudnn_plan {
    int64_t key[CUDNN_KEY_MAX]; /* the problem; all bytes count */
    struct cudnn_graph graph;
    cudnnBackendDescriptor_t plan; /* NULL: no engine configuration keeps the rules */
    int64_t workspace_bytes;
    char text[192]; /* what was asked for and what it became */
};

/* Index and numerical notes of a configuration's engine. */
static inline bool cudnn_engine_of(struct cudnn_graph *g, cudnnBackendDescriptor_t config,
                                   int64_t *index, uint32_t *notes)
{
    cudnnBackendNumericalNote_t note[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    cudnnBackendDescriptor_t engine = NULL;
    int64_t count = 0;
    *notes = 0;
    if (g->api->make(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS)
        return false;
    bool good = g->api->get(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                            &count, &engine) == CUDNN_STATUS_SUCCESS &&
                g->api->get(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count,
                            index) == CUDNN_STATUS_SUCCESS &&
                g->api->get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                            CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, note) == CUDNN_STATUS_SUCCESS;
    for (int64_t i = 0; good && i < count; i++)
        *notes |= UINT32_C(1) << note[i];
    g->api->drop(engine);
    return good;
}

/* The configuration as a plan ready to run, if the library can make one within the room. */
static inline bool cudnn_plan_make(struct cudnn_plan *p, cudnnBackendDescriptor_t config,
                                   size_t room_bytes)
{
    struct cudnn_graph *g = &p->graph;
    int64_t count = 0;
    if (g->api->make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &p->plan) != CUDNN_STATUS_SUCCESS)
        return false;
    bool good = g->api->set(p->plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
                            &g->handle) == CUDNN_STATUS_SUCCESS &&
                g->api->set(p->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                            CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config) == CUDNN_STATUS_SUCCESS &&
                g->api->finalize(p->plan) == CUDNN_STATUS_SUCCESS &&
                g->api->get(p->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                            &count, &p->workspace_bytes) == CUDNN_STATUS_SUCCESS;
    if (good && p->workspace_bytes <= (int64_t)room_bytes)
        return true;
    g->api->drop(p->plan);
    p->plan = NULL;
    return false;
}

/* Goes through what one heuristic offers, best first. *left: keepers of the rules still to pass. */
static inline void cudnn_plan_among(struct cudnn_plan *p, cudnnBackendDescriptor_t ops,
                                    cudnnBackendHeurMode_t mode, const struct cudnn_rule *rule,
                                    int *left)
{
    enum { OFFERS = 24 };
    struct cudnn_graph *g = &p->graph;
    cudnnBackendDescriptor_t offer[OFFERS] = {0};
    int64_t offers = 0, index = 0;
    uint32_t notes = 0;
    int made = 0, first = g->made_count;
    cudnnBackendDescriptor_t heuristic = cudnn_make(g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    cudnn_set_part(g, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, ops);
    cudnn_set(g, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    cudnn_finish(g, heuristic);
    while (g->status == CUDNN_STATUS_SUCCESS && made < OFFERS)
        offer[made++] = cudnn_make(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (g->status == CUDNN_STATUS_SUCCESS)
        g->status = g->api->get(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                CUDNN_TYPE_BACKEND_DESCRIPTOR, OFFERS, &offers, offer);
    for (int64_t i = 0; g->status == CUDNN_STATUS_SUCCESS && i < offers && i < OFFERS; i++) {
        if (!cudnn_engine_of(g, offer[i], &index, &notes) || (notes & rule->forbidden) ||
            !cudnn_plan_make(p, offer[i], rule->room_bytes))
            continue;
        if ((*left)-- == 0) {
            snprintf(p->text, sizeof p->text,
                     "asked: heuristic %s, choice %d; got: engine %d, numerical notes 0x%x, "
                     "workspace %lld bytes, cuDNN %d",
                     mode == CUDNN_HEUR_MODE_A ? "A" : "fallback", rule->choice, (int)index,
                     (unsigned)notes, (long long)p->workspace_bytes, (int)g->api->version());
            return;
        }
        g->api->drop(p->plan);
        p->plan = NULL;
    }
    while (g->made_count > first)
        g->api->drop(g->made[--g->made_count]);
}

/* Makes the graph's operations a plan. The graph's status tells what went wrong; a graph that the
 * heuristics know nothing about is not supported. */
static inline void cudnn_plan_find(struct cudnn_plan *p, const struct cudnn_rule *rule)
{
    struct cudnn_graph *g = &p->graph;
    int left = rule->choice;
    cudnnBackendDescriptor_t ops = cudnn_make(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    cudnn_set(g, ops, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &g->handle);
    cudnn_set(g, ops, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->op_count,
              g->op);
    cudnn_finish(g, ops);
    const cudnnBackendHeurMode_t mode[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    cudnnStatus_t built = g->status;
    for (int i = 0; i < 2 && built == CUDNN_STATUS_SUCCESS && !p->plan; i++) {
        g->status = CUDNN_STATUS_SUCCESS;
        cudnn_plan_among(p, ops, mode[i], rule, &left);
    }
    if (g->status == CUDNN_STATUS_SUCCESS && !p->plan)
        g->status = CUDNN_STATUS_NOT_SUPPORTED;
}

/* Enqueues the plan on the handle's stream. */
static inline enum status cudnn_plan_run(const struct cudnn_plan *p, int count, const int64_t *id,
                                         void *const *data, void *workspace)
{
    struct cudnn_graph g = {p->graph.api, p->graph.handle, CUDNN_STATUS_SUCCESS, 0, 0, {0}, {0}};
    cudnnBackendDescriptor_t pack = cudnn_make(&g, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    cudnn_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, id);
    cudnn_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, data);
    cudnn_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    cudnn_finish(&g, pack);
    if (g.status == CUDNN_STATUS_SUCCESS)
        g.status = g.api->execute(g.handle, p->plan, pack);
    cudnn_graph_free(&g);
    return cudnn_status(g.status);
}

/* ---- what open() returns --------------------------------------------------------------------- */

enum { CUDNN_PLANS_MAX = 256 }; /* shapes of one worker's problems; a pipeline has some fifty */

struct cudnn_handle {
    struct cudnn_api api;
    cudnnHandle_t handle;
    int count;
    struct cudnn_plan plan[CUDNN_PLANS_MAX];
};

static inline void cudnn_close(void *opened)
{
    struct cudnn_handle *h = (struct cudnn_handle *)opened;
    for (int i = 0; i < h->count; i++) {
        if (h->plan[i].plan)
            h->api.drop(h->plan[i].plan);
        cudnn_graph_free(&h->plan[i].graph);
    }
    if (h->handle)
        h->api.destroy(h->handle);
    free(h);
}

static inline enum status cudnn_open(const struct exec *exec, void **opened)
{
    (void)exec;
    struct cudnn_handle *h = (struct cudnn_handle *)calloc(1, sizeof *h);
    if (!h)
        return ST_NO_MEMORY;
    enum status status = cudnn_load(&h->api);
    if (status == ST_OK && h->api.create(&h->handle) != CUDNN_STATUS_SUCCESS)
        status = ST_UNAVAILABLE;
    if (status == ST_OK)
        *opened = h;
    else
        cudnn_close(h);
    return status;
}

/* The plan of this key, or a fresh one with *fresh set; NULL when the table is full. */
static inline struct cudnn_plan *cudnn_plan_of(struct cudnn_handle *h, const int64_t *key,
                                               bool *fresh)
{
    *fresh = false;
    for (int i = 0; i < h->count; i++)
        if (!memcmp(h->plan[i].key, key, sizeof h->plan[i].key))
            return &h->plan[i];
    if (h->count == CUDNN_PLANS_MAX)
        return NULL;
    struct cudnn_plan *p = &h->plan[h->count++];
    memcpy(p->key, key, sizeof p->key);
    p->graph.api = &h->api;
    p->graph.handle = h->handle;
    *fresh = true;
    return p;
}

/* What became of the graph of this key. */
static inline void cudnn_describe(const struct cudnn_handle *h, const int64_t *key, char *out,
                                  size_t bytes)
{
    snprintf(out, bytes, "not run yet");
    for (int i = 0; i < h->count; i++) {
        const struct cudnn_plan *p = &h->plan[i];
        if (memcmp(p->key, key, sizeof p->key))
            continue;
        if (p->plan)
            snprintf(out, bytes, "%s", p->text);
        else
            snprintf(out, bytes, "no engine keeps the rules, status %d, cuDNN %d",
                     (int)p->graph.status, (int)h->api.version());
    }
}

#endif
