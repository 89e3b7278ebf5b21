// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "contest/kernels_cache.h"

#include <string.h>

#include "elem.h"

/* Of the tensors that the state turns over; packed forms are about as large as what they hold. */
static size_t turn_bytes(const struct problem *p, enum cache_state state)
{
    const struct op_info *op = op_table[p->op];
    double bytes = 0;
    for (int i = 0; i < OP_TENSORS_MAX && op->tensor[i].name; i++) {
        const struct tensor *t = problem_tensor_const(p, i);
        int64_t rows, row_elems;
        if ((state == CACHE_COLD_ROTATE || op->tensor[i].role == ROLE_WEIGHT) && tensor_given(t) &&
            op->extent(&p->linear, i, &rows, &row_elems))
            bytes += (double)rows * (double)row_elems * (double)elem_bytes(t->elem);
    }
    return bytes < 1e18 ? (size_t)bytes : (size_t)1e18;
}

/* Matrices, not gains of a norm. */
static bool has_weights(const struct problem *p)
{
    const struct op_info *op = op_table[p->op];
    for (int i = 0; i < OP_TENSORS_MAX && op->tensor[i].name; i++)
        if (op->tensor[i].role == ROLE_WEIGHT && op->tensor[i].fill == OPERAND_FAN_IN &&
            tensor_given(problem_tensor_const(p, i)))
            return true;
    return false;
}

/* A layer's weights are cold when it runs, so that is the state of transformer ops that have any;
 * all others, and decoder ops, whose few weights are used over and over, are hot. */
static enum cache_state usual_state(const struct problem *p)
{
    const char *folder = op_table[p->op]->folder;
    const bool transformer = !strcmp(folder, "attention") || !strcmp(folder, "denoise");
    return transformer && has_weights(p) ? CACHE_COLD_WEIGHTS : CACHE_HOT;
}

/* ST_OK where the state can be had. */
static enum status possible(const struct problem *p, enum cache_state state, int arms,
                            size_t cache_bytes, size_t room_bytes, struct fault *fault)
{
    const size_t turn = turn_bytes(p, state);
    const int copies = rotation_copies(turn, cache_bytes);
    const double need = (double)arms * copies * (double)turn;
    if (!turn)
        return fault_set(fault, ST_REFUSED, "%s has no weights that could be cold here",
                         op_table[p->op]->name);
    if (!cache_bytes)
        return fault_set(fault, ST_REFUSED, "the size of the last-level cache is not known");
    if (!copies)
        return fault_set(fault, ST_REFUSED,
                         "%zu bytes a run are too few to fill twice a cache of %.0f MiB in %d"
                         " copies",
                         turn, (double)cache_bytes / (1 << 20), ROTATION_COPIES_MAX);
    if (need > (double)room_bytes / 2)
        return fault_set(fault, ST_NO_MEMORY,
                         "copies over twice a cache of %.0f MiB need %.1f GiB for %d variant%s,"
                         " and half of the free memory is %.1f",
                         (double)cache_bytes / (1 << 20), need / (1 << 30), arms,
                         arms == 1 ? "" : "s", (double)room_bytes / 2 / (1 << 30));
    return ST_OK;
}

enum status cache_choose(const struct problem *p, const char *asked, int arms, size_t cache_bytes,
                         size_t room_bytes, struct cache_choice *out, struct fault *fault)
{
    struct fault why = {{0}};
    *out = (struct cache_choice){.state = usual_state(p), .cache_bytes = cache_bytes};
    if (asked && !cache_state_find(asked, &out->state))
        return fault_set(fault, ST_BAD_INPUT,
                         "--cache is hot, cold-rotate or cold-weights, not '%s'", asked);
    if (out->state == CACHE_HOT)
        return ST_OK;
    enum status status = possible(p, out->state, arms, cache_bytes, room_bytes, &why);
    if (status == ST_OK)
        return ST_OK;
    if (asked)
        return fault_set(fault, status, "%s: %s", asked, why.text);
    snprintf(out->why, sizeof out->why, "%.199s", why.text);
    out->state = CACHE_HOT;
    return ST_OK;
}
