// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sample_case.c   A sampled case as the supervisor sees it: parts and their times in, sums and
 * intervals out. */
#include "base/stats.h"
#include "random.h"
#include "run/sample.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct sample_part *new_part(struct sampled *s)
{
    if (s->parts == s->room) {
        int room = s->room ? 2 * s->room : 64;
        struct sample_part *grown = realloc(s->part, (size_t)room * sizeof *grown);
        if (!grown)
            return NULL;
        s->part = grown;
        s->room = room;
    }
    struct sample_part *p = &s->part[s->parts++];
    *p = (struct sample_part){.tile_weight = 0};
    return p;
}

bool sampled_take_part(struct sampled *s, const char *line)
{
    struct sample_part *p = new_part(s);
    char *end;
    if (!p)
        return false;
    p->tile_weight = strtod(line, &end);
    p->base_weight = strtod(end, &end);
    p->flops = strtod(end, &end);
    p->run_flops = strtod(end, &end);
    for (int i = 0; i < STAGE_COUNT; i++)
        p->calls[i] = strtoll(end, &end, 10);
    return p->tile_weight >= 1 &&
           sscanf(end, " %63s %255s %255s", p->variant, p->shape, p->tile) == 3;
}

static bool runs_whole(const struct sample_part *p) { return !strcmp(p->shape, p->tile); }

/* What one more unit costs cannot be less than nothing. */
static double whole_seconds(const struct sample_part *p, double tile, double base)
{
    return fmax(tile, p->tile_weight * tile + p->base_weight * base);
}

bool sampled_take_times(struct sampled *s, const char *line)
{
    char *end = (char *)line;
    if (s->passes == SAMPLE_PASSES_MAX)
        return false;
    for (int i = 0; i < s->parts; i++) {
        const double tile = strtod(end, &end), base = strtod(end, &end);
        const bool based = s->part[i].base_weight != 0;
        if (!(tile > 0) || (based ? !(base > 0) : base != 0))
            return false;
        s->part[i].seconds[s->passes] = whole_seconds(&s->part[i], tile, base);
    }
    s->passes += !*end;
    return !*end;
}

/* ---- sums ------------------------------------------------------------------------------------ */

static double calls_of(const struct sample_part *p)
{
    double calls = 0;
    for (int i = 0; i < STAGE_COUNT; i++)
        calls += (double)p->calls[i];
    return calls;
}

/* Sorts the few values in place. */
static double median_of(double *value, int count)
{
    for (int i = 1; i < count; i++)
        for (int k = i; k > 0 && value[k] < value[k - 1]; k--) {
            const double kept = value[k];
            value[k] = value[k - 1];
            value[k - 1] = kept;
        }
    return (value[(count - 1) / 2] + value[count / 2]) / 2;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#define BOOTSTRAP_ROUNDS 1000

/* Passes are drawn whole, so that what slowed all parts of a pass stays together. */
static void bootstrap(struct sampled *s, uint64_t seed)
{
    const struct random_stream stream = random_stream_of(seed, "passes");
    double *round = calloc(BOOTSTRAP_ROUNDS, sizeof *round), draw[SAMPLE_PASSES_MAX];
    s->lo_s = s->hi_s = NAN;
    for (int r = 0; round && r < BOOTSTRAP_ROUNDS; r++)
        for (int i = 0; i < s->parts; i++) {
            for (int k = 0; k < s->passes; k++) {
                const uint64_t at = (uint64_t)r * SAMPLE_PASSES_MAX + (uint64_t)k;
                draw[k] = s->part[i].seconds[random_bits(stream, at) % (uint64_t)s->passes];
            }
            round[r] += calls_of(&s->part[i]) * median_of(draw, s->passes);
        }
    if (!round)
        return;
    qsort(round, BOOTSTRAP_ROUNDS, sizeof *round, by_value);
    s->lo_s = fmin(s->total_s, round[BOOTSTRAP_ROUNDS / 40]);
    s->hi_s = fmax(s->total_s, round[BOOTSTRAP_ROUNDS - 1 - BOOTSTRAP_ROUNDS / 40]);
    free(round);
}

static void sum_part(struct sampled *s, struct sample_part *p)
{
    const struct summary m = stats_summary(p->seconds, s->passes);
    p->median = m.median;
    p->lo = m.lo;
    p->hi = m.hi;
    for (int i = 0; i < STAGE_COUNT; i++)
        s->stage_s[i] += (double)p->calls[i] * p->median;
    for (int k = 0; k < s->passes; k++)
        s->pass_s[k] += calls_of(p) * p->seconds[k];
    s->whole += runs_whole(p);
}

void sampled_sum_up(struct sampled *s, uint64_t seed)
{
    double ran = 0, all = 0, micro_s = 0;
    memset(s->stage_s, 0, sizeof s->stage_s);
    memset(s->pass_s, 0, sizeof s->pass_s);
    s->total_s = 0;
    s->whole = 0;
    for (int i = 0; i < s->parts; i++) {
        sum_part(s, &s->part[i]);
        ran += s->part[i].run_flops;
        all += calls_of(&s->part[i]) * s->part[i].flops;
        if (s->part[i].median < SAMPLE_MICRO_SECONDS)
            micro_s += calls_of(&s->part[i]) * s->part[i].median;
    }
    for (int i = 0; i < STAGE_COUNT; i++)
        s->total_s += s->stage_s[i];
    s->micro_share = s->total_s > 0 ? micro_s / s->total_s : 0;
    s->flops_share = all > 0 ? fmin(1, ran / all) : 1;
    bootstrap(s, seed);
}

void sampled_free(struct sampled *s)
{
    free(s->part);
    *s = (struct sampled){0};
}

/* ---- record ---------------------------------------------------------------------------------- */

static void part_json(const struct sampled *s, const struct sample_part *p, struct json *j)
{
    json_open_object(j, NULL);
    json_text(j, "shape", p->shape);
    json_text(j, "tile", runs_whole(p) ? NULL : p->tile);
    json_text(j, "variant", p->variant);
    json_int(j, "calls", (int64_t)calls_of(p));
    json_number(j, "tile_weight", p->tile_weight);
    json_number(j, "base_weight", p->base_weight);
    json_number(j, "median_ns", 1e9 * p->median);
    json_number(j, "lo_ns", 1e9 * p->lo);
    json_number(j, "hi_ns", 1e9 * p->hi);
    json_number(j, "share", calls_of(p) * p->median / s->total_s);
    json_end(j);
}

static void against_json(const struct against *a, struct json *j)
{
    json_open_object(j, "against_full");
    json_int(j, "rounds", a->rounds);
    json_number(j, "full_ns", 1e9 * a->full_s);
    json_number(j, "sampled_ns", 1e9 * a->sampled_s);
    json_number(j, "deviation", against_deviation(a));
    json_open_array(j, "samples");
    for (int i = 0; i < a->rounds; i++)
        json_number(j, NULL, 1e9 * a->round_s[i]);
    json_end(j);
    json_end(j);
}

void sampled_json(const struct sampled *s, struct json *j, const char *key)
{
    json_open_object(j, key);
    json_number(j, "sampled_ratio", s->flops_share);
    json_int(j, "problems", s->parts);
    json_int(j, "problems_whole", s->whole);
    json_int(j, "passes", s->passes);
    json_number(j, "micro_share", s->micro_share);
    if (s->against.rounds)
        against_json(&s->against, j);
    json_open_array(j, "parts");
    for (int i = 0; i < s->parts; i++)
        part_json(s, &s->part[i], j);
    json_end(j);
    json_end(j);
}
