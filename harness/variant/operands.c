// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "variant/operands.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "elem.h"
#include "machine/host.h"
#include "random.h"
#include "variant/guarded.h"

#define POISON 0xff
#define LARGE_BYTES ((size_t)1 << 20) /* worth waking threads for */
#define PIECE_BYTES ((size_t)1 << 18) /* of a thread's turn */
#define DRAWN 512                     /* values drawn, then stored together */
#define ASK_BYTES 64e6                /* more than this and the machine's memory is asked for */

struct operand_block {
    const struct op_tensor *info;
    int64_t rows, row_elems;
    size_t elem_bytes;
    struct guarded guarded; /* no map: absent, or an output that lives on its alias */
    unsigned char *kept;    /* inputs: a copy as filled */
    int overwritten_by;     /* index of the output in this input's place, or -1 */
};

const char *pattern_name(enum pattern pattern)
{
    static const char *const names[PATTERN_COUNT] = {"random",  "large",    "tiny",
                                                     "outlier", "infinite", "integer"};
    return names[pattern];
}

static const struct op_info *info_of(const struct problem *p) { return op_table[p->op]; }

/* problem_tensor and extent want the op's own struct; every member of the union starts at the same
 * address. */
static bool extent_of(const struct problem *p, int index, int64_t *rows, int64_t *row_elems)
{
    return info_of(p)->extent(&p->linear, index, rows, row_elems) &&
           tensor_given(problem_tensor_const(p, index));
}

static bool is_float(enum elem e)
{
    return e == ELEM_F32 || e == ELEM_BF16 || e == ELEM_F16 || e == ELEM_F64;
}

/* ---- large blocks ---------------------------------------------------------------------------- */

static int threads_for(const struct operands *o, size_t bytes)
{
    return bytes >= LARGE_BYTES && o->threads > 1 ? o->threads : 1;
}

static size_t piece_of(size_t bytes, size_t from)
{
    return bytes - from < PIECE_BYTES ? bytes - from : PIECE_BYTES;
}

static void block_set(unsigned char *to, unsigned char value, size_t bytes, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (size_t from = 0; from < bytes; from += PIECE_BYTES)
        memset(to + from, value, piece_of(bytes, from));
}

static void block_copy(unsigned char *to, const unsigned char *from, size_t bytes, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (size_t at = 0; at < bytes; at += PIECE_BYTES)
        memcpy(to + at, from + at, piece_of(bytes, at));
}

static bool block_equal(const unsigned char *a, const unsigned char *b, size_t bytes, int threads)
{
    bool equal = true;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(&& : equal) if (threads > 1)
    for (size_t at = 0; at < bytes; at += PIECE_BYTES)
        equal = equal && memcmp(a + at, b + at, piece_of(bytes, at)) == 0;
    return equal;
}

/* ---- layout ---------------------------------------------------------------------------------- */

static bool aliases(const struct problem *p, int output)
{
    const struct op_tensor *t = &info_of(p)->tensor[output];
    int64_t rows, row_elems, in_rows, in_row_elems;
    if (t->role != ROLE_OUT || t->alias < 0 || !extent_of(p, output, &rows, &row_elems) ||
        !extent_of(p, t->alias, &in_rows, &in_row_elems))
        return false;
    return rows == in_rows && row_elems == in_row_elems &&
           problem_tensor_const(p, output)->elem == problem_tensor_const(p, t->alias)->elem;
}

bool operands_may_alias(const struct problem *shape)
{
    for (int i = 0; i < OP_TENSORS_MAX && info_of(shape)->tensor[i].name; i++) {
        if (aliases(shape, i))
            return true;
    }
    return false;
}

bool operands_may_spread(const struct problem *shape)
{
    int64_t rows, row_elems;
    for (int i = 0; i < OP_TENSORS_MAX && info_of(shape)->tensor[i].name; i++) {
        if (info_of(shape)->tensor[i].strided && extent_of(shape, i, &rows, &row_elems) && rows > 1)
            return true;
    }
    return false;
}

/* A different surplus for each tensor. Odd ones by rule, rows of 16-bit types on 4 bytes, which is
 * all that contracts promise; tensors of an even number of 16-bit rows get one that keeps rows on
 * 16 bytes, without which kernels of wide loads would refuse every spread form. */
static int64_t spread_stride(const struct operand_block *b, int index)
{
    int64_t stride = b->row_elems + 3 + 2 * index;
    if (b->elem_bytes == 2 && b->rows % 2 == 0)
        return (b->row_elems + 7) / 8 * 8 + 8 * (1 + index);
    return b->elem_bytes == 2 && stride % 2 ? stride + 1 : stride;
}

static int64_t stride_of(const struct operand_block *b, int index, bool spread)
{
    return spread && b->info->strided ? spread_stride(b, index) : b->row_elems;
}

static size_t block_bytes(const struct operand_block *b, int64_t stride)
{
    int64_t elems = 0;
    if (__builtin_mul_overflow(b->rows - 1, stride, &elems) ||
        __builtin_add_overflow(elems, b->row_elems, &elems) || elems > INT64_MAX / 16)
        return SIZE_MAX;
    return (size_t)elems * b->elem_bytes;
}

static enum status block_new(struct operands *o, int index, struct fault *fault)
{
    struct operand_block *b = &o->block[index];
    struct tensor *t = problem_tensor(&o->problem, index);
    if (b->elem_bytes == 0)
        return fault_set(fault, ST_BAD_INPUT, "%s of type %s cannot be filled and checked yet",
                         b->info->name, elem_name(t->elem));
    t->stride = stride_of(b, index, o->spread);
    size_t bytes = block_bytes(b, t->stride);
    TRY(guarded_new(&b->guarded, bytes, b->info->name, fault));
    t->data = b->guarded.data;
    if (b->info->role != ROLE_OUT && !(b->kept = malloc(bytes)))
        return fault_set(fault, ST_NO_MEMORY, "no memory to keep a copy of %s (%zu bytes)",
                         b->info->name, bytes);
    return ST_OK;
}

/* Outputs on their aliases: the input's block serves both, so it needs no block of its own. */
static void share(struct operands *o, int output)
{
    int input = o->block[output].info->alias;
    o->block[input].overwritten_by = output;
    struct tensor *t = problem_tensor(&o->problem, output);
    const struct tensor *from = problem_tensor_const(&o->problem, input);
    t->data = from->data;
    t->stride = from->stride;
}

/* Which tensors there are. */
static void blocks_find(struct operands *o)
{
    const struct op_info *info = info_of(&o->problem);
    for (int i = 0; i < OP_TENSORS_MAX && info->tensor[i].name; i++) {
        struct operand_block *b = &o->block[i];
        b->overwritten_by = -1;
        if (!extent_of(&o->problem, i, &b->rows, &b->row_elems) || b->rows * b->row_elems == 0)
            continue;
        b->info = &info->tensor[i];
        b->elem_bytes = elem_bytes(problem_tensor_const(&o->problem, i)->elem);
    }
}

static bool has_own_block(const struct operands *o, int index)
{
    return o->block[index].info && !(o->in_place && aliases(&o->problem, index));
}

/* Blocks, kept copies, and for each row of an output the three numbers that a check keeps. Memory
 * that is promised and not there ends processes at random, so it is counted first. */
static enum status room_check(const struct operands *o, struct fault *fault)
{
    double needed = 0;
    for (int i = 0; i < OP_TENSORS_MAX; i++) {
        const struct operand_block *b = &o->block[i];
        if (!has_own_block(o, i))
            continue;
        double bytes = (double)block_bytes(b, stride_of(b, i, o->spread));
        needed += b->info->role == ROLE_OUT ? bytes + 24.0 * (double)b->rows : 2 * bytes;
    }
    double room = needed > ASK_BYTES ? (double)host_memory_available() : 0;
    if (needed <= ASK_BYTES || room == 0 || needed <= room)
        return ST_OK;
    return fault_set(
        fault, ST_NO_MEMORY,
        "%s at this shape needs %.2f GiB of host memory to be checked and %.2f GiB are "
        "free; choose a smaller shape",
        info_of(&o->problem)->name, needed / (1 << 30), room / (1 << 30));
}

static enum status blocks_new(struct operands *o, struct fault *fault)
{
    TRY(room_check(o, fault));
    for (int i = 0; i < OP_TENSORS_MAX; i++) {
        if (has_own_block(o, i))
            TRY(block_new(o, i, fault));
    }
    for (int i = 0; i < OP_TENSORS_MAX; i++) {
        if (o->block[i].info && !o->block[i].guarded.map)
            share(o, i);
    }
    return ST_OK;
}

enum status operands_new(const struct problem *shape, bool in_place, bool spread,
                         struct operands *out, struct fault *fault)
{
    *out = (struct operands){.problem = *shape, .in_place = in_place, .spread = spread};
    out->block = calloc(OP_TENSORS_MAX, sizeof *out->block);
    if (!out->block)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the operands of %s",
                         info_of(shape)->name);
    blocks_find(out);
    enum status status = blocks_new(out, fault);
    if (status != ST_OK)
        operands_free(out);
    return status;
}

void operands_free(struct operands *o)
{
    for (int i = 0; o->block && i < OP_TENSORS_MAX; i++) {
        guarded_free(&o->block[i].guarded);
        free(o->block[i].kept);
    }
    free(o->block);
    *o = (struct operands){0};
}

size_t operands_bytes(const struct operands *o)
{
    size_t sum = 0;
    for (int i = 0; i < OP_TENSORS_MAX; i++)
        sum += o->block[i].guarded.map_bytes + (o->block[i].kept ? o->block[i].guarded.bytes : 0);
    return sum;
}

/* ---- data ------------------------------------------------------------------------------------ */

/* What one tensor's values are drawn from. */
struct source {
    struct random_stream values, angles, channels;
    enum pattern pattern;
    enum elem elem;
    bool data; /* hostile patterns may touch it */
    int64_t row_elems, vocabulary;
    double scale;
};

static double whole(double u, double most) { return floor(u * most + 0.5); }

/* One channel in 32 is an outlier, and one is for certain. */
static bool outlier(const struct source *s, int64_t index)
{
    int64_t channel = index % s->row_elems;
    return random_bits(s->channels, (uint64_t)channel) % 32 == 0 ||
           channel == (int64_t)(s->channels.key % (uint64_t)s->row_elems);
}

static double draw_uniform(const struct source *s, int64_t index)
{
    if (!is_float(s->elem)) /* for integers every bit pattern is data */
        return s->elem == ELEM_U8 ? (double)(random_bits(s->values, (uint64_t)index) >> 56)
                                  : (double)(int32_t)random_bits(s->values, (uint64_t)index);
    double u = random_uniform(s->values, (uint64_t)index);
    if (s->pattern == PATTERN_INTEGER)
        return whole(u, 4);
    if (!s->data)
        return u;
    switch (s->pattern) {
    case PATTERN_LARGE: /* squares and sums of them stay finite in f32 */
        return u * (s->elem == ELEM_F16 ? 64 : 4096);
    case PATTERN_TINY: /* every other value is denormal */ return u * 2 * elem_min_normal(s->elem);
    case PATTERN_OUTLIER: return outlier(s, index) ? u * 32 : u;
    default: return u;
    }
}

static double draw_gain(const struct source *s, int64_t index)
{
    return s->pattern == PATTERN_INTEGER ? 1 : 1 + random_uniform(s->values, (uint64_t)index) / 8.0;
}

static double draw_fan_in(const struct source *s, int64_t index)
{
    double u = random_uniform(s->values, (uint64_t)index);
    return s->pattern == PATTERN_INTEGER ? whole(u, 2) : u * s->scale;
}

/* Quarter turns keep integers integers. */
static double angle(const struct source *s, int64_t index)
{
    double turns = random_uniform(s->angles, (uint64_t)index);
    return s->pattern == PATTERN_INTEGER ? whole(turns, 2) / 2 : turns;
}

static double draw_cosine(const struct source *s, int64_t index)
{
    double turns = angle(s, index);
    return s->pattern == PATTERN_INTEGER ? rint(cos(turns * M_PI)) : cos(turns * M_PI);
}

static double draw_sine(const struct source *s, int64_t index)
{
    double turns = angle(s, index);
    return s->pattern == PATTERN_INTEGER ? rint(sin(turns * M_PI)) : sin(turns * M_PI);
}

static double draw_time(const struct source *s, int64_t index)
{
    double t = 500.0 + 500.0 * random_uniform(s->values, (uint64_t)index);
    return s->pattern == PATTERN_INTEGER ? floor(t) : t;
}

static double draw_index(const struct source *s, int64_t index)
{
    return (double)(random_bits(s->values, (uint64_t)index) % (uint64_t)s->vocabulary);
}

typedef double draw_fn(const struct source *s, int64_t index);
static draw_fn *const draws[] = {
    [OPERAND_UNIFORM] = draw_uniform, [OPERAND_GAIN] = draw_gain, [OPERAND_FAN_IN] = draw_fan_in,
    [OPERAND_COSINE] = draw_cosine,   [OPERAND_SINE] = draw_sine, [OPERAND_TIME] = draw_time,
    [OPERAND_INDEX] = draw_index,
};

static struct source source_of(const struct operands *o, const struct operand_block *b,
                               const struct tensor *t)
{
    const bool kept = o->keep_weights && b->info->role == ROLE_WEIGHT;
    struct source s = {.values = random_stream_of(kept ? o->weight_seed : o->seed, b->info->name),
                       .angles = random_stream_of(o->seed, "angle"),
                       .pattern = o->pattern,
                       .elem = t->elem,
                       .row_elems = b->row_elems};
    s.channels = random_stream_of(s.values.key, "channel");
    s.data = b->info->role == ROLE_IN && b->info->fill == OPERAND_UNIFORM && is_float(t->elem);
    s.vocabulary = o->problem.op == OP_embedding ? o->problem.embedding.V : 1;
    s.scale = exp2(rint(log2(sqrt(3.0 / (double)b->row_elems))));
    return s;
}

/* Overwrites up to three values: enough to be swallowed, few enough to leave finite outputs. */
static void put_infinite(const struct source *s, const struct operand_block *b, struct tensor *t)
{
    static const double kinds[] = {INFINITY, NAN, -INFINITY};
    int64_t elems = b->rows * b->row_elems;
    uint64_t first = s->values.key;
    for (uint64_t i = 0; i < (elems >= 64 ? 3u : 1u); i++) {
        int64_t at = (int64_t)(random_bits(s->channels, i) % (uint64_t)elems);
        int64_t row = at / b->row_elems;
        elem_put(t->data, t->elem, row * t->stride + at % b->row_elems, kinds[(first + i) % 3]);
    }
}

/* Stores up to DRAWN values, each rounded once from double: where f32 holds them all exactly, the
 * quick conversions from f32 round the same. */
static void store(const struct tensor *t, int64_t at, const double *value, int64_t count)
{
    float narrow[DRAWN];
    bool exact = t->elem == ELEM_F32 || t->elem == ELEM_BF16 || t->elem == ELEM_F16;
    for (int64_t i = 0; i < count && exact; i++) {
        narrow[i] = (float)value[i];
        exact = t->elem == ELEM_F32 || (double)narrow[i] == value[i];
    }
    if (exact) {
        void *to = (char *)t->data + (size_t)at * elem_bytes(t->elem);
        elem_convert(to, t->elem, narrow, ELEM_F32, count);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        elem_put(t->data, t->elem, at + i, value[i]);
}

/* Values depend on their index alone, so any thread may draw any of them. */
static void draw_all(const struct source *s, const struct operand_block *b, const struct tensor *t,
                     int threads)
{
    draw_fn *draw = draws[b->info->fill];
    int64_t parts = (b->row_elems + DRAWN - 1) / DRAWN;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t part = 0; part < b->rows * parts; part++) {
        double value[DRAWN];
        int64_t row = part / parts, first = part % parts * DRAWN;
        int64_t count = b->row_elems - first < DRAWN ? b->row_elems - first : DRAWN;
        for (int64_t i = 0; i < count; i++)
            value[i] = draw(s, row * b->row_elems + first + i);
        store(t, row * t->stride + first, value, count);
    }
}

static void fill_block(const struct operands *o, struct operand_block *b, struct tensor *t)
{
    struct source s = source_of(o, b, t);
    int threads = threads_for(o, b->guarded.bytes);
    if (t->stride != b->row_elems)
        block_set(b->guarded.data, POISON, b->guarded.bytes, threads);
    draw_all(&s, b, t, threads);
    if (o->pattern == PATTERN_INFINITE && s.data)
        put_infinite(&s, b, t);
    block_copy(b->kept, b->guarded.data, b->guarded.bytes, threads);
}

void operands_fill(struct operands *o, uint64_t seed, enum pattern pattern)
{
    o->seed = seed;
    o->pattern = pattern;
    for (int i = 0; i < OP_TENSORS_MAX; i++) {
        struct operand_block *b = &o->block[i];
        if (!b->guarded.map)
            continue;
        guarded_place(&b->guarded, seed % 2 == 1);
        struct tensor *t = problem_tensor(&o->problem, i);
        t->data = b->guarded.data;
        if (b->overwritten_by >= 0)
            problem_tensor(&o->problem, b->overwritten_by)->data = t->data;
        if (b->info->role != ROLE_OUT)
            fill_block(o, b, t);
    }
    operands_poison(o);
}

void operands_fill_inputs(struct operands *o, uint64_t seed)
{
    o->seed = seed;
    for (int i = 0; i < OP_TENSORS_MAX; i++) {
        struct operand_block *b = &o->block[i];
        if (b->guarded.map && b->info->role == ROLE_IN)
            fill_block(o, b, problem_tensor(&o->problem, i));
    }
    operands_poison(o);
}

void operands_scatter(struct operands *o, uint64_t seed)
{
    for (int i = 0; i < OP_TENSORS_MAX; i++) {
        struct guarded *g = &o->block[i].guarded;
        guarded_scatter(g, seed + (uint64_t)i, threads_for(o, g->bytes));
    }
}

/* What stands in output `index` before a run, or in the gaps of any tensor. */
static unsigned char poison_of(const struct operands *o, int index)
{
    bool other = o->block[index].info->role == ROLE_OUT && o->poisoned % 2 &&
                 !is_float(problem_tensor_const(&o->problem, index)->elem);
    return other ? (unsigned char)~POISON : POISON;
}

void operands_poison(struct operands *o)
{
    o->poisoned++;
    for (int i = 0; i < OP_TENSORS_MAX; i++) {
        struct operand_block *b = &o->block[i];
        if (!b->guarded.map)
            continue;
        int threads = threads_for(o, b->guarded.bytes);
        if (b->overwritten_by >= 0)
            block_copy(b->guarded.data, b->kept, b->guarded.bytes, threads);
        if (b->info->role == ROLE_OUT)
            block_set(b->guarded.data, poison_of(o, i), b->guarded.bytes, threads);
    }
}

void operands_protect(const struct operands *o, bool protect)
{
    for (int i = 0; i < OP_TENSORS_MAX; i++)
        if (o->block[i].guarded.map && o->block[i].info->role != ROLE_OUT &&
            o->block[i].overwritten_by < 0)
            guarded_protect(&o->block[i].guarded, protect);
}

void operands_renew(struct operands *o)
{
    operands_poison(o);
    for (int i = 0; i < OP_TENSORS_MAX; i++) {
        struct operand_block *b = &o->block[i];
        if (b->guarded.map && b->info->role == ROLE_IN && b->overwritten_by < 0)
            block_copy(b->guarded.data, b->kept, b->guarded.bytes,
                       threads_for(o, b->guarded.bytes));
    }
}

bool operands_memory(const struct operands *o, int index, struct operand_memory *out)
{
    const struct operand_block *b = &o->block[index];
    if (!b->guarded.map)
        return false;
    *out = (struct operand_memory){.data = b->guarded.data,
                                   .bytes = b->guarded.bytes,
                                   .name = b->info->name,
                                   .output = b->info->role == ROLE_OUT,
                                   .poison = poison_of(o, index),
                                   .overwritten = b->overwritten_by >= 0};
    return true;
}

int operands_place_of(const struct operands *o, int index)
{
    const struct operand_block *b = &o->block[index];
    return b->info && !b->guarded.map ? b->info->alias : index;
}

struct problem operands_pristine(const struct operands *o)
{
    struct problem p = o->problem;
    for (int i = 0; i < OP_TENSORS_MAX; i++) {
        if (o->block[i].kept)
            problem_tensor(&p, i)->data = o->block[i].kept;
    }
    return p;
}

/* ---- what changed ---------------------------------------------------------------------------- */

static bool gap_intact(const unsigned char *gap, size_t bytes, unsigned char poison)
{
    for (size_t i = 0; i < bytes; i++) {
        if (gap[i] != poison)
            return false;
    }
    return true;
}

static bool gaps_intact(const struct operands *o, int index, char *where, size_t bytes)
{
    const struct operand_block *b = &o->block[index];
    size_t row_bytes = (size_t)b->row_elems * b->elem_bytes;
    size_t step_bytes = (size_t)problem_tensor_const(&o->problem, index)->stride * b->elem_bytes;
    unsigned char poison = poison_of(o, index);
    for (int64_t row = 0; row + 1 < b->rows && step_bytes > row_bytes; row++) {
        const unsigned char *gap = b->guarded.data + (size_t)row * step_bytes + row_bytes;
        if (!gap_intact(gap, step_bytes - row_bytes, poison)) {
            snprintf(where, bytes, "wrote into the gap behind row %lld of %s", (long long)row,
                     b->info->name);
            return false;
        }
    }
    return true;
}

/* Bit for bit, so that a NaN that changed its payload counts as changed. */
static bool input_intact(const struct operands *o, int index, char *where, size_t bytes)
{
    const struct operand_block *b = &o->block[index];
    const struct tensor *t = problem_tensor_const(&o->problem, index);
    int threads = threads_for(o, b->guarded.bytes);
    if (block_equal(b->kept, b->guarded.data, b->guarded.bytes, threads))
        return true;
    size_t at = 0;
    while (b->kept[at] == b->guarded.data[at])
        at++;
    int64_t elem = (int64_t)(at / b->elem_bytes);
    snprintf(where, bytes, "changed its input %s at row %lld, element %lld", b->info->name,
             (long long)(elem / t->stride), (long long)(elem % t->stride));
    return false;
}

static bool guards_intact(const struct operand_block *b, char *where, size_t bytes)
{
    int64_t offset = 0;
    if (guarded_intact(&b->guarded, &offset))
        return true;
    if (offset < 0)
        snprintf(where, bytes, "wrote %lld bytes in front of %s", (long long)-offset,
                 b->info->name);
    else
        snprintf(where, bytes, "wrote past the end of %s (byte %lld behind it)", b->info->name,
                 (long long)offset - (long long)b->guarded.bytes);
    return false;
}

bool operands_intact(const struct operands *o, char *where, size_t bytes)
{
    for (int i = 0; i < OP_TENSORS_MAX; i++) {
        const struct operand_block *b = &o->block[i];
        if (!b->guarded.map)
            continue;
        bool may_change = b->info->role == ROLE_OUT || b->overwritten_by >= 0;
        if (!guards_intact(b, where, bytes) || !gaps_intact(o, i, where, bytes) ||
            (!may_change && !input_intact(o, i, where, bytes)))
            return false;
    }
    return true;
}
