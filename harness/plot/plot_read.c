// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* plot_read.c   Result files back into memory, for plots. A record that cannot be read is refused,
 * never repaired: a plot with a silently missing point answers a different question. */
#include "plot/plot.h"

#include "records/results_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_BYTES_MAX 2000

/* Letters, digits and a few marks; everything else becomes '_', so that no text can end a string,
 * begin a comment or open a pipe where it is plotted. */
static char *make_safe(char *text)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                               "0123456789 ._+-=:,@()";
    for (char *c = text; c && *c; c++)
        if (!strchr(safe, *c))
            *c = '_';
    return text;
}

static int64_t count_at(const struct result *r, const char *path)
{
    int64_t count = 0;
    result_int(r, path, &count);
    return count;
}

static char *field_text(const struct result *r, const char *path)
{
    const char *text = result_text(r, path);
    double value = result_number(r, path);
    int64_t count;
    char number[40] = "";
    if (result_int(r, path, &count))
        snprintf(number, sizeof number, "%lld", (long long)count);
    else if (!isnan(value))
        snprintf(number, sizeof number, "%.6g", value);
    return make_safe(strndup(*text ? text : number, FIELD_BYTES_MAX));
}

static bool read_fields(const struct result *r, struct plot_case *c)
{
    static const char *const paths[] = {
#define FIELD_PATH(name, path, label) path,
        PLOT_FIELDS(FIELD_PATH)
#undef FIELD_PATH
    };
    bool ok = true;
    for (int f = 0; f < PLOT_FIELD_COUNT; f++)
        if (f != PLOT_SIZE)
            ok &= !!(c->field[f] = field_text(r, paths[f]));
    return asprintf(&c->field[PLOT_SIZE], "%lldx%lld", (long long)c->width, (long long)c->height) >
               0 &&
           ok;
}

static void free_fields(struct plot_case *c)
{
    for (int f = 0; f < PLOT_FIELD_COUNT; f++)
        free(c->field[f]);
}

static void read_times(const struct result *r, struct plot_case *c)
{
    static const char *const stages[PLOT_STAGES] = {"stages.text_ns", "stages.denoise_ns",
                                                    "stages.decode_ns"};
    c->time_s = result_number(r, "timing.median") * 1e-9;
    c->lo_s = result_number(r, "timing.lo") * 1e-9;
    c->hi_s = result_number(r, "timing.hi") * 1e-9;
    for (int i = 0; i < PLOT_STAGES; i++)
        c->stage_s[i] = result_number(r, stages[i]) * 1e-9;
    double encode_s = result_number(r, "stages.encode_ns") * 1e-9;
    if (isfinite(encode_s))
        c->stage_s[0] += encode_s;
    c->timed = result_timed(r);
}

static enum status add_case(const struct result *r, struct plot_set *set, struct fault *fault)
{
    struct plot_case c = {.width = count_at(r, "recipe.width"),
                          .height = count_at(r, "recipe.height"),
                          .frames = count_at(r, "recipe.frames"),
                          .threads = count_at(r, "recipe.threads")};
    double fps = result_number(r, "recipe.fps");
    if (c.width < 1 || c.height < 1 || c.frames < 1 || !(fps > 0))
        return result_refuse(r, fault, "a pipeline case without width, height, frames or fps");
    c.clip_s = (double)c.frames / fps;
    snprintf(c.status, sizeof c.status, "%s", result_text(r, "status"));
    snprintf(c.created, sizeof c.created, "%s", result_text(r, "created_utc"));
    snprintf(c.requested, sizeof c.requested, "%s", result_text(r, "impl.requested"));
    make_safe(c.requested);
    make_safe(c.status);
    make_safe(c.created);
    read_times(r, &c);
    if (set->count == set->room) {
        int64_t room = set->room ? 2 * set->room : 64;
        struct plot_case *cases = realloc(set->cases, (size_t)room * sizeof *cases);
        if (!cases)
            return fault_set(fault, ST_NO_MEMORY, "no memory for the records of %s", r->path);
        set->cases = cases;
        set->room = room;
    }
    if (!read_fields(r, &c)) {
        free_fields(&c);
        return fault_set(fault, ST_NO_MEMORY, "no memory for the records of %s", r->path);
    }
    set->cases[set->count++] = c;
    return ST_OK;
}

/* Roofs and kernels with a rate; others have no place in a figure. */
static bool read_point(const struct result *r, struct plot_point *p)
{
    bool ceiling = !strcmp(result_text(r, "case_kind"), "ceiling");
    const char *level = result_text(r, "recipe.level"), *type = result_text(r, "recipe.type");
    double flops = result_number(r, "derived.flops_per_s_best");
    double bytes = result_number(r, "derived.bytes_per_s_best");
    *p = (struct plot_point){.kind = !ceiling       ? PLOT_KERNEL
                                     : isnan(bytes) ? PLOT_PEAK
                                                    : PLOT_MEMORY,
                             .threads = count_at(r, "recipe.threads"),
                             .rate = ceiling ? (isnan(bytes) ? flops : bytes)
                                             : result_number(r, "derived.flops_per_s_actual")};
    p->intensity = result_number(r, "work.flops_actual") / result_number(r, "work.bytes");
    const struct {
        char *to;
        size_t room;
        const char *from;
    } texts[] = {
        {p->machine, sizeof p->machine, result_text(r, "run.machine")},
        {p->device, sizeof p->device, result_text(r, "recipe.device")},
        {p->created, sizeof p->created, result_text(r, "created_utc")},
        {p->run, sizeof p->run, result_text(r, "run_id")},
        {p->claim, sizeof p->claim, result_text(r, "claim")},
        {p->status, sizeof p->status, result_text(r, "status")},
        {p->shape, sizeof p->shape, result_text(r, "recipe.shape")},
        {p->group, sizeof p->group,
         !ceiling ? result_text(r, "recipe.op")
         : *level ? level
         : *type  ? type
                  : "memory"},
        {p->member, sizeof p->member,
         ceiling ? result_text(r, "impl.resolved") : result_text(r, "impl.variant")},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        snprintf(texts[i].to, texts[i].room, "%s", texts[i].from);
        make_safe(texts[i].to);
    }
    size_t used = strlen(p->shape);
    const char *cache = result_text(r, "recipe.cache_state");
    if (!ceiling && *cache)
        snprintf(p->shape + used, sizeof p->shape - used, " %s", cache);
    make_safe(p->shape);
    bool rated = p->rate > 0 && isfinite(p->rate);
    if (!rated && !ceiling)
        p->intensity = NAN; /* an op that counts no flops */
    return result_may_be_timed(r) && (rated || !ceiling);
}

static enum status add_point(const struct result *r, struct plot_set *set, struct fault *fault)
{
    struct plot_point p;
    if (!read_point(r, &p))
        return ST_OK;
    if (set->point_count == set->point_room) {
        int64_t room = set->point_room ? 2 * set->point_room : 64;
        struct plot_point *points = realloc(set->points, (size_t)room * sizeof *points);
        if (!points)
            return fault_set(fault, ST_NO_MEMORY, "no memory for the records of %s", r->path);
        set->points = points;
        set->point_room = room;
    }
    set->points[set->point_count++] = p;
    return ST_OK;
}

static bool is_point(const struct result *r)
{
    const char *kind = result_text(r, "case_kind");
    return !strcmp(r->kind, "case") && (!strcmp(kind, "ceiling") || !strcmp(kind, "kernel"));
}

static enum status visit(const struct result *r, void *user, struct fault *fault)
{
    struct plot_set *set = user;
    if (is_point(r))
        return add_point(r, set, fault);
    if (strcmp(r->kind, "case") || strcmp(result_text(r, "case_kind"), "pipeline"))
        return ST_OK;
    /* Figures are of clips, and times of a denoiser alone would pass for a fast one. */
    if (!strcmp(result_text(r, "recipe.result"), "latents")) {
        set->latents++;
        return ST_OK;
    }
    /* Nor are times of a batch, of a replica among others or of clips that all differ. */
    if (result_type(r, "recipe.batch") != RESULT_ABSENT ||
        result_type(r, "recipe.replicas") != RESULT_ABSENT ||
        result_type(r, "recipe.scenario") != RESULT_ABSENT) {
        set->grouped++;
        return ST_OK;
    }
    /* A case refused before its plan was made says nothing of size or duration. */
    if (result_type(r, "recipe") == RESULT_ABSENT && !result_may_be_timed(r)) {
        set->unknown++;
        return ST_OK;
    }
    return add_case(r, set, fault);
}

/* Numbers by value, sizes by pixels, the rest by name. */
static int order_field(const struct plot_case *a, const struct plot_case *b, int f)
{
    if (f == PLOT_SIZE) {
        int64_t pa = a->width * a->height, pb = b->width * b->height;
        if (pa != pb)
            return pa < pb ? -1 : 1;
    }
    char *end_a, *end_b;
    double na = strtod(a->field[f], &end_a), nb = strtod(b->field[f], &end_b);
    if (!*end_a && !*end_b && na != nb)
        return na < nb ? -1 : 1;
    return strcmp(a->field[f], b->field[f]);
}

static int order_recipe(const struct plot_case *a, const struct plot_case *b)
{
    for (int f = 0, order; f < PLOT_FIELD_COUNT; f++)
        if ((order = order_field(a, b, f)))
            return order;
    return 0;
}

static int order_cases(const void *x, const void *y)
{
    const struct plot_case *a = x, *b = y;
    int order = order_recipe(a, b);
    return order ? order : -strcmp(a->created, b->created);
}

/* After sorting, the newest of equal cases comes first and stays. */
static void keep_newest(struct plot_set *set)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < set->count; i++) {
        if (kept && !order_recipe(&set->cases[kept - 1], &set->cases[i])) {
            free_fields(&set->cases[i]);
            set->older++;
            continue;
        }
        set->cases[kept++] = set->cases[i];
    }
    set->count = kept;
}

enum status plot_read(const char *const *paths, int count, struct plot_set *set,
                      struct fault *fault)
{
    struct results_tally tally = {0};
    TRY(results_read(paths, count, NULL, visit, set, &tally, fault));
    set->files += tally.files;
    if (set->count)
        qsort(set->cases, (size_t)set->count, sizeof *set->cases, order_cases);
    keep_newest(set);
    return ST_OK;
}

void plot_free(struct plot_set *set)
{
    for (int64_t i = 0; i < set->count; i++)
        free_fields(&set->cases[i]);
    free(set->cases);
    free(set->points);
}
