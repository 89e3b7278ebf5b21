// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "elem.h"
#include "measure.h"
#include "random.h"

#define SAMPLED_ROWS 64
#define SAMPLED_MAX 512
/* A Winograd tile reads at most 8 x 8 pixels, so an infinity reaches no further than 7. */
#define TILE_REACH 7

/* ---- binding --------------------------------------------------------------------------------- */

/* Every member of the union starts at one address. */
static const void *any(const struct problem *p)
{
    return &p->linear;
}

enum status bound_new(const struct variant *variant, const int64_t *knob, struct operands *operands,
                      int threads, struct bound *out, struct fault *fault)
{
    *out = (struct bound){.variant = variant, .operands = operands};
    out->exec = (struct exec){.threads = threads};
    variant_default_knobs(variant, out->knob);
    if (knob)
        memcpy(out->knob, knob, sizeof out->knob);
    out->need.threads = threads;
    if (!variant->plan(any(&operands->problem), out->knob, &out->need))
        return fault_set(fault, ST_REFUSED, "%s",
                         out->need.reason ? out->need.reason : "refused without a reason");
    enum status status = guarded_new(&out->scratch, out->need.scratch_bytes, "scratch", fault);
    if (status == ST_OK)
        status = guarded_new(&out->packed, out->need.packed_bytes, "packed weights", fault);
    if (status == ST_OK)
        status = guarded_new(&out->state, out->need.state_bytes, "state", fault);
    if (status == ST_OK && variant->open) {
        status = variant->open(&out->exec, &out->exec.handle);
        if (status != ST_OK)
            fault_set(fault, status, "%s/%s could not open its library", variant->op,
                      variant->name);
    }
    if (status != ST_OK) {
        bound_free(out);
        return status;
    }
    memset(out->state.data, 0, out->state.bytes);
    out->exec.scratch = out->scratch.data;
    out->exec.state = out->state.data;
    return ST_OK;
}

/* The generator frees large weights once they are packed. */
static void drop_packed_weights(struct problem *p)
{
    const struct op_tensor *t = op_table[p->op]->tensor;
    for (int i = 0; i < OP_TENSORS_MAX && t[i].name; i++) {
        if (t[i].role == ROLE_WEIGHT && t[i].fill == OPERAND_FAN_IN)
            problem_tensor(p, i)->data = NULL;
    }
}

enum status bound_prepare(struct bound *b, struct fault *fault)
{
    b->exec.knob = b->knob;
    b->problem = b->operands->problem;
    if (!b->variant->prepare || b->need.packed_bytes == 0)
        return ST_OK;
    b->exec.packed = b->packed.data;
    if (b->variant->prepare(any(&b->problem), &b->exec, b->packed.data) != ST_OK)
        return fault_set(fault, ST_WRONG, "prepare() reported an error");
    drop_packed_weights(&b->problem);
    return ST_OK;
}

enum status bound_run(struct bound *b)
{
    return b->variant->run(any(&b->problem), &b->exec);
}

void bound_free(struct bound *b)
{
    if (b->variant && b->variant->close && b->exec.handle)
        b->variant->close(b->exec.handle);
    guarded_free(&b->scratch);
    guarded_free(&b->packed);
    guarded_free(&b->state);
    *b = (struct bound){0};
}

/* ---- outputs --------------------------------------------------------------------------------- */

struct output {
    const char *name;
    const struct tensor *tensor;
    const struct tolerance *tolerance;
    int64_t rows, row_elems;        /* as stride steps */
    int64_t ref_rows, ref_elems;    /* as the reference counts */
    bool poisoned;                  /* false in place: what stands there is the input */
};

struct check {
    struct bound *bound;
    const struct op_info *info;
    struct problem pristine;
    struct output output[OP_TENSORS_MAX];
    int outputs;
    enum numerics numerics;
    struct check_result *result;
};

static bool fail(struct check_result *r, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Keeps the first failure; always false. */
static bool fail(struct check_result *r, enum status status, const char *format, ...)
{
    if (r->status == ST_OK) {
        va_list args;
        va_start(args, format);
        vsnprintf(r->text, sizeof r->text, format, args);
        va_end(args);
        r->status = status;
    }
    return false;
}

static bool shares_memory(const struct problem *p, int index)
{
    const void *data = problem_tensor_const(p, index)->data;
    int alias = op_table[p->op]->tensor[index].alias;
    return alias >= 0 && problem_tensor_const(p, alias)->data == data;
}

/* Optional outputs do not exist: the reference's number of an output is its place among
 * ROLE_OUT. */
static bool outputs_find(struct check *c)
{
    const struct problem *p = &c->bound->operands->problem;
    for (int i = 0; i < OP_TENSORS_MAX && c->info->tensor[i].name; i++) {
        if (c->info->tensor[i].role != ROLE_OUT)
            continue;
        struct output *o = &c->output[c->outputs++];
        o->name = c->info->tensor[i].name;
        o->tensor = problem_tensor_const(p, i);
        if (!tensor_given(o->tensor) ||
            !c->info->extent(any(p), i, &o->rows, &o->row_elems) || o->rows == 0)
            continue;
        o->ref_elems = c->info->ref_row_elems(any(p), i);
        o->ref_rows = o->rows * (o->row_elems / o->ref_elems);
        o->poisoned = !shares_memory(p, i);
        o->tolerance = problem_tolerance(c->info, o->tensor->elem, c->numerics);
        if (!o->tolerance)
            return fail(c->result, ST_WRONG,
                        "%s states no tolerance for output type %s and this numerics class",
                        c->info->name, elem_name(o->tensor->elem));
    }
    return true;
}

/* Address of a value in elements from the tensor's base. */
static int64_t position(const struct output *o, int64_t ref_row, int64_t elem)
{
    int64_t parts = o->row_elems / o->ref_elems;
    return ref_row / parts * o->tensor->stride + ref_row % parts * o->ref_elems + elem;
}

static size_t row_bytes(const struct output *o)
{
    return (size_t)o->row_elems * elem_bytes(o->tensor->elem);
}

static const unsigned char *row_at(const struct output *o, int64_t row)
{
    return (const unsigned char *)o->tensor->data +
           (size_t)(row * o->tensor->stride) * elem_bytes(o->tensor->elem);
}

static size_t outputs_bytes(const struct check *c)
{
    size_t sum = 0;
    for (int k = 0; k < c->outputs; k++)
        sum += (size_t)c->output[k].rows * row_bytes(&c->output[k]);
    return sum;
}

static void outputs_copy(const struct check *c, unsigned char *to)
{
    for (int k = 0; k < c->outputs; k++) {
        const struct output *o = &c->output[k];
        for (int64_t row = 0; row < o->rows; row++, to += row_bytes(o))
            memcpy(to, row_at(o, row), row_bytes(o));
    }
}

/* Rows are compared bit by bit; *output and *row name the first that differs. */
static bool outputs_equal(const struct check *c, const unsigned char *to, int *output, int64_t *row)
{
    for (int k = 0; k < c->outputs; k++) {
        const struct output *o = &c->output[k];
        for (int64_t i = 0; i < o->rows; i++, to += row_bytes(o)) {
            if (memcmp(to, row_at(o, i), row_bytes(o)) != 0) {
                *output = k;
                *row = i;
                return false;
            }
        }
    }
    return true;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static bool memory_intact(const struct bound *b, struct check_result *r)
{
    static const char *const names[] = {"scratch", "packed weights", "state"};
    const struct guarded *blocks[] = {&b->scratch, &b->packed, &b->state};
    char where[256];
    if (!operands_intact(b->operands, where, sizeof where))
        return fail(r, ST_WRONG, "%s", where);
    for (int i = 0; i < 3; i++) {
        int64_t offset = 0;
        if (!guarded_intact(blocks[i], &offset))
            return fail(r, ST_WRONG, "wrote outside of its %s (byte %lld of %zu)", names[i],
                        (long long)offset, blocks[i]->bytes);
    }
    return true;
}

static bool run_once(struct bound *b, struct check_result *r)
{
    operands_poison(b->operands);
    guarded_poison(&b->scratch);
    enum status status = bound_run(b);
    if (status != ST_OK)
        return fail(r, status, "run() reported an error");
    return memory_intact(b, r);
}

static bool refill(struct bound *b, uint64_t seed, enum pattern pattern, struct check_result *r)
{
    struct fault fault = {""};
    operands_fill(b->operands, seed, pattern);
    enum status status = bound_prepare(b, &fault);
    return status == ST_OK || fail(r, status, "%s", fault.text);
}

/* Another set of data in the same memory, then the data at hand twice. Results kept from the run
 * before, by address or in a static, show as a wrong first run or as two runs that differ. */
static bool run_all(struct check *c, unsigned char *decoy, unsigned char *first)
{
    struct bound *b = c->bound;
    struct check_result *r = c->result;
    uint64_t seed = b->operands->seed;
    enum pattern pattern = b->operands->pattern;
    bool ok = refill(b, seed + 0x1000, PATTERN_RANDOM, r) && run_once(b, r);
    outputs_copy(c, decoy);
    if (!refill(b, seed, pattern, r) || !ok || !run_once(b, r))
        return false;
    outputs_copy(c, first);
    return run_once(b, r);
}

static bool runs_agree(struct check *c, const unsigned char *decoy, const unsigned char *first)
{
    int k = 0;
    int64_t row = 0;
    if (!outputs_equal(c, first, &k, &row))
        return fail(c->result, ST_WRONG,
                    "two runs on the same data differ in %s row %lld: stale, unwritten or not "
                    "deterministic", c->output[k].name, (long long)row);
    /* Few possible values may agree by chance; a page of them does not. */
    if (outputs_bytes(c) >= 64 && c->bound->operands->pattern == PATTERN_RANDOM &&
        outputs_equal(c, decoy, &k, &row))
        return fail(c->result, ST_WRONG,
                    "the output did not change with the data: it is that of the run before");
    return true;
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
    enum verdict verdict;           /* of the first failure, in row order */
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
            c->info->ref(any(&c->pristine), k, (frame * height + j) * width + i, value, NULL);
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
    c->info->ref(any(&c->pristine), k, row, value, mag);
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
        return fail(c->result, ST_NO_MEMORY, "no memory for rows of the reference");
#pragma omp parallel num_threads(threads)
    {
        struct tally mine = {0};
        int number;
#pragma omp atomic capture
        number = next++;
        double *own = buffer + (size_t)number * 3 * (size_t)elems;
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < count; i++)
            compare_row(c, k, rows ? rows[i] : i, own, &mine);
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
    } else if (p->op == OP_attention) {
        height = p->attention.Sq;
        width = p->attention.N;
    }
    axis[0] = height ? rows / (height * width) : rows;
    axis[1] = height ? height : 1;
    axis[2] = height ? width : 1;
}

/* Corners, middles of edges and faces, the first and last rows; then random ones. */
static int64_t rows_sample(const struct check *c, int k, uint64_t seed, int64_t *rows)
{
    int64_t total = c->output[k].ref_rows, axis[3], count = 0;
    axes_of(&c->pristine, total, axis);
    for (int corner = 0; corner < 27; corner++) {
        int64_t row = 0;
        for (int a = 0, code = corner; a < 3; a++, code /= 3)
            row = row * axis[a] + (axis[a] - 1) * (code % 3) / 2;
        rows[count++] = row;
    }
    for (int64_t i = 0; i < 8 && i < total; i++) {
        rows[count++] = i;
        rows[count++] = total - 1 - i;
    }
    struct random_stream stream = random_stream_of(seed, "rows");
    for (uint64_t i = 0; i < SAMPLED_ROWS; i++)
        rows[count++] = (int64_t)(random_bits(stream, i) % (uint64_t)total);
    return count;
}

/* Every value of an output that is not checked whole: leftover poison fails at once, rows with
 * other non-finite values join the sample. */
static bool scan(struct check *c, int k, int64_t *rows, int64_t *count)
{
    const struct output *o = &c->output[k];
    for (int64_t row = 0; row < o->ref_rows; row++) {
        bool finite = true;
        for (int64_t e = 0; e < o->ref_elems; e++) {
            int64_t at = position(o, row, e);
            if (is_poison(o, at))
                return fail(c->result, ST_WRONG, "unwritten: %s row %lld of %lld, element %lld",
                            o->name, (long long)row, (long long)o->ref_rows, (long long)e);
            finite = finite && isfinite(elem_get(o->tensor->data, o->tensor->elem, at));
        }
        if (!finite && *count < SAMPLED_MAX)
            rows[(*count)++] = row;
    }
    return true;
}

/* Seconds that all rows would take, from a few of them. */
static double reference_seconds(const struct check *c, int k, double *value)
{
    int64_t total = c->output[k].ref_rows, tried = 0;
    double start = clock_seconds(), spent = 0;
    for (; tried < 8 && tried < total && spent < 0.01; tried++) {
        c->info->ref(any(&c->pristine), k, total * tried / 8 % total, value,
                     value + c->output[k].ref_elems);
        spent = clock_seconds() - start;
    }
    return spent / (double)tried * (double)total / c->bound->exec.threads;
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
    return fail(r, verdicts[t->verdict].status,
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
    if (l2_binds(c->bound->operands->pattern) && o->tolerance->l2 > 0 && l2 > o->tolerance->l2)
        return fail(r, ST_WRONG, "relative L2 error of %s is %.3g, above %.3g", o->name, l2,
                    o->tolerance->l2);
    return true;
}

static bool check_output(struct check *c, int k, uint64_t seed, double seconds, int64_t *checked)
{
    const struct output *o = &c->output[k];
    int64_t rows[SAMPLED_MAX], count = o->ref_rows;
    double *value = malloc(2 * (size_t)o->ref_elems * sizeof *value);
    if (!value)
        return fail(c->result, ST_NO_MEMORY, "no memory for rows of the reference");
    bool whole = reference_seconds(c, k, value) <= seconds;
    free(value);
    if (!whole) {
        count = rows_sample(c, k, seed, rows);
        if (!scan(c, k, rows, &count))
            return false;
    }
    struct tally tally = {0};
    if (!compare_rows(c, k, whole ? NULL : rows, count, &tally))
        return false;
    int64_t elems = o->ref_rows * o->ref_elems; /* rows may be drawn twice */
    *checked += tally.checked < elems ? tally.checked : elems;
    return conclude(c, k, &tally);
}

static void check_outputs(struct check *c, uint64_t seed, double seconds)
{
    int64_t all = 0, checked = 0;
    bool ok = true;
    for (int k = 0; k < c->outputs; k++) {
        all += c->output[k].rows * c->output[k].row_elems;
        if (ok && c->output[k].rows > 0)
            ok = check_output(c, k, seed, seconds, &checked);
    }
    c->result->checked_ratio = all > 0 ? (double)checked / (double)all : 1;
}

void check_bound(struct bound *b, uint64_t seed, double seconds, struct check_result *out)
{
    *out = (struct check_result){.status = ST_OK};
    struct check c = {.bound = b, .info = op_table[b->operands->problem.op], .result = out};
    c.numerics = b->variant->numerics;
    if (!outputs_find(&c))
        return;
    size_t bytes = outputs_bytes(&c);
    unsigned char *copies = malloc(2 * bytes + 1);
    if (!copies) {
        fail(out, ST_NO_MEMORY, "no memory to keep two copies of the outputs");
        return;
    }
    bool ran = run_all(&c, copies, copies + bytes);
    c.pristine = operands_pristine(b->operands);
    if (ran && runs_agree(&c, copies, copies + bytes))
        check_outputs(&c, seed, seconds);
    free(copies);
}
