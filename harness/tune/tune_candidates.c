// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tune_candidates.c   Who takes part in the search of a bucket, in which order. */
#include <stdlib.h>
#include <string.h>

#include "machine/device.h"
#include "random.h"
#include "tune/tune.h"
#include "variant/choice.h"

#define CANDIDATES_MOST 4096 /* of one variant: a cut against a variant of many knobs */

static enum status add(struct bucket *b, const struct registry_entry *e,
                       const int64_t knob[KNOB_MAX])
{
    struct candidate *grown = realloc(b->list, (size_t)(b->count + 1) * sizeof *grown);
    if (!grown)
        return ST_NO_MEMORY;
    b->list = grown;
    struct candidate *c = &grown[b->count++];
    *c = (struct candidate){.entry = e, .state = CANDIDATE_OPEN};
    memcpy(c->knob, knob, sizeof c->knob);
    knobs_print(e->variant, knob, c->knobs, sizeof c->knobs);
    for (int k = 0; k < KNOB_MAX && e->variant->knob[k].name; k++)
        c->distance += knob[k] != e->variant->knob[k].values[0];
    return ST_OK;
}

/* Every setting of the knobs, counted through like a number whose digits are the knobs' values. */
static enum status add_settings(struct bucket *b, const struct registry_entry *e)
{
    const struct variant *v = e->variant;
    int digit[KNOB_MAX] = {0};
    for (int n = 0; n < CANDIDATES_MOST; n++) {
        int64_t knob[KNOB_MAX] = {0};
        int k = 0;
        for (int i = 0; i < KNOB_MAX && v->knob[i].name; i++)
            knob[i] = v->knob[i].values[digit[i]];
        TRY(add(b, e, knob));
        while (k < KNOB_MAX && v->knob[k].name && ++digit[k] == v->knob[k].count)
            digit[k++] = 0;
        if (k == KNOB_MAX || !v->knob[k].name)
            break;
    }
    return ST_OK;
}

static bool is_wanted(const struct tune_options *options, const struct registry_entry *e,
                      const struct problem *p)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", e->op, e->name);
    return !strcmp(e->op, op_table[p->op]->name) && e->variant &&
           needs_device(e->variant->needs) == device_kind() &&
           choice_is_exact(e->variant->numerics, problem_type(p)) &&
           (!options->glob || glob_match(options->glob, path) ||
            glob_match(options->glob, e->name) || glob_match(options->glob, e->op));
}

/* The choice without a table. */
static enum status add_default(const struct tune_options *options, struct bucket *b,
                               struct fault *fault)
{
    const struct engine_config config = {.threads = options->threads, .device = device_kind()};
    struct choice *choice;
    struct resolved r;
    TRY(choice_new(&config, &choice, fault));
    const enum status s = choice_resolve(choice, &b->problem, 0, &r, fault);
    choice_free(choice);
    TRY(s);
    if (r.serve != SERVE_VARIANT)
        return fault_set(fault, ST_BAD_INPUT, "%s runs as its parts here; tune those", b->shape);
    return add(b, r.entry, r.knob);
}

static bool is_first(const struct bucket *b, const struct candidate *c)
{
    return c->entry == b->list[0].entry && !c->distance;
}

/* Default knobs before all others, what the table says next to them; then by how many knobs differ,
 * those of the default's own variant first. */
static int64_t rank_of(const struct bucket *b, const struct candidate *c,
                       const struct tuned_line *known)
{
    if (!c->distance)
        return 0;
    if (known && !strcmp(known->variant, c->entry->name) && !strcmp(known->knobs, c->knobs))
        return 1;
    return 2 * c->distance + (c->entry != b->list[0].entry);
}

struct ranked {
    int64_t rank;
    uint64_t dice;
    struct candidate candidate;
};

static int by_rank(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return a->dice < b->dice ? -1 : a->dice > b->dice;
}

/* Among equals the seed decides, so that a short budget favours none. */
static enum status order(const struct tune_options *options, const struct tuned_line *known,
                         struct bucket *b)
{
    const struct random_stream stream = random_stream_of(options->seed, b->name);
    struct ranked *sorted = calloc((size_t)b->count, sizeof *sorted);
    int kept = 1;
    if (!sorted)
        return ST_NO_MEMORY;
    for (int i = 1; i < b->count; i++)
        sorted[i] = (struct ranked){rank_of(b, &b->list[i], known),
                                    random_bits(stream, (uint64_t)i), b->list[i]};
    if (b->count > 2)
        qsort(sorted + 1, (size_t)b->count - 1, sizeof *sorted, by_rank);
    for (int i = 1; i < b->count; i++)
        if (!is_first(b, &sorted[i].candidate))
            b->list[kept++] = sorted[i].candidate;
    b->count = kept;
    free(sorted);
    return ST_OK;
}

/* plan() and arithmetic; the default is never ruled out by either. */
static void sift(const struct tune_options *options, double budget_s, struct bucket *b,
                 struct candidate *c)
{
    struct need need = {.threads = options->threads};
    struct fault why = {{0}};
    if (registry_usable(c->entry, &why) != ST_OK) {
        c->state = CANDIDATE_REFUSED;
        snprintf(c->why, sizeof c->why, "%.250s", why.text);
    } else if (!c->entry->variant->plan(&b->problem.linear, c->knob, &need)) {
        c->state = CANDIDATE_REFUSED;
        snprintf(c->why, sizeof c->why, "%.250s", need.reason ? need.reason : "no reason given");
    } else {
        tune_prune(&b->problem, c, &need, budget_s, options->threads, c->why, sizeof c->why);
        c->state = c->why[0] ? CANDIDATE_PRUNED : CANDIDATE_OPEN;
    }
    b->refused += c->state == CANDIDATE_REFUSED;
    b->pruned += c->state == CANDIDATE_PRUNED;
}

enum status tune_candidates(const struct tune_options *options, double budget_s,
                            const struct tuned_line *known, struct bucket *b, struct fault *fault)
{
    int count;
    const struct registry_entry *all = registry(&count);
    TRY(add_default(options, b, fault));
    for (int i = 0; i < count; i++)
        if (is_wanted(options, &all[i], &b->problem))
            TRY(add_settings(b, &all[i]));
    TRY(order(options, known, b));
    for (int i = 1; i < b->count; i++)
        sift(options, budget_s, b, &b->list[i]);
    return ST_OK;
}
