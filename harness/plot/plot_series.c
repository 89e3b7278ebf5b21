// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* plot_series.c   Which cases a figure takes, and how they fall into series. */
#include "plot/plot_series.h"

#include <string.h>

bool plot_alike(const struct plot_case *a, const struct plot_case *b, uint32_t ignored)
{
    for (int f = 0; f < PLOT_FIELD_COUNT; f++)
        if (!(ignored >> f & 1) && strcmp(a->field[f], b->field[f]))
            return false;
    return true;
}

/* The same case under two plans, or two plans that different words asked for. */
static bool plans_differ(const struct plot_case *a, const struct plot_case *b)
{
    bool words = *a->requested && *b->requested && strcmp(a->requested, b->requested);
    return strcmp(a->field[PLOT_PLAN], b->field[PLOT_PLAN]) &&
           (words || plot_alike(a, b, PLOT_BIT(PLAN)));
}

/* Kernel plans separate series only where they are compared; plans that one word came to per size
 * or machine are part of the answer, not another question. */
static bool plans_compared(const struct plot_set *set)
{
    for (int64_t i = 0; i < set->count; i++)
        for (int64_t k = i + 1; set->cases[i].taken && k < set->count; k++)
            if (set->cases[k].taken && plans_differ(&set->cases[i], &set->cases[k]))
                return true;
    return false;
}

static int find_series(struct plot_series *s, const struct plot_case *c)
{
    for (int i = 0; i < s->count; i++)
        if (plot_alike(s->first[i], c, s->ignored))
            return i;
    if (s->count == PLOT_SERIES_MAX) {
        s->more++;
        return -1;
    }
    s->first[s->count] = c;
    s->word[s->count] = "";
    return s->count++;
}

/* A plan that one series has a word for goes by it in the others too. */
static void share_words(struct plot_series *s)
{
    for (int i = 0; i < s->count; i++)
        for (int k = 0; !*s->word[i] && k < s->count; k++)
            if (!strcmp(s->first[i]->field[PLOT_PLAN], s->first[k]->field[PLOT_PLAN]))
                s->word[i] = s->word[k];
}

/* Gives every taken case its series. `always` names fields that legends carry even when alike. */
struct plot_series plot_group(struct plot_set *set, uint32_t axes, uint32_t always)
{
    struct plot_series s = {.ignored = axes | (plans_compared(set) ? 0 : PLOT_BIT(PLAN))};
    for (int64_t i = 0; i < set->count; i++) {
        struct plot_case *c = &set->cases[i];
        c->series = c->taken ? find_series(&s, c) : -1;
        if (c->series >= 0 && !*s.word[c->series])
            s.word[c->series] = c->requested;
    }
    share_words(&s);
    for (int i = 1; i < s.count; i++)
        for (int f = 0; f < PLOT_FIELD_COUNT; f++)
            if (!(s.ignored >> f & 1) && strcmp(s.first[0]->field[f], s.first[i]->field[f]))
                s.shown |= UINT32_C(1) << f;
    s.shown |= always;
    return s;
}

bool plot_is_drawn(const struct plot_case *c) { return c->taken && c->series >= 0; }

/* Cases with a time on this case's machine at this case's number of threads. */
static int64_t thread_share(const struct plot_set *set, const struct plot_case *c)
{
    int64_t count = 0;
    for (int64_t i = 0; i < set->count; i++)
        count += set->cases[i].timed &&
                 plot_alike(c, &set->cases[i], ~(PLOT_BIT(MACHINE) | PLOT_BIT(THREADS)));
    return count;
}

/* Takes, of a machine measured at several numbers of threads, the number that most of its cases
 * share, the larger of two; the others are the business of the threads figure. Until series are
 * made, their number serves as the count. */
void plot_take_common_threads(struct plot_set *set)
{
    for (int64_t i = 0; i < set->count; i++)
        set->cases[i].series = (int)thread_share(set, &set->cases[i]);
    for (int64_t i = 0; i < set->count; i++) {
        struct plot_case *c = &set->cases[i];
        c->taken = true;
        for (int64_t k = 0; k < set->count; k++) {
            const struct plot_case *other = &set->cases[k];
            c->taken &= strcmp(c->field[PLOT_MACHINE], other->field[PLOT_MACHINE]) ||
                        other->series < c->series ||
                        (other->series == c->series && other->threads <= c->threads);
        }
    }
}

int64_t plot_keep_timed(struct plot_set *set)
{
    int64_t count = 0;
    for (int64_t i = 0; i < set->count; i++)
        count += set->cases[i].taken = set->cases[i].taken && set->cases[i].timed;
    return count;
}

static int64_t keep_marked(struct plot_set *set)
{
    int64_t count = 0;
    for (int64_t i = 0; i < set->count; i++)
        count += set->cases[i].taken = set->cases[i].taken && set->cases[i].series > 0;
    return count;
}

/* Leaves the cases that have a twin which differs in `field` alone. */
int64_t plot_keep_twins(struct plot_set *set, int field)
{
    struct plot_series s = plot_group(set, UINT32_C(1) << field, 0);
    for (int64_t i = 0; i < set->count; i++) {
        struct plot_case *c = &set->cases[i];
        bool twin = false;
        for (int64_t k = 0; c->taken && k < set->count; k++)
            twin |= set->cases[k].timed && plot_alike(c, &set->cases[k], s.ignored) &&
                    strcmp(c->field[field], set->cases[k].field[field]);
        c->series = twin;
    }
    return keep_marked(set);
}
