// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cudnn.h   Softmax attention as the one operation that cuDNN's graph API has for it.
 *
 * The library counts axes as B, N, S, D with any strides between them, so q, k, v and o are read
 * and written where they lie; the scale is handed over as a number. Scratch is the workspace. */
#ifndef PATCHMARK_ATTENTION_CUDNN_H
#define PATCHMARK_ATTENTION_CUDNN_H

#include "attention/attention/attention.h"
#include "target/cudnn.h"

// clang-format off
#define SDPA_KNOBS {{"choice", 4, {0, 1, 2, 3}}}
// clang-format on

enum { KNOB_CHOICE };
enum { ID_Q = 1, ID_K, ID_V, ID_O, ID_SCALE };
enum { TENSORS = 5 };

/* The operation is younger than the graph API. */
#define SDPA_VERSION 91301

/* An engine that wants more is passed over. */
static const size_t workspace_bytes = (size_t)16 << 20;

static bool is_row_aligned(const struct tensor *t) { return t->stride % 8 == 0; }

static bool is_of(const struct tensor *t, enum elem elem)
{
    return t->elem == elem && t->scale_layout == SCALE_NONE;
}

static bool plan_as(const struct attention_problem *p, enum elem elem, struct need *need)
{
    if (!is_of(&p->q, elem) || !is_of(&p->k, elem) || !is_of(&p->v, elem) || !is_of(&p->o, elem))
        need->reason = "q, k, v and o must be of the type in the variant's name";
    else if (tensor_given(&p->bias))
        need->reason = "cuDNN takes no bias by relative position";
    else if (p->D % 8 || p->D > 256)
        need->reason = "cuDNN takes heads of width 8, 16, ... 256";
    else if (!is_row_aligned(&p->q) || !is_row_aligned(&p->k) || !is_row_aligned(&p->v) ||
             !is_row_aligned(&p->o))
        need->reason = "cuDNN reads rows in 16 bytes: strides must be multiples of 8 elements";
    need->scratch_bytes = workspace_bytes + 256;
    return !need->reason;
}

/* ---- the graph ------------------------------------------------------------------------------- */

/* [B][S][N][D], tokens `t->stride` apart. */
static cudnnBackendDescriptor_t tokens_of(struct cudnn_graph *g, const struct attention_problem *p,
                                          int64_t id, const struct tensor *t, int64_t S)
{
    const int64_t dim[] = {p->B, p->N, S, p->D};
    const int64_t stride[] = {S * t->stride, p->D, t->stride, 1};
    return cudnn_tensor(g, id, cudnn_type(t->elem), 4, dim, stride, CUDNN_STORED);
}

static void build(struct cudnn_graph *g, const struct attention_problem *p)
{
    const int64_t one[] = {1, 1, 1, 1};
    const struct {
        cudnnBackendAttributeName_t name;
        cudnnBackendDescriptor_t tensor;
    } part[TENSORS] = {
        {CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, tokens_of(g, p, ID_Q, &p->q, p->Sq)},
        {CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, tokens_of(g, p, ID_K, &p->k, p->Sk)},
        {CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, tokens_of(g, p, ID_V, &p->v, p->Sk)},
        {CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, tokens_of(g, p, ID_O, &p->o, p->Sq)},
        {CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC,
         cudnn_tensor(g, ID_SCALE, CUDNN_DATA_FLOAT, 4, one, one, CUDNN_VALUE)},
    };
    cudnnBackendDescriptor_t op = cudnn_make(g, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
    for (int i = 0; i < TENSORS; i++)
        cudnn_set_part(g, op, part[i].name, part[i].tensor);
    cudnn_finish_op(g, op);
}

/* ---- the contract ---------------------------------------------------------------------------- */

/* Everything that shapes the graph and the choice of its engine; the scale comes with each run. */
static void key_of(const struct attention_problem *p, const int64_t *knob, int64_t *key)
{
    // clang-format off
    const int64_t all[CUDNN_KEY_MAX] = {
        p->B, p->Sq, p->Sk, p->N, p->D, p->q.stride, p->k.stride, p->v.stride, p->o.stride,
        p->q.elem, knob[KNOB_CHOICE]};
    // clang-format on
    memcpy(key, all, sizeof all);
}

static enum status run(const struct attention_problem *p, const struct exec *exec)
{
    struct cudnn_handle *h = (struct cudnn_handle *)exec->handle;
    int64_t key[CUDNN_KEY_MAX];
    bool fresh;
    key_of(p, exec->knob, key);
    struct cudnn_plan *plan = cudnn_plan_of(h, key, &fresh);
    if (!plan)
        return ST_NO_MEMORY;
    if (fresh) {
        const struct cudnn_rule rule = {CUDNN_NEVER, workspace_bytes, (int)exec->knob[KNOB_CHOICE]};
        build(&plan->graph, p);
        cudnn_plan_find(plan, &rule);
    }
    TRY(cudnn_status(plan->graph.status));
    TRY(cudnn_status(h->api.set_stream(h->handle, (cudaStream_t)exec->stream)));

    float scale = (float)p->scale;
    const int64_t id[TENSORS] = {ID_Q, ID_K, ID_V, ID_O, ID_SCALE};
    void *const data[TENSORS] = {p->q.data, p->k.data, p->v.data, p->o.data, &scale};
    void *workspace = (void *)(((uintptr_t)exec->scratch + 255) / 256 * 256);
    return cudnn_plan_run(plan, TENSORS, id, data, workspace);
}

static enum status open_sdpa(const struct exec *exec, void **handle)
{
    TRY(cudnn_open(exec, handle));
    if (((struct cudnn_handle *)*handle)->api.version() >= SDPA_VERSION)
        return ST_OK;
    cudnn_close(*handle);
    *handle = NULL;
    return ST_UNAVAILABLE;
}

static void describe(void *handle, const void *problem, const int64_t *knob, char *out,
                     size_t bytes)
{
    int64_t key[CUDNN_KEY_MAX];
    key_of((const struct attention_problem *)problem, knob, key);
    cudnn_describe((struct cudnn_handle *)handle, key, out, bytes);
}

#endif
