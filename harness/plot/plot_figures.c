// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* plot_figures.c   The data file of each figure: tab-separated, a block per series whose first line
 * is the legend, blocks two empty lines apart. Block 0 is one line: caption, what is not shown,
 * number of series, and more numbers where a figure says so. */
#include "base/stats.h"
#include "plot/plot_series.h"

#include <math.h>
#include <string.h>

#define ROWS_MAX 24

/* gnuplot misreads an empty last column. */
static const char *status_of(const struct plot_case *c)
{
    return *c->status ? c->status : "unknown";
}

/* ---- how does the time for a clip grow with its duration? ------------------------------------ */

/* A still is no clip of duration 1/fps: it is drawn, and left out of the fit. */
static double slope_of(const struct plot_set *set, int series)
{
    double x[256], y[256];
    int64_t n = 0;
    for (int64_t i = 0; i < set->count && n < 256; i++)
        if (set->cases[i].series == series && set->cases[i].frames > 1) {
            x[n] = set->cases[i].clip_s;
            y[n++] = set->cases[i].time_s;
        }
    return n < 2 ? NAN : stats_loglog_slope(x, y, n);
}

static void write_duration(struct plot_set *set, FILE *out, struct plot_note *note)
{
    plot_take_common_threads(set);
    if (plot_keep_timed(set) && !plot_keep_twins(set, PLOT_FRAMES)) {
        plot_take_common_threads(set);
        plot_keep_timed(set);
    }
    struct plot_series s = plot_group(set, PLOT_BIT(FRAMES), PLOT_BIT(SIZE));
    if (!s.count) {
        snprintf(note->missing, sizeof note->missing,
                 "pipeline cases with a time, of several durations");
        return;
    }
    fputs("# columns: clip_s time_s lo_s hi_s frames status (interval of the median lo..hi)\n",
          out);
    plot_head(set, &s, PLOT_BIT(FRAMES), out, note);
    for (int i = 0; i < s.count; i++) {
        char name[PLOT_LEGEND_BYTES];
        plot_legend(&s, i, s.shown, false, name);
        double slope = slope_of(set, i);
        fprintf(out, "\n\n\n%s", name);
        fprintf(out, isnan(slope) ? ", no slope\n" : ", slope %.2f\n", slope);
        for (int64_t k = 0; k < set->count; k++) {
            const struct plot_case *c = &set->cases[k];
            if (c->series == i)
                fprintf(out, "%.9g\t%.9g\t%.9g\t%.9g\t%lld\t%s\n", c->clip_s, c->time_s, c->lo_s,
                        c->hi_s, (long long)c->frames, status_of(c));
        }
    }
}

/* ---- how much video per hour, at which size? ------------------------------------------------- */

static double video_s_per_h(const struct plot_case *c, double time_s)
{
    return 3600 * c->clip_s / time_s;
}

static int64_t timed_with(const struct plot_set *set, int64_t frames)
{
    int64_t count = 0;
    for (int64_t i = 0; i < set->count; i++)
        count += set->cases[i].taken && set->cases[i].timed && set->cases[i].frames == frames;
    return count;
}

/* The number of frames that most taken cases share, the larger of two; 1 only where all are stills,
 * 0 where none has a time. */
static int64_t common_frames(const struct plot_set *set)
{
    int64_t best = 0, best_count = 0;
    for (int64_t i = 0; i < set->count; i++) {
        int64_t frames = set->cases[i].frames, count = timed_with(set, frames);
        bool more = count > best_count || (count == best_count && frames > best);
        if (count && (best > 1 ? frames > 1 && more : frames > best)) {
            best = frames;
            best_count = count;
        }
    }
    return best;
}

/* Distinct sizes of taken cases by their pixels; returns how many. */
static int sizes_of(const struct plot_set *set, const struct plot_case *size[ROWS_MAX])
{
    int count = 0;
    for (int64_t i = 0; i < set->count; i++) {
        const struct plot_case *c = &set->cases[i];
        int at = 0, known = 0;
        for (int k = 0; k < count; k++) {
            known |= !strcmp(size[k]->field[PLOT_SIZE], c->field[PLOT_SIZE]);
            at += size[k]->width * size[k]->height <= c->width * c->height;
        }
        if (!c->taken || known || count == ROWS_MAX)
            continue;
        memmove(size + at + 1, size + at, (size_t)(count - at) * sizeof *size);
        size[at] = c;
        count++;
    }
    return count;
}

/* Takes the cases of at most ROWS_MAX sizes. */
static int take_sizes(struct plot_set *set, const struct plot_case *size[ROWS_MAX + 1])
{
    int sizes = sizes_of(set, size);
    for (int64_t i = 0; i < set->count; i++) {
        bool known = false;
        for (int row = 0; row < sizes; row++)
            known |= !strcmp(size[row]->field[PLOT_SIZE], set->cases[i].field[PLOT_SIZE]);
        set->cases[i].taken &= known;
    }
    return sizes;
}

static const struct plot_case *bar_of(const struct plot_set *set, int series, const char *size)
{
    for (int64_t i = 0; i < set->count; i++)
        if (set->cases[i].series == series && !strcmp(set->cases[i].field[PLOT_SIZE], size))
            return &set->cases[i];
    return NULL;
}

/* Series below `end` that have a bar at this size. */
static int bars_before(const struct plot_set *set, int end, const char *size)
{
    int bars = 0;
    for (int i = 0; i < end; i++)
        bars += bar_of(set, i, size) != NULL;
    return bars;
}

/* Bars stand around the middle of their size; a case without a time leaves its place empty. */
static void write_bar(const struct plot_case *c, int row, double shift, FILE *out)
{
    fprintf(out, "%d\t%g\t%s\t", row, shift, c->field[PLOT_SIZE]);
    if (c->timed)
        fprintf(out, "%.9g\t%.9g\t%.9g\t%s\n", video_s_per_h(c, c->time_s),
                video_s_per_h(c, c->hi_s), video_s_per_h(c, c->lo_s), status_of(c));
    else
        fprintf(out, "NaN\tNaN\tNaN\t%s\n", status_of(c));
}

static void write_bars(const struct plot_set *set, const struct plot_series *s, int at,
                       const struct plot_case *const *size, int sizes, FILE *out)
{
    for (int row = 0; row < sizes; row++) {
        const char *name = size[row]->field[PLOT_SIZE];
        const struct plot_case *c = bar_of(set, at, name);
        double middle = (bars_before(set, s->count, name) - 1) / 2.0;
        if (c)
            write_bar(c, row, bars_before(set, at, name) - middle, out);
    }
}

static void write_throughput(struct plot_set *set, FILE *out, struct plot_note *note)
{
    const struct plot_case *size[ROWS_MAX + 1];
    plot_take_common_threads(set);
    int64_t frames = common_frames(set);
    for (int64_t i = 0; i < set->count; i++)
        set->cases[i].taken &= set->cases[i].frames == frames;
    if (!frames) {
        snprintf(note->missing, sizeof note->missing, "pipeline cases with a time");
        return;
    }
    int sizes = take_sizes(set, size), widest = 0;
    struct plot_series s = plot_group(set, PLOT_BIT(SIZE), 0);
    s.shown |= s.shown ? 0 : PLOT_BIT(MACHINE);
    for (int row = 0; row < sizes; row++) {
        int bars = bars_before(set, s.count, size[row]->field[PLOT_SIZE]);
        widest = bars > widest ? bars : widest;
    }
    fputs("# block 0: caption, not shown, series, sizes, frames of every clip, its seconds, most "
          "bars of a size\n"
          "# columns: row bars_from_middle size video_s_per_h lo hi status\n"
          "# last block: row size\n",
          out);
    plot_head(set, &s, PLOT_BIT(SIZE), out, note);
    fprintf(out, "\t%d\t%lld\t%.3g\t%d", sizes, (long long)frames, s.first[0]->clip_s, widest);
    for (int i = 0; i < s.count; i++) {
        char name[PLOT_LEGEND_BYTES];
        plot_legend(&s, i, s.shown, false, name);
        fprintf(out, "\n\n\n%s\n", name);
        write_bars(set, &s, i, size, sizes, out);
    }
    fputs("\n\n\nsizes\n", out);
    for (int row = 0; row < sizes; row++)
        fprintf(out, "%d\t%s\n", row, size[row]->field[PLOT_SIZE]);
}

/* ---- where does the time go? ----------------------------------------------------------------- */

/* Takes cases with a stage split, at most ROWS_MAX: where there are more, those of one duration. */
static int take_split(struct plot_set *set)
{
    plot_take_common_threads(set);
    int64_t frames = common_frames(set);
    int split = 0, rows = 0;
    for (int64_t i = 0; i < set->count; i++) {
        struct plot_case *c = &set->cases[i];
        for (int k = 0; k < PLOT_STAGES; k++)
            c->taken &= c->timed && isfinite(c->stage_s[k]);
        split += c->taken;
    }
    for (int64_t i = 0; i < set->count; i++) {
        struct plot_case *c = &set->cases[i];
        c->taken &= rows < ROWS_MAX && (split <= ROWS_MAX || c->frames == frames);
        rows += c->taken;
    }
    return rows;
}

static void write_row(const struct plot_set *set, const struct plot_series *s,
                      const struct plot_case *c, FILE *out)
{
    char name[PLOT_LEGEND_BYTES], clip[32] = "still";
    uint32_t hidden = plot_is_plan_plain(set, s, c) ? PLOT_BIT(PLAN) : 0;
    plot_legend(s, c->series, s->shown & ~hidden, true, name);
    if (c->frames > 1)
        snprintf(clip, sizeof clip, "%.3g s", c->clip_s);
    fprintf(out, "%s %s%s%s\t%.9g\t%.9g\t%.9g\t%.9g\t%s\n", c->field[PLOT_SIZE], clip,
            *name ? ", " : "", name, c->stage_s[0], c->stage_s[1], c->stage_s[2], c->time_s,
            status_of(c));
}

static void write_stages(struct plot_set *set, FILE *out, struct plot_note *note)
{
    int rows = take_split(set);
    struct plot_series s = plot_group(set, PLOT_BIT(SIZE) | PLOT_BIT(FRAMES), 0);
    rows -= s.more;
    if (!rows) {
        snprintf(note->missing, sizeof note->missing,
                 "pipeline cases with the times of text, denoise and decode");
        return;
    }
    fputs("# block 0: caption, not shown, series, rows\n"
          "# columns: case text_s denoise_s decode_s total_s status\n",
          out);
    plot_head(set, &s, PLOT_BIT(SIZE) | PLOT_BIT(FRAMES), out, note);
    fprintf(out, "\t%d\n\n\ncase\n", rows);
    for (int64_t i = 0; i < set->count; i++)
        if (plot_is_drawn(&set->cases[i]))
            write_row(set, &s, &set->cases[i], out);
}

/* ---- what do more threads bring? ------------------------------------------------------------- */

static void write_threads(struct plot_set *set, FILE *out, struct plot_note *note)
{
    for (int64_t i = 0; i < set->count; i++)
        set->cases[i].taken = set->cases[i].timed;
    plot_keep_twins(set, PLOT_THREADS);
    struct plot_series s = plot_group(set, PLOT_BIT(THREADS), PLOT_BIT(SIZE) | PLOT_BIT(FRAMES));
    if (!s.count) {
        snprintf(note->missing, sizeof note->missing,
                 "pipeline cases that differ only in threads, "
                 "as run --threads 1,2 makes them");
        return;
    }
    fputs("# columns: threads video_s_per_h lo hi efficiency_percent status\n"
          "# efficiency = p0 T(p0) / (p T(p)), p0 = the fewest threads of the series\n",
          out);
    plot_head(set, &s, PLOT_BIT(THREADS), out, note);
    for (int i = 0; i < s.count; i++) {
        char name[PLOT_LEGEND_BYTES];
        plot_legend(&s, i, s.shown, false, name);
        fprintf(out, "\n\n\n%s\n", name);
        const struct plot_case *base = s.first[i]; /* sorted: the fewest threads come first */
        for (int64_t k = 0; k < set->count; k++) {
            const struct plot_case *c = &set->cases[k];
            if (c->series == i)
                fprintf(out, "%lld\t%.9g\t%.9g\t%.9g\t%.9g\t%s\n", (long long)c->threads,
                        video_s_per_h(c, c->time_s), video_s_per_h(c, c->hi_s),
                        video_s_per_h(c, c->lo_s),
                        100 * (double)base->threads * base->time_s /
                            ((double)c->threads * c->time_s),
                        status_of(c));
        }
    }
}

const struct plot_figure plot_figures[] = {
    {"duration", "How does the time for a clip grow with its duration?", write_duration},
    {"throughput", "How much video does an hour of machine make, at which size?", write_throughput},
    {"stages", "Where does the time of a clip go?", write_stages},
    {"threads", "What do more threads bring?", write_threads},
    {"roofline", "How near are the kernels to what the machine can do?", plot_write_roofline},
    {NULL, NULL, NULL},
};
