// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* roofline_print.c   Figures of `roofline` as tables and as JSON. */
#include <math.h>
#include <string.h>

#include "base/wrap.h"
#include "machine/device.h"
#include "machine/host.h"
#include "roofline/roofline.h"

bool roof_is_bytes(const struct roof_figure *f)
{
    return f->kind == ROOF_MEMORY || f->kind == ROOF_COPY;
}

double roof_rate(const struct roof_figure *f)
{
    return f->status == ST_OK && f->n > 0 ? f->work / stats_median(f->samples, f->n) : 0;
}

double roof_rate_best(const struct roof_figure *f)
{
    return roof_rate(f) > 0 ? f->work / stats_summary(f->samples, f->n).min : 0;
}

static bool same(const char *a, const char *b) { return !a || !b || !strcmp(a, b); }

const struct roof_figure *roof_best(const struct roofline *r, enum roof_kind kind, const char *type,
                                    const char *level, int threads)
{
    const struct roof_figure *best = NULL;
    for (int i = 0; i < r->count; i++) {
        const struct roof_figure *f = &r->figure[i];
        if (f->kind == kind && same(type, f->type) && same(level, f->place.name) &&
            f->threads == threads && roof_rate_best(f) > (best ? roof_rate_best(best) : 0))
            best = f;
    }
    return best;
}

static double percent(double part, double whole) { return whole > 0 ? 100 * part / whole : NAN; }

/* Half the interval of the median, and the middle half of the samples, in percent of the median. */
static double interval_percent(const struct summary *s)
{
    return percent((s->hi - s->lo) / 2, s->median);
}

static double spread_percent(const struct summary *s) { return percent(s->q3 - s->q1, s->median); }

static void size_text(size_t bytes, char out[24])
{
    if (bytes >= (size_t)1 << 20)
        snprintf(out, 24, "%.4g MiB", (double)bytes / (1 << 20));
    else
        snprintf(out, 24, "%.4g KiB", (double)bytes / 1024);
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* Three digits that count, so that columns can be read downwards. */
static const char *rate_text(double value, char out[24])
{
    snprintf(out, 24, value < 9.995 ? "%.2f" : value < 99.95 ? "%.1f" : "%.0f", value);
    return out;
}

/* For "%.*f": one digit behind the point, none where many stand before it. */
#define DIGITS(value) (value) < 99.95, (value)

static void print_peak(const struct roofline *r, const struct roof_figure *f, FILE *out)
{
    char text[2][24];
    if (f->status != ST_OK) {
        fprintf(out, "  %-5s -             %s\n", f->type, f->why.text);
        return;
    }
    struct summary s = stats_summary(f->samples, f->n);
    fprintf(out, "  %-5s %-12s %7s %7s  %5.*f  %5.*f", f->type, f->unit,
            rate_text(f->work / s.median / 1e9, text[0]), rate_text(f->work / s.min / 1e9, text[1]),
            DIGITS(interval_percent(&s)), DIGITS(spread_percent(&s)));
    for (int i = 0; i <= r->levels && roof_best(r, ROOF_PEAK, f->type, NULL, f->threads) == f;
         i++) {
        char name[8] = "DRAM";
        if (i < r->levels)
            snprintf(name, sizeof name, "L%d", r->level[i].level % 100);
        const struct roof_figure *memory = roof_best(r, ROOF_MEMORY, NULL, name, f->threads);
        if (memory)
            fprintf(out, " %7s", rate_text(roof_rate_best(f) / roof_rate_best(memory), text[0]));
    }
    fputc('\n', out);
}

static void print_peaks(const struct roofline *r, int threads, FILE *out)
{
    fprintf(out, "\n%d thread%s, measured\n", threads, threads == 1 ? "" : "s");
    fputs("  type  unit         GFLOP/s    best   +- %  spread", out);
    fputs("   flop/byte where memory stops binding:\n", out);
    fprintf(out, "  %50s", "");
    for (int i = 0; i < r->levels; i++)
        fprintf(out, "      L%d", r->level[i].level % 100);
    fputs("    DRAM\n", out);
    for (int i = 0; i < r->count; i++)
        if (r->figure[i].kind == ROOF_PEAK && r->figure[i].threads == threads)
            print_peak(r, &r->figure[i], out);
}

/* One line for each place: its three walks, and the widest interval among them. */
static void print_places(const struct roofline *r, int threads, FILE *out)
{
    char size[24], text[24];
    fputs("  memory  each thread's     GB/s:   read    copy   triad    best   +- %\n", out);
    for (int i = 0; i + WALK_COUNT <= r->count; i++) {
        const struct roof_figure *f = &r->figure[i];
        if (f->kind != ROOF_MEMORY || f->threads != threads || f->walk != WALK_READ)
            continue;
        double best = 0, wide = 0;
        size_text(f->place.bytes, size);
        fprintf(out, "  %-7s %-13s%s          ", f->place.name, size, f->place.capped ? "*" : " ");
        for (int w = 0; w < WALK_COUNT; w++) {
            struct summary s = stats_summary(f[w].samples, f[w].n);
            fprintf(out, " %7s", rate_text(roof_rate(&f[w]) / 1e9, text));
            best = fmax(best, f[w].work / s.min / 1e9);
            wide = fmax(wide, interval_percent(&s));
        }
        fprintf(out, " %7s  %5.*f\n", rate_text(best, text), DIGITS(wide));
    }
}

static void print_matmuls(const struct roofline *r, int threads, FILE *out)
{
    for (int i = 0; i < r->count; i++) {
        const struct roof_figure *f = &r->figure[i];
        if (f->kind != ROOF_MATMUL || f->threads != threads)
            continue;
        if (f->status != ST_OK) {
            fprintf(out, "  matmul  %s\n", f->why.text);
            continue;
        }
        const struct roof_figure *peak = roof_best(r, ROOF_PEAK, f->type, NULL, threads);
        struct summary s = stats_summary(f->samples, f->n);
        char text[24];
        fprintf(out, "  matmul  %s %lld^3 by %s: %s GFLOP/s (+- %.1f %%)", f->type,
                (long long)f->side, f->unit, rate_text(roof_rate(f) / 1e9, text),
                interval_percent(&s));
        if (f->units_rate > 0)
            fprintf(out, ", %.0f %% of its units at the highest clock",
                    percent(roof_rate_best(f), f->units_rate));
        if (peak)
            fprintf(out, ", %.0f %% of the %s peak",
                    percent(roof_rate_best(f), roof_rate_best(peak)), f->type);
        fputc('\n', out);
    }
}

static void print_copies(const struct roofline *r, FILE *out)
{
    char text[24];
    for (int i = 0; i < r->count; i++) {
        const struct roof_figure *f = &r->figure[i];
        if (f->kind != ROOF_COPY)
            continue;
        if (f->status != ST_OK) {
            fprintf(out, "  %-9s %s\n", f->name, f->why.text);
            continue;
        }
        struct summary s = stats_summary(f->samples, f->n);
        fprintf(out, "  %-9s %7s GB/s (+- %.1f %%)\n", f->name, rate_text(roof_rate(f) / 1e9, text),
                interval_percent(&s));
    }
}

/* What a reader must know of these figures, a sentence each; "" beyond the last. */
static void note(const struct roofline *r, int index, char *out, size_t bytes)
{
    const struct cache_level *last = r->levels ? &r->level[r->levels - 1] : NULL;
    bool cache = false, dram = false;
    char size[24];
    int64_t n = 0;
    int at = 0;
    for (int i = 0; i < r->count; i++) {
        n = r->figure[i].n > n ? r->figure[i].n : n;
        cache |= r->figure[i].place.capped && !r->figure[i].dram;
        dram |= r->figure[i].place.capped && r->figure[i].dram;
    }
    out[0] = '\0';
    if (last)
        size_text(last->bytes, size);
    if (cache && at++ == index)
        snprintf(out, bytes,
                 "* the last-level cache is reported as %s, more than threads may count on (in a"
                 " virtual machine it is the host's): measured over less",
                 size);
    if (dram && at++ == index)
        snprintf(out, bytes,
                 "* DRAM is measured over less than twice the last-level caches (%s each): part of"
                 " it may come from there",
                 size);
    if (r->unsettled && at++ == index)
        snprintf(out, bytes,
                 "the clock never settled (an FMA probe around each round kept dipping over %d %%)"
                 ": all rounds count, and best is nearer to the truth than the median",
                 5);
    if (r->redone && at++ == index)
        snprintf(out, bytes, "%lld round%s around a dip of the clock taken again",
                 (long long)r->redone, r->redone == 1 ? "" : "s");
    if (n > 0 && device_kind() == DEVICE_CPU && at++ == index)
        snprintf(out, bytes,
                 "+- is half the 95 %% interval of the median, spread the middle half of %lld"
                 " rounds; ridges and shares are of the best; a written line's fetch is not"
                 " counted as moved",
                 (long long)n);
}

void roof_print(const struct roofline *r, FILE *out)
{
    char text[300];
    if (device_kind() == DEVICE_CUDA) {
        print_copies(r, out);
        print_matmuls(r, r->threads[r->thread_counts - 1], out);
        return;
    }
    for (int t = 0; t < r->thread_counts; t++) {
        print_peaks(r, r->threads[t], out);
        print_places(r, r->threads[t], out);
        print_matmuls(r, r->threads[t], out);
    }
    fputc('\n', out);
    for (int i = 0; note(r, i, text, sizeof text), text[0]; i++)
        wrap_print(out, text, 0);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void figure_json(const struct roof_figure *f, struct json *j)
{
    json_open_object(j, NULL);
    json_text(j, "ceiling", f->name);
    if (f->type)
        json_text(j, "type", f->type);
    if (f->kind == ROOF_MEMORY) {
        json_text(j, "level", f->place.name);
        json_int(j, "bytes_per_thread", (int64_t)f->place.bytes);
        json_bool(j, "capped", f->place.capped);
    }
    if (f->kind == ROOF_MATMUL)
        json_text(j, "shape", f->shape);
    json_text(j, "unit", f->unit);
    json_int(j, "threads", f->threads);
    json_text(j, "claim", "measured");
    const char *key = roof_is_bytes(f) ? "bytes_per_s" : "flops_per_s";
    if (roof_rate(f) > 0) {
        struct summary s = stats_summary(f->samples, f->n);
        json_open_object(j, key);
        json_number(j, "median", f->work / s.median);
        json_number(j, "lo", f->work / s.hi);
        json_number(j, "hi", f->work / s.lo);
        json_number(j, "best", f->work / s.min);
        json_number(j, "spread", (s.q3 - s.q1) / s.median);
        json_int(j, "n", f->n);
        json_end(j);
    } else
        json_unavailable(j, key, f->why.text);
    json_end(j);
}

static void ridges_json(const struct roofline *r, struct json *j)
{
    json_open_array(j, "ridges");
    for (int i = 0; i < r->count; i++) {
        const struct roof_figure *f = &r->figure[i];
        if (f->kind != ROOF_PEAK || roof_best(r, ROOF_PEAK, f->type, NULL, f->threads) != f)
            continue;
        for (int k = 0; k < r->count; k++) {
            const struct roof_figure *m = &r->figure[k];
            if (m->threads != f->threads || m->kind != ROOF_MEMORY ||
                roof_best(r, ROOF_MEMORY, NULL, m->place.name, m->threads) != m)
                continue;
            json_open_object(j, NULL);
            json_text(j, "type", f->type);
            json_text(j, "level", m->place.name);
            json_int(j, "threads", f->threads);
            json_number(j, "flops_per_byte", roof_rate_best(f) / roof_rate_best(m));
            json_end(j);
        }
    }
    json_end(j);
}

void roof_json(const struct roofline *r, struct json *j)
{
    char text[300];
    json_open_object(j, NULL);
    json_text(j, "machine", host_machine_slug());
    json_text(j, "device", r->device);
    json_int(j, "rounds", r->rounds);
    json_int(j, "rounds_redone", r->redone);
    json_bool(j, "clock_settled", !r->unsettled);
    json_open_array(j, "figures");
    for (int i = 0; i < r->count; i++)
        figure_json(&r->figure[i], j);
    json_end(j);
    ridges_json(r, j);
    json_open_array(j, "notes");
    for (int i = 0; note(r, i, text, sizeof text), text[0]; i++)
        json_text(j, NULL, text);
    json_end(j);
    json_text(j, "record", r->record);
    json_end(j);
}
