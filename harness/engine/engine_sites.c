// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* engine_sites.c   Distinct problems of a trace, found by hash. The key holds what a plan may
 * depend on: dims, types, strides, which operands are given; never addresses or scalars. */
#include "engine/engine_state.h"

#include <stdlib.h>
#include <string.h>

static void make_key(const struct engine *e, const struct problem *p, int64_t key[SITE_KEY_MAX])
{
    const struct op_info *info = op_table[p->op];
    const char *base = (const char *)&p->attention;
    int n = 0;
    memset(key, 0, SITE_KEY_MAX * sizeof *key);
    key[n++] = (int64_t)p->op;
    key[n++] = e->current;
    key[n++] = choice_by_step(e->choice, p->op) ? e->step : 0;
    for (const struct op_dim *d = info->dim; d->name; d++)
        if (!d->flag_tensor)
            key[n++] = *(const int64_t *)(base + d->offset);
    for (int i = 0; info->tensor[i].name; i++) {
        const struct tensor *t = problem_tensor_const(p, i);
        key[n++] = (int64_t)t->elem;
        key[n++] = (int64_t)t->scale_layout;
        key[n++] = t->stride;
    }
}

static uint64_t hash_key(const int64_t key[SITE_KEY_MAX])
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (int i = 0; i < SITE_KEY_MAX; i++)
        h = (h ^ (uint64_t)key[i]) * UINT64_C(0x9e3779b97f4a7c15) ^ (h >> 29);
    return h;
}

/* The bucket that holds the key, or the empty one where it belongs. */
static uint32_t find_bucket(const struct engine *e, const int64_t key[SITE_KEY_MAX])
{
    uint32_t at = (uint32_t)hash_key(key) & (e->buckets - 1);
    while (e->bucket[at] &&
           memcmp(e->site[e->bucket[at] - 1].key, key, SITE_KEY_MAX * sizeof *key) != 0)
        at = (at + 1) & (e->buckets - 1);
    return at;
}

static enum status grow(struct engine *e)
{
    if (e->sites < e->site_room)
        return ST_OK;
    int32_t room = e->site_room ? 2 * e->site_room : 64;
    struct site *site = realloc(e->site, (size_t)room * sizeof *site);
    if (!site)
        return ST_NO_MEMORY;
    e->site = site;
    e->site_room = room;
    int32_t *bucket = calloc((size_t)room * 4, sizeof *bucket);
    if (!bucket)
        return ST_NO_MEMORY;
    free(e->bucket);
    e->bucket = bucket;
    e->buckets = (uint32_t)room * 4;
    for (int32_t i = 0; i < e->sites; i++)
        e->bucket[find_bucket(e, e->site[i].key)] = i + 1;
    return ST_OK;
}

static enum status add_site(struct engine *e, const struct problem *p,
                            const int64_t key[SITE_KEY_MAX], struct site **out)
{
    TRY(grow(e));
    struct site s = {.problem = *p, .stage = (enum stage)e->current, .step = (int)key[2]};
    memcpy(s.key, key, sizeof s.key);
    if (e->ops.mode == MODE_TRACE)
        TRY(choice_resolve(e->choice, p, s.step, &s.resolved, &e->fault));
    else
        s.resolved.serve = op_table[p->op]->composite ? SERVE_EXPAND : SERVE_REFERENCE;
    s.flops = problem_flops(p);
    e->site[e->sites] = s;
    e->bucket[find_bucket(e, key)] = ++e->sites;
    *out = &e->site[e->sites - 1];
    return ST_OK;
}

enum status site_of(struct engine *e, enum op_id op, const void *problem, struct site **out)
{
    struct problem p = {.op = op};
    int64_t key[SITE_KEY_MAX];
    memcpy(&p.attention, problem, op_table[op]->problem_bytes);
    make_key(e, &p, key);
    if (e->buckets) {
        uint32_t at = find_bucket(e, key);
        if (e->bucket[at]) {
            *out = &e->site[e->bucket[at] - 1];
            return ST_OK;
        }
    }
    if (e->ops.mode != MODE_EXECUTE)
        return add_site(e, &p, key, out);
    return fault_set(&e->fault, ST_WRONG,
                     "%s was called with a shape that the trace had not met; the"
                     " model's control flow depends on data",
                     op_table[op]->name);
}
