// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* engine_plan.c   The resolved plan as text: for replay, for people, for the record. */
#include "engine/engine_state.h"

#include <stdlib.h>
#include <string.h>

struct line {
    char shape[256], variant[64], knobs[160];
    int first, last;
};

static void line_of(const struct site *s, struct line *out)
{
    memset(out, 0, sizeof *out);
    shape_print(&s->problem, out->shape, sizeof out->shape);
    snprintf(out->variant, sizeof out->variant, "%s", resolved_name(&s->resolved));
    resolved_knobs(&s->resolved, out->knobs, sizeof out->knobs);
    out->first = out->last = s->step;
}

static int by_text(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int d = strcmp(x->shape, y->shape);
    return d ? d : x->first - y->first;
}

static bool same_answer(const struct line *a, const struct line *b)
{
    return !strcmp(a->shape, b->shape) && !strcmp(a->variant, b->variant) &&
           !strcmp(a->knobs, b->knobs);
}

/* Sorted lines, neighbouring steps with one answer merged. Owned by the caller. */
static struct line *lines_of(const struct engine *e, int32_t *count)
{
    struct line *line = calloc((size_t)e->sites + 1, sizeof *line);
    *count = 0;
    if (!line)
        return NULL;
    for (int32_t i = 0; i < e->sites; i++)
        line_of(&e->site[i], &line[i]);
    qsort(line, (size_t)e->sites, sizeof *line, by_text);
    for (int32_t i = 0; i < e->sites; i++) {
        struct line *last = *count ? &line[*count - 1] : NULL;
        if (last && same_answer(last, &line[i]) && line[i].first <= last->last + 1)
            last->last = line[i].first;
        else
            line[(*count)++] = line[i];
    }
    return line;
}

enum status engine_plan_write(const struct engine *engine, FILE *out)
{
    int32_t count;
    struct line *line = lines_of(engine, &count);
    if (!line)
        return ST_NO_MEMORY;
    fputs("# shape\tsteps (0-0: all)\tvariant\tknobs\n", out);
    for (int32_t i = 0; i < count; i++)
        fprintf(out, "%s\t%d-%d\t%s\t%s\n", line[i].shape, line[i].first, line[i].last,
                line[i].variant, line[i].knobs);
    char refused[400];
    for (int i = 0; engine_refused(engine, i, refused, sizeof refused); i++)
        fprintf(out, "# refused when tried: %s\n", refused);
    free(line);
    return ferror(out) ? ST_IO : ST_OK;
}

bool engine_refused(const struct engine *engine, int index, char *line, size_t bytes)
{
    return choice_refused(engine->choice, index, line, bytes);
}

uint64_t engine_plan_hash(const struct engine *engine)
{
    int32_t count;
    struct line *line = lines_of(engine, &count);
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    const unsigned char *bytes = (const unsigned char *)line;
    for (size_t i = 0; line && i < (size_t)count * sizeof *line; i++)
        h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
    free(line);
    return h;
}

static bool listed(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = strstr(list, word); at; at = strstr(at + 1, word))
        if ((at == list || at[-1] == '+') && (!at[n] || at[n] == '+'))
            return true;
    return false;
}

void engine_plan_summary(const struct engine *engine, char *out, size_t bytes)
{
    size_t used = 0;
    out[0] = 0;
    for (int op = 0; op < OP_COUNT; op++) {
        char names[256] = "";
        size_t n = 0;
        for (int32_t i = 0; i < engine->sites; i++) {
            const struct site *s = &engine->site[i];
            if ((int)s->problem.op == op && n < sizeof names &&
                !listed(names, resolved_name(&s->resolved)))
                n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", n ? "+" : "",
                                      resolved_name(&s->resolved));
        }
        if (n && used < bytes)
            used += (size_t)snprintf(out + used, bytes - used, "%s%s=%s", used ? " " : "",
                                     op_table[op]->name, names);
    }
}

bool engine_plan_exact(const struct engine *engine)
{
    for (int32_t i = 0; i < engine->sites; i++) {
        const struct resolved *r = &engine->site[i].resolved;
        if (r->serve == SERVE_VARIANT && !numerics_exact(r->entry->variant->numerics))
            return false;
    }
    return true;
}

void engine_tuned(const struct engine *engine, struct tuned_use *out)
{
    choice_tuned(engine->choice, out);
    for (int32_t i = 0; i < engine->sites; i++) {
        const struct resolved *r = &engine->site[i].resolved;
        out->problems += r->serve == SERVE_VARIANT;
        out->tuned += r->tuned;
    }
}

void engine_tuned_text(const struct engine *engine, char *out, size_t bytes)
{
    struct tuned_use t;
    char stale[96] = "";
    engine_tuned(engine, &t);
    if (t.stale)
        snprintf(stale, sizeof stale,
                 "; %d of its %d lines %s of kernels that changed since or are not here", t.stale,
                 t.lines, t.stale == 1 ? "is" : "are");
    if (!t.asked)
        out[0] = '\0';
    else if (t.why[0])
        snprintf(out, bytes, "untuned: %s", t.why);
    else
        snprintf(out, bytes, "tuned   %d of %d shapes by %s (%s)%s", t.tuned, t.problems, t.file,
                 t.hash, stale);
}
