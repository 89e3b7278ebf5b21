// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_rows.c   One output against the reference, value by value: which rows, what each value may
 * be, and the sentence for the first that is wrong. */
#include "check/check_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "elem.h"
#include "random.h"
#include "timing/measure.h"

#define SAMPLED_ROWS 64 /* random ones, beside the edges */
#define SAMPLED_LEAST 8 /* of both, however long one takes */
#define SAMPLED_MAX 512
#define SCANNED 4096         /* rows looked at together */
#define SCAN_LARGE_ELEMS 1e5 /* worth waking threads for */
/* A Winograd tile reads at most 8 x 8 pixels, so an infinity reaches no further than 7. */
#define TILE_REACH 7

/* Address of a value in elements from the tensor's base. */
static int64_t position(const struct output *o, int64_t ref_row, int64_t elem)
{
    int64_t parts = o->row_elems / o->ref_elems;
    return ref_row / parts * o->tensor->stride + ref_row % parts * o->ref_elems + elem;
}

/* ---- one value, one row ---------------------------------------------------------------------- */

enum verdict { FINE, BEYOND, UNWRITTEN, EXTRA_NONFINITE, SWALLOWED, VERDICTS };

/* Where the exact value is finite but rounds to infinity, or nearly, either side of the border is
 * right within the tolerance. */
static bool rounds_to(enum elem type, double value, double limit, double got)
{
    return elem_round(type, value + limit) == got || elem_round(type, value - limit) == got;
}

static enum verdict judge(const struct check *c, const struct output *o, double got, double value,
                          double mag, double *ratio, double *difference)
{
    bool winograd = c->numerics == NUM_WINOGRAD;
    enum elem type = o->tensor->elem;
    double expected = elem_round(type, value);
    *ratio = *difference = 0;
    if (isnan(expected))
        return isnan(got) ? FINE : SWALLOWED;
    if (isinf(value))
        return got == expected || (winograd && isnan(got)) ? FINE
               : isfinite(got)                             ? SWALLOWED
                                                           : EXTRA_NONFINITE;
    double size = isinf(expected) ? fabs(value) : fabs(expected);
    double limit = (o->tolerance->rel * size + o->tolerance->abs * mag) * elem_eps(type) +
                   elem_min_normal(type);
    if (!isfinite(got))
        return rounds_to(type, value, limit, got) ? FINE : EXTRA_NONFINITE;
    *difference = fabs(got - (isinf(expected) ? value : expected));
    *ratio = *difference / limit;
    return *difference <= limit ? FINE : BEYOND;
}

static bool is_poison(const struct output *o, int64_t at)
{
    static const unsigned char poison[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    enum elem type = o->tensor->elem;
    size_t bytes = elem_bytes(type);
    return o->poisoned && (type == ELEM_F32 || type == ELEM_BF16 || type == ELEM_F16) &&
           memcmp((const unsigned char *)o->tensor->data + (size_t)at * bytes, poison, bytes) == 0;
}

/* What comparing found; one per thread, then merged. */
struct tally {
    double worst, max_abs, error2, norm2;
    int64_t checked, nonfinite;
    enum verdict verdict; /* of the first failure, in row order */
    int64_t row, elem;
    double got, expected, ratio;
};

static bool earlier(const struct tally *a, const struct tally *b)
{
    return a->verdict != FINE && (b->verdict == FINE || a->row < b->row);
}

static void merge(struct tally *into, const struct tally *t)
{
    struct tally sum = earlier(t, into) ? *t : *into;
    sum.worst = fmax(into->worst, t->worst);
    sum.max_abs = fmax(into->max_abs, t->max_abs);
    sum.error2 = into->error2 + t->error2;
    sum.norm2 = into->norm2 + t->norm2;
    sum.checked = into->checked + t->checked;
    sum.nonfinite = into->nonfinite + t->nonfinite;
    *into = sum;
}

static void frame_of(const struct problem *p, int64_t *height, int64_t *width)
{
    *height = *width = 0;
    if (p->op == OP_conv3d) {
        *height = conv3d_Ho(&p->conv3d);
        *width = conv3d_Wo(&p->conv3d);
    } else if (p->op == OP_norm_conv3d) {
        *height = norm_conv3d_Ho(&p->norm_conv3d);
        *width = norm_conv3d_Wo(&p->norm_conv3d);
    }
}

/* Winograd alone: whether the reference is not finite somewhere within the tile of this pixel. */
static bool within_tile(const struct check *c, int k, int64_t row, double *value)
{
    int64_t height, width;
    frame_of(&c->pristine, &height, &width);
    if (c->numerics != NUM_WINOGRAD || height == 0)
        return false;
    int64_t frame = row / (height * width), y = row / width % height, x = row % width;
    for (int64_t j = y - TILE_REACH; j <= y + TILE_REACH; j++) {
        for (int64_t i = x - TILE_REACH; i <= x + TILE_REACH; i++) {
            if (j < 0 || j >= height || i < 0 || i >= width)
                continue;
            c->info->ref(problem_body(&c->pristine), k, (frame * height + j) * width + i, value,
                         NULL);
            for (int64_t e = 0; e < c->output[k].ref_elems; e++) {
                if (!isfinite(value[e]))
                    return true;
            }
        }
    }
    return false;
}

static void count_error(const struct output *o, double expected, double got, double difference,
                        struct tally *t)
{
    t->checked++;
    t->max_abs = fmax(t->max_abs, difference);
    if (!isfinite(expected) || !isfinite(got))
        return;
    double above = fmax(0, difference - elem_min_normal(o->tensor->elem));
    t->error2 += above * above;
    t->norm2 += expected * expected;
}

/* buffer: three rows of doubles. */
static void compare_row(const struct check *c, int k, int64_t row, double *buffer, struct tally *t)
{
    const struct output *o = &c->output[k];
    double *value = buffer, *mag = buffer + o->ref_elems, *spare = mag + o->ref_elems;
    enum { UNKNOWN, NEAR, FAR } tile = UNKNOWN;
    c->info->ref(problem_body(&c->pristine), k, row, value, mag);
    for (int64_t e = 0; e < o->ref_elems; e++) {
        int64_t at = position(o, row, e);
        double got = elem_get(o->tensor->data, o->tensor->elem, at), ratio, difference;
        double expected = elem_round(o->tensor->elem, value[e]);
        enum verdict verdict = judge(c, o, got, value[e], mag[e], &ratio, &difference);
        if (verdict != FINE && is_poison(o, at))
            verdict = UNWRITTEN;
        if (verdict == EXTRA_NONFINITE && tile == UNKNOWN)
            tile = within_tile(c, k, row, spare) ? NEAR : FAR;
        if (verdict == EXTRA_NONFINITE && tile == NEAR)
            verdict = FINE;
        count_error(o, expected, got, difference, t);
        t->worst = fmax(t->worst, ratio);
        t->nonfinite += verdict == EXTRA_NONFINITE;
        if (verdict == FINE || t->verdict != FINE)
            continue;
        t->verdict = verdict;
        t->row = row;
        t->elem = e;
        t->got = got;
        t->expected = expected;
        t->ratio = ratio;
    }
}

static bool compare_rows(struct check *c, int k, const int64_t *rows, int64_t count,
                         struct tally *total)
{
    int threads = c->bound->exec.threads;
    int64_t elems = c->output[k].ref_elems;
    double *buffer = malloc((size_t)threads * 3 * (size_t)elems * sizeof *buffer);
    int next = 0;
    if (!buffer)
        return check_fail(c->result, ST_NO_MEMORY, "no memory for rows of the reference");
#pragma omp parallel num_threads(threads)
    {
        struct tally mine = {0};
        int number;
#pragma omp atomic capture
        number = next++;
        double *own = buffer + (size_t)number * 3 * (size_t)elems;
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < count; i++) {
            compare_row(c, k, rows ? rows[i] : i, own, &mine);
            if (number == 0)
                bound_alive(c->bound);
        }
#pragma omp critical
        merge(total, &mine);
    }
    free(buffer);
    return true;
}

/* ---- which rows ------------------------------------------------------------------------------ */

/* The axes that an output's rows run over, slowest first, where the op has more than one: the edges
 * of each are where kernels go wrong. */
static void axes_of(const struct problem *p, int64_t rows, int64_t axis[3])
{
    int64_t height, width;
    frame_of(p, &height, &width);
    if (p->op == OP_to_rgb) {
        height = p->to_rgb.Ho;
        width = p->to_rgb.Wo;
    } else if (p->op == OP_upsample) {
        height = p->upsample.H * p->upsample.fs;
        width = p->upsample.W * p->upsample.fs;
    } else if (p->op == OP_average_down) {
        height = p->average_down.H / p->average_down.fs;
        width = p->average_down.W / p->average_down.fs;
    } else if (p->op == OP_duplicate_up) {
        height = p->duplicate_up.H * p->duplicate_up.fs;
        width = p->duplicate_up.W * p->duplicate_up.fs;
    } else if (p->op == OP_attention) {
        height = p->attention.Sq;
        width = p->attention.N;
    }
    axis[0] = height ? rows / (height * width) : rows;
    axis[1] = height ? height : 1;
    axis[2] = height ? width : 1;
}

/* Row numbers, each once. */
struct sample {
    int64_t row[SAMPLED_MAX], count;
};

static void sample_add(struct sample *s, int64_t most, int64_t row)
{
    for (int64_t i = 0; i < s->count; i++)
        if (s->row[i] == row)
            return;
    if (s->count < most)
        s->row[s->count++] = row;
}

/* Corners, middles of edges and faces, the first and last rows. Opposite ones follow each other, so
 * that a sample cut short still has both ends. */
static void sample_edges(const struct check *c, int k, struct sample *s)
{
    int64_t total = c->output[k].ref_rows, axis[3];
    axes_of(&c->pristine, total, axis);
    for (int i = 0; i < 27; i++) {
        int64_t row = 0;
        int corner = i % 2 ? 26 - i / 2 : i / 2;
        for (int a = 0; a < 3; a++, corner /= 3)
            row = row * axis[a] + (axis[a] - 1) * (corner % 3) / 2;
        sample_add(s, SAMPLED_MAX, row);
    }
    for (int64_t i = 0; i < 8 && i < total; i++) {
        sample_add(s, SAMPLED_MAX, i);
        sample_add(s, SAMPLED_MAX, total - 1 - i);
    }
}

int64_t check_sample_rows(int64_t total, int64_t edges, double affordable)
{
    double rows = fmin((double)(edges + SAMPLED_ROWS), fmax(affordable, SAMPLED_LEAST));
    return (int64_t)fmin(rows, (double)total);
}

/* Edges and random rows; up to half of them edges where not all of both can be afforded. */
static void sample_draw(const struct check *c, int k, uint64_t seed, double affordable,
                        struct sample *s)
{
    int64_t total = c->output[k].ref_rows;
    struct random_stream stream = random_stream_of(seed, "rows");
    sample_edges(c, k, s);
    int64_t most = check_sample_rows(total, s->count, affordable), half = (most + 1) / 2;
    if (most < s->count + SAMPLED_ROWS && most < total && s->count > half)
        s->count = half;
    for (uint64_t i = 0; s->count < most; i++)
        sample_add(s, most, (int64_t)(random_bits(stream, i) % (uint64_t)total));
}

/* What a row holds, worst last. */
enum row_state { ROW_FINITE, ROW_NONFINITE, ROW_POISON };

/* A value of a 16 or 32-bit float is not finite where all bits of its exponent are set. */
#define STATE_LOOP(WORD, EXPONENT)                                                                 \
    for (int64_t e = 0; e < o->ref_elems; e++) {                                                   \
        WORD bits = ((const WORD *)at)[e];                                                         \
        poison |= bits == (WORD) ~(WORD)0;                                                         \
        nonfinite |= (bits & (EXPONENT)) == (EXPONENT);                                            \
    }

static enum row_state state_of(const struct output *o, int64_t row)
{
    int64_t first = position(o, row, 0);
    const char *at = (const char *)o->tensor->data + (size_t)first * elem_bytes(o->tensor->elem);
    bool poison = false, nonfinite = false;
    if (o->tensor->elem == ELEM_F32)
        STATE_LOOP(uint32_t, 0x7f800000u)
    else if (o->tensor->elem == ELEM_BF16)
        STATE_LOOP(uint16_t, 0x7f80)
    else if (o->tensor->elem == ELEM_F16)
        STATE_LOOP(uint16_t, 0x7c00)
    else
        for (int64_t e = 0; e < o->ref_elems; e++)
            nonfinite |= !isfinite(elem_get(o->tensor->data, o->tensor->elem, first + e));
    return poison && o->poisoned ? ROW_POISON : nonfinite ? ROW_NONFINITE : ROW_FINITE;
}

static bool unwritten(struct check *c, const struct output *o, int64_t row)
{
    int64_t e = 0;
    while (!is_poison(o, position(o, row, e)))
        e++;
    return check_fail(c->result, ST_WRONG, "unwritten: %s row %lld of %lld, element %lld", o->name,
                      (long long)row, (long long)o->ref_rows, (long long)e);
}

/* Every value of an output that is not checked whole: leftover poison fails at once, rows with
 * other non-finite values join the sample. */
static bool scan(struct check *c, int k, int64_t most, struct sample *s)
{
    const struct output *o = &c->output[k];
    unsigned char state[SCANNED];
    int threads = c->bound->exec.threads;
    for (int64_t from = 0; from < o->ref_rows; from += SCANNED) {
        int64_t count = o->ref_rows - from < SCANNED ? o->ref_rows - from : SCANNED;
        bool large = (double)count * (double)o->ref_elems > SCAN_LARGE_ELEMS;
#pragma omp parallel for num_threads(threads) schedule(static) if (large)
        for (int64_t i = 0; i < count; i++)
            state[i] = (unsigned char)state_of(o, from + i);
        for (int64_t i = 0; i < count; i++) {
            if (state[i] == ROW_POISON)
                return unwritten(c, o, from + i);
            if (state[i] == ROW_NONFINITE && s->count < most)
                sample_add(s, most, from + i);
        }
        bound_alive(c->bound);
    }
    return true;
}

static int by_number(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* The sample of an output, ready to be compared. Rows that are not finite may double it. */
static bool sample_rows(struct check *c, int k, uint64_t seed, double affordable, struct sample *s)
{
    s->count = 0;
    sample_draw(c, k, seed, affordable, s);
    double most = fmin(SAMPLED_MAX, fmax(affordable, 2.0 * (double)s->count));
    if (!scan(c, k, (int64_t)most, s))
        return false;
    qsort(s->row, (size_t)s->count, sizeof *s->row, by_number);
    return true;
}

/* Seconds that one row adds, all threads at work, from a few of them. */
static double row_seconds(const struct check *c, int k, double *value)
{
    int64_t total = c->output[k].ref_rows, tried = 0;
    double start = clock_seconds(), spent = 0;
    for (; tried < 8 && tried < total && spent < 0.01; tried++) {
        c->info->ref(problem_body(&c->pristine), k, total * tried / 8 % total, value,
                     value + c->output[k].ref_elems);
        spent = clock_seconds() - start;
    }
    return spent / (double)tried / c->bound->exec.threads;
}

/* ---- verdict --------------------------------------------------------------------------------- */

static const struct {
    enum status status;
    const char *what;
} verdicts[VERDICTS] = {
    [BEYOND] = {ST_WRONG, ""},
    [UNWRITTEN] = {ST_WRONG, "unwritten: "},
    [EXTRA_NONFINITE] = {ST_NONFINITE, "the reference is finite: "},
    [SWALLOWED] = {ST_WRONG, "NaN or infinity swallowed: "},
};

/* printf may sign a NaN, which says nothing. */
static const char *number(double value, char *out, size_t bytes)
{
    if (isnan(value))
        return "nan";
    snprintf(out, bytes, "%.9g", value);
    return out;
}

static bool describe(const struct output *o, const struct tally *t, struct check_result *r)
{
    char got[32], expected[32], far[64] = "";
    if (t->verdict == BEYOND)
        snprintf(far, sizeof far, ", %.3g times the tolerance", t->ratio);
    return check_fail(r, verdicts[t->verdict].status,
                      "%s%s row %lld of %lld, element %lld of %lld: got %s, expected %s%s",
                      verdicts[t->verdict].what, o->name, (long long)t->row, (long long)o->ref_rows,
                      (long long)t->elem, (long long)o->ref_elems, number(t->got, got, sizeof got),
                      number(t->expected, expected, sizeof expected), far);
}

/* L2 says something about data that is conditioned well: a peaked softmax turns one rounding of a
 * score into another answer, and the tolerance of single values knows that through mag. */
static bool l2_binds(enum pattern pattern)
{
    return pattern == PATTERN_RANDOM || pattern == PATTERN_OUTLIER;
}

static bool conclude(struct check *c, int k, const struct tally *t)
{
    const struct output *o = &c->output[k];
    struct check_result *r = c->result;
    double l2 = t->error2 > 0 ? sqrt(t->error2 / fmax(t->norm2, 1e-300)) : 0;
    r->worst = fmax(r->worst, t->worst);
    r->max_abs = fmax(r->max_abs, t->max_abs);
    r->l2 = fmax(r->l2, l2);
    r->nonfinite += t->nonfinite;
    if (t->verdict != FINE)
        return describe(o, t, r);
    const double growth = c->info->l2_growth ? c->info->l2_growth(problem_body(&c->pristine)) : 1;
    const double ceiling = o->tolerance->l2 * growth;
    if (l2_binds(c->bound->operands->pattern) && ceiling > 0 && l2 > ceiling)
        return check_fail(r, ST_WRONG, "relative L2 error of %s is %.3g, above %.3g", o->name, l2,
                          ceiling);
    return true;
}

bool check_rows(struct check *c, int k, uint64_t seed, double seconds, int64_t *checked)
{
    const struct output *o = &c->output[k];
    struct sample sample;
    struct tally tally = {0};
    double *value = malloc(2 * (size_t)o->ref_elems * sizeof *value);
    if (!value)
        return check_fail(c->result, ST_NO_MEMORY, "no memory for rows of the reference");
    double each = row_seconds(c, k, value);
    free(value);
    bool whole = each * (double)o->ref_rows <= seconds;
    if (!whole && !sample_rows(c, k, seed, fmax(seconds, c->sample_seconds) / each, &sample))
        return false;
    if (!compare_rows(c, k, whole ? NULL : sample.row, whole ? o->ref_rows : sample.count, &tally))
        return false;
    *checked += tally.checked;
    return conclude(c, k, &tally);
}
