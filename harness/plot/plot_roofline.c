// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* plot_roofline.c   The roofline figure: what one machine's arithmetic and memory reach, and every
 * kernel of its records below. One machine, device and number of threads: roofs of others do not
 * stand over these kernels. */
#include "plot/plot_series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KERNELS_MAX 400
#define ROOFS_MAX 24

struct roofs {
    const struct plot_point *peak[ROOFS_MAX], *memory[ROOFS_MAX];
    int peaks, memories;
};

/* ---- what is drawn --------------------------------------------------------------------------- */

static bool same_place(const struct plot_point *a, const struct plot_point *b)
{
    return !strcmp(a->machine, b->machine) && !strcmp(a->device, b->device) &&
           a->threads == b->threads;
}

static int64_t kernels_beside(const struct plot_set *set, const struct plot_point *roof)
{
    int64_t count = 0;
    for (int64_t i = 0; i < set->point_count; i++)
        count += set->points[i].kind == PLOT_KERNEL && set->points[i].intensity > 0 &&
                 same_place(&set->points[i], roof);
    return count;
}

/* A roof of the place with most kernels; of equal ones the newer, then that of more threads. */
static const struct plot_point *choose_place(const struct plot_set *set)
{
    const struct plot_point *best = NULL;
    int64_t best_count = 0;
    for (int64_t i = 0; i < set->point_count; i++) {
        const struct plot_point *p = &set->points[i];
        if (p->kind == PLOT_KERNEL)
            continue;
        int64_t count = kernels_beside(set, p);
        int newer = best ? strcmp(p->created, best->created) : 1;
        if (!best || count > best_count ||
            (count == best_count && (newer > 0 || (newer == 0 && p->threads > best->threads)))) {
            best = p;
            best_count = count;
        }
    }
    return best;
}

/* Of roofs, those of the newest run at a place; of kernels, the newest time of a variant and
 * shape. */
static bool is_newest(const struct plot_set *set, const struct plot_point *p)
{
    for (int64_t i = 0; i < set->point_count; i++) {
        const struct plot_point *q = &set->points[i];
        bool rival = p->kind == PLOT_KERNEL
                         ? q->kind == PLOT_KERNEL && !strcmp(p->group, q->group) &&
                               !strcmp(p->member, q->member) && !strcmp(p->shape, q->shape)
                         : q->kind != PLOT_KERNEL && strcmp(p->run, q->run);
        if (rival && same_place(p, q) && strcmp(q->created, p->created) > 0)
            return false;
    }
    return true;
}

/* Of the units of a type, or the walks through a level, the fastest is the roof. */
static void raise_roof(const struct plot_point *list[ROOFS_MAX], int *count,
                       const struct plot_point *p)
{
    int at = 0;
    while (at < *count && strcmp(list[at]->group, p->group))
        at++;
    if (at == *count && *count < ROOFS_MAX)
        list[(*count)++] = p;
    else if (at < *count && p->rate > list[at]->rate)
        list[at] = p;
}

static int by_rate(const void *a, const void *b)
{
    const struct plot_point *p = *(const struct plot_point *const *)a,
                            *q = *(const struct plot_point *const *)b;
    return p->rate < q->rate ? 1 : p->rate > q->rate ? -1 : 0;
}

static struct roofs collect(const struct plot_set *set, const struct plot_point *place)
{
    struct roofs r = {.peaks = 0};
    for (int64_t i = 0; i < set->point_count; i++) {
        const struct plot_point *p = &set->points[i];
        if (p->kind == PLOT_KERNEL || !same_place(p, place) || !is_newest(set, p))
            continue;
        if (p->kind == PLOT_PEAK)
            raise_roof(r.peak, &r.peaks, p);
        else
            raise_roof(r.memory, &r.memories, p);
    }
    qsort(r.peak, (size_t)r.peaks, sizeof *r.peak, by_rate);
    qsort(r.memory, (size_t)r.memories, sizeof *r.memory, by_rate);
    return r;
}

/* ---- kernels --------------------------------------------------------------------------------- */

struct under {
    const struct plot_point *kernel[KERNELS_MAX];
    int series[KERNELS_MAX], count;
    char name[PLOT_SERIES_MAX][72];
    int names;
    int elsewhere, without, more; /* left out: of other places, without flops, beyond the room */
};

/* One series for each op; claims other than measured are apart. */
static int series_of(struct under *u, const struct plot_point *p)
{
    char name[72];
    bool measured = !strcmp(p->claim, "measured");
    snprintf(name, sizeof name, "%s%s%s", p->group, measured ? "" : ", ", measured ? "" : p->claim);
    for (int i = 0; i < u->names; i++)
        if (!strcmp(u->name[i], name))
            return i;
    if (u->names == PLOT_SERIES_MAX)
        return -1;
    snprintf(u->name[u->names], sizeof u->name[0], "%s", name);
    return u->names++;
}

static void collect_kernels(const struct plot_set *set, const struct plot_point *place,
                            struct under *u)
{
    for (int64_t i = 0; i < set->point_count; i++) {
        const struct plot_point *p = &set->points[i];
        if (p->kind != PLOT_KERNEL)
            continue;
        if (!same_place(p, place)) {
            u->elsewhere++;
            continue;
        }
        if (!is_newest(set, p))
            continue;
        if (!(p->intensity > 0) || !isfinite(p->intensity)) {
            u->without++;
            continue;
        }
        int series = u->count < KERNELS_MAX ? series_of(u, p) : -1;
        if (series < 0) {
            u->more++;
            continue;
        }
        u->kernel[u->count] = p;
        u->series[u->count++] = series;
    }
}

/* ---- the data file --------------------------------------------------------------------------- */

struct frame {
    double x_low, x_high, y_low, y_high; /* flop per byte, GFLOP/s */
};

/* From below the leftmost kernel or ridge to beyond the last, and all kernels between top and
 * bottom. */
static struct frame frame_of(const struct roofs *r, const struct under *u)
{
    double top = r->peak[0]->rate, low = r->peak[r->peaks - 1]->rate;
    double slow = r->memory[r->memories - 1]->rate, fast = r->memory[0]->rate;
    struct frame f = {low / fast, top / slow, low, top};
    for (int i = 0; i < u->count; i++) {
        f.x_low = fmin(f.x_low, u->kernel[i]->intensity);
        f.x_high = fmax(f.x_high, u->kernel[i]->intensity);
    }
    f.y_low = fmax(f.y_low, slow * f.x_low);
    for (int i = 0; i < u->count; i++)
        f.y_low = fmin(f.y_low, u->kernel[i]->rate);
    return (struct frame){f.x_low / 2, f.x_high * 2, f.y_low / 2e9, f.y_high * 2e-9};
}

static void left_out(const struct under *u, struct plot_note *note)
{
    const struct {
        int count;
        const char *what;
    } rows[] = {{u->elsewhere, "of another machine, device or number of threads"},
                {u->without, "of ops that count no flops"},
                {u->more, "of further ops"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t used = strlen(note->left_out);
        if (rows[i].count)
            snprintf(note->left_out + used, sizeof note->left_out - used, "%s%d kernel time%s %s",
                     used ? "; " : "", rows[i].count, rows[i].count == 1 ? "" : "s", rows[i].what);
    }
}

static const struct plot_point *fastest(const struct under *u, int series)
{
    const struct plot_point *best = NULL;
    for (int i = 0; i < u->count; i++)
        if (u->series[i] == series && (!best || u->kernel[i]->rate > best->rate))
            best = u->kernel[i];
    return best;
}

/* Points stand too near each other for names: the legend names the fastest of each op. */
static void write_kernels(const struct under *u, FILE *out)
{
    for (int s = 0; s < u->names; s++) {
        const struct plot_point *best = fastest(u, s);
        fprintf(out, "\n\n\n%s, fastest: %s %.4g GFLOP/s\n", u->name[s], best->member,
                best->rate / 1e9);
        for (int i = 0; i < u->count; i++)
            if (u->series[i] == s)
                fprintf(out, "%.9g\t%.9g\t%s\t%s\t%s\n", u->kernel[i]->intensity,
                        u->kernel[i]->rate / 1e9, u->kernel[i]->member,
                        *u->kernel[i]->status ? u->kernel[i]->status : "unknown",
                        *u->kernel[i]->shape ? u->kernel[i]->shape : "unknown");
    }
}

/* Memory roofs end at the highest peak, peaks begin under the fastest memory. The third point is
 * where the name stands: near the lower end of a slope, at the right end of a peak. */
static void write_roofs(const struct roofs *r, const struct frame *f, FILE *out)
{
    for (int i = 0; i < r->memories; i++) {
        const struct plot_point *m = r->memory[i];
        double rate = m->rate / 1e9, from = fmax(f->x_low, f->y_low / rate);
        double to = r->peak[0]->rate / m->rate, at = from * pow(to / from, 0.06);
        fprintf(out, "\n\n\n%s\n%.9g\t%.9g\t-\n%.9g\t%.9g\t-\n%.9g\t%.9g\t%s  %.3g GB/s\n",
                m->group, from, rate * from, to, rate * to, at, rate * at, m->group, rate);
    }
    for (int i = 0; i < r->peaks; i++) {
        const struct plot_point *p = r->peak[i];
        double rate = p->rate / 1e9, from = p->rate / r->memory[0]->rate;
        fprintf(out, "\n\n\n%s\n%.9g\t%.9g\t-\n%.9g\t%.9g\t-\n%.9g\t%.9g\t%s %s  %.*f\n", p->group,
                from, rate, f->x_high, rate, f->x_high, rate, p->group, p->member, rate < 99.5,
                rate);
    }
}

void plot_write_roofline(struct plot_set *set, FILE *out, struct plot_note *note)
{
    static struct under u;
    const struct plot_point *place = choose_place(set);
    struct roofs r = {.peaks = 0};
    u = (struct under){.count = 0};
    if (place)
        r = collect(set, place);
    if (!r.peaks || !r.memories) {
        snprintf(note->missing, sizeof note->missing,
                 "ceilings, as 'patchmark roofline' makes them");
        return;
    }
    collect_kernels(set, place, &u);
    if (!u.count) {
        snprintf(note->missing, sizeof note->missing,
                 "kernel cases at the %lld threads of the ceilings", (long long)place->threads);
        return;
    }
    struct frame f = frame_of(&r, &u);
    left_out(&u, note);
    note->series = u.names;
    fprintf(
        out,
        "# block 0: caption, not shown, series, memory roofs, peaks, x and y ranges\n"
        "# series: flop_per_byte GFLOP_s variant status shape; roofs: flop_per_byte GFLOP_s"
        " name, of the third point\n"
        "measured, %s, %s, %lld threads, roofs of %.10s\t%s\t%d\t%d\t%d\t%.9g\t%.9g\t%.9g\t%.9g",
        place->machine, place->device, (long long)place->threads, place->created, note->left_out,
        u.names, r.memories, r.peaks, f.x_low, f.x_high, f.y_low, f.y_high);
    write_kernels(&u, out);
    write_roofs(&r, &f, out);
}
