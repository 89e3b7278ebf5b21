// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* verify_worker.c   The worker side of verify: one variant over shapes, patterns, forms. Lines out:
 *   case PATTERN FORM SHAPE            before each check, so that a crash has a place
 *   touch WHERE                        a guard page was hit; the end of the process follows
 *   alive                              a large check goes on
 *   result STATUS WORST L2 MAX_ABS RATIO NONFINITE TEXT
 *   absent STATUS TEXT                 its library is not here; the end follows
 *   done */
#include <stdlib.h>
#include <string.h>

#include "base/patchmark.h"
#include "base/worker.h"
#include "check/check.h"
#include "check/verify.h"
#include "cmd/commands.h"
#include "elem.h"
#include "machine/device.h"
#include "random.h"
#include "timing/measure.h"

struct job {
    FILE *out; /* to the supervisor; stdout itself goes to stderr */
    const struct registry_entry *entry;
    uint64_t seed;
    int threads;
    double said_alive;
    bool ended; /* nothing more can be learned in this process */
};

/* How operands are laid out; threads differ with it, so that shares of one thread and of more
 * threads than the shape has work for are checked too. */
enum form { FORM_PLAIN, FORM_IN_PLACE, FORM_SPREAD, FORM_COUNT };
static const struct {
    const char *name;
    bool in_place, spread;
} forms[FORM_COUNT] = {
    [FORM_PLAIN] = {"plain", false, false},
    [FORM_IN_PLACE] = {"in-place", true, false},
    [FORM_SPREAD] = {"spread", false, true},
};

/* Small shapes get all of these; large ones those marked, and one hostile pattern by turns. */
static const struct {
    enum pattern pattern;
    enum form form;
    bool always;
} cases[] = {
    {PATTERN_RANDOM, FORM_PLAIN, true},     {PATTERN_LARGE, FORM_PLAIN, false},
    {PATTERN_TINY, FORM_PLAIN, false},      {PATTERN_OUTLIER, FORM_PLAIN, false},
    {PATTERN_INFINITE, FORM_PLAIN, false},  {PATTERN_INTEGER, FORM_PLAIN, false},
    {PATTERN_RANDOM, FORM_IN_PLACE, false}, {PATTERN_OUTLIER, FORM_IN_PLACE, false},
    {PATTERN_RANDOM, FORM_SPREAD, false},   {PATTERN_INFINITE, FORM_SPREAD, false},
};
#define HOSTILE_FIRST 1
#define HOSTILE_COUNT 5

#define SIBLING_ATTEMPTS 64
#define LARGE_FLOPS 3e6
#define LARGE_BYTES 2e6
/* Seconds of reference a check may cost before it samples rows: whole checks for random data, what
 * is left of the budget for the rest. */
#define SECONDS_RANDOM 2.0
#define SECONDS_HOSTILE 0.05
#define ALIVE_SECONDS 0.5

static int threads_of(const struct job *job, enum form form)
{
    return form == FORM_PLAIN ? job->threads : form == FORM_IN_PLACE ? 1 : job->threads + 1;
}

static void send_result(const struct job *job, const struct check_result *r)
{
    fprintf(job->out, "result %d %.17g %.17g %.17g %.17g %lld %s\n", (int)r->status, r->worst,
            r->l2, r->max_abs, r->checked_ratio, (long long)r->nonfinite, r->text);
    fflush(job->out);
}

static void say_alive(void *user)
{
    struct job *job = user;
    double now = clock_seconds();
    if (now - job->said_alive < ALIVE_SECONDS)
        return;
    job->said_alive = now;
    fputs("alive\n", job->out);
    fflush(job->out);
}

static void check_operands(struct job *job, struct operands *o, uint64_t seed, int number,
                           struct check_result *result, struct fault *fault)
{
    struct bound bound;
    enum form form = cases[number].form;
    result->status = bound_new(job->entry->variant, NULL, o, threads_of(job, form), &bound, fault);
    if (result->status != ST_OK)
        return;
    bound.alive = say_alive;
    bound.alive_user = job;
    operands_fill(o, seed, cases[number].pattern);
    bool whole = cases[number].pattern == PATTERN_RANDOM;
    check_bound(&bound, seed, whole ? SECONDS_RANDOM : SECONDS_HOSTILE, result);
    bound_free(&bound);
}

/* An error of the device sticks: what follows in this process would fail for no fault of its
 * own. */
static void conclude(struct job *job, const struct check_result *r)
{
    bool absent = r->status == ST_UNAVAILABLE || r->status == ST_NOT_BUILT;
    job->ended = absent || (r->status == ST_DEVICE && device_kind() == DEVICE_CUDA);
    if (absent)
        fprintf(job->out, "absent %d %s\n", (int)r->status, r->text);
    else
        send_result(job, r);
}

static void check_case(struct job *job, const struct problem *shape, const char *line,
                       uint64_t seed, int number)
{
    struct check_result result = {0};
    struct fault fault = {""};
    struct operands operands;
    enum form form = cases[number].form;
    fprintf(job->out, "case %s %s %s\n", pattern_name(cases[number].pattern), forms[form].name,
            line);
    fflush(job->out);
    result.status =
        operands_new(shape, forms[form].in_place, forms[form].spread, &operands, &fault);
    if (result.status == ST_OK) {
        check_operands(job, &operands, seed, number, &result, &fault);
        operands_free(&operands);
    }
    if (fault.text[0])
        snprintf(result.text, sizeof result.text, "%.500s", fault.text);
    conclude(job, &result);
}

static bool applies(const struct problem *shape, int number, bool large, uint64_t key)
{
    if (cases[number].form == FORM_IN_PLACE && !operands_may_alias(shape))
        return false;
    if (cases[number].form == FORM_SPREAD && !operands_may_spread(shape))
        return false;
    return !large || cases[number].always || number == HOSTILE_FIRST + (int)(key % HOSTILE_COUNT);
}

/* Seeds follow from the canonical shape line, so that a replay of one shape draws the same data. */
static enum status check_shape(struct job *job, const char *line, bool all, struct fault *fault)
{
    struct problem shape;
    char canonical[SHAPE_LINE_BYTES];
    TRY(shape_parse(line, &shape, fault));
    shape_print(&shape, canonical, sizeof canonical);
    uint64_t key = random_stream_of(job->seed, canonical).key;
    bool large =
        !all && (problem_flops(&shape) > LARGE_FLOPS || problem_bytes(&shape) > LARGE_BYTES);
    for (int i = 0; !job->ended && i < (int)(sizeof cases / sizeof *cases); i++) {
        if (applies(&shape, i, large, key >> 8))
            check_case(job, &shape, canonical, key + (uint64_t)i, i);
    }
    return ST_OK;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

/* Free extents, not choices: kernels may have any tail of them. */
static bool is_extent(const struct op_dim *dim)
{
    return !dim->symbols && !dim->flag_tensor && !dim->type_tensor && dim->least == 1 &&
           dim->most == INT32_MAX;
}

/* Half of the shapes get multiples of 16: their tensors end on a multiple of 64 bytes, right in
 * front of the guard page, where the first value too far is one fault. */
static void stir(const struct op_info *info, struct problem *shape, struct random_stream stream,
                 uint64_t attempt)
{
    bool whole = stream.key % 2 == 0;
    for (int i = 0; i < OP_DIMS_MAX && info->dim[i].name; i++) {
        int64_t *value = (int64_t *)((char *)&shape->linear + info->dim[i].offset);
        if (!is_extent(&info->dim[i]) || *value == 1)
            continue;
        uint64_t bits = random_bits(stream, attempt * OP_DIMS_MAX + (uint64_t)i);
        *value = (*value + 1) / 2 + (int64_t)(bits % (uint64_t)(*value + 1));
        if (whole)
            *value = (*value + 15) / 16 * 16;
    }
}

/* A shape near this one, every extent between half and one and a half of it; what an op's contract
 * forbids (divisors, even widths) and what would take long is drawn again. False where no draw
 * fits. */
static bool sibling(const struct job *job, const char *line, char *out, size_t bytes)
{
    struct random_stream stream = random_stream_of(job->seed, line);
    for (uint64_t attempt = 0; attempt < SIBLING_ATTEMPTS; attempt++) {
        struct problem shape, again;
        if (shape_parse(line, &shape, NULL) != ST_OK)
            return false;
        stir(op_table[shape.op], &shape, stream, attempt);
        shape_print(&shape, out, bytes);
        if (shape_parse(out, &again, NULL) == ST_OK && problem_flops(&again) <= LARGE_FLOPS)
            return true;
    }
    return false;
}

/* Most lines of an op's table are f32: kernels of a 16-bit class meet them in their own type. */
static enum status in_own_type(const struct job *job, const char *line, char *out, size_t bytes,
                               struct fault *fault)
{
    enum numerics class = job->entry->variant->numerics;
    enum elem own = class == NUM_BF16 ? ELEM_BF16 : class == NUM_F16 ? ELEM_F16 : ELEM_NONE;
    struct problem shape;
    TRY(shape_parse(line, &shape, fault));
    shape_print(&shape, out, bytes);
    char *type = strstr(out, "type=");
    if (own != ELEM_NONE && type)
        snprintf(type, bytes - (size_t)(type - out), "type=%s", elem_name(own));
    return ST_OK;
}

static enum status job_of(const char *name, struct job *job, struct fault *fault)
{
    char op_name[64];
    size_t length = strcspn(name, "/");
    enum op_id op;
    snprintf(op_name, sizeof op_name, "%.*s", (int)length, name);
    TRY(op_find(op_name, &op, fault));
    job->entry = registry_find(op, name[length] ? name + length + 1 : "");
    if (!job->entry)
        return fault_set(fault, ST_BAD_INPUT, "there is no variant '%s'", name);
    return registry_usable(job->entry, fault);
}

static enum status check_shapes(struct job *job, const char *line, struct fault *fault)
{
    if (line)
        return check_shape(job, line, true, fault);
    enum op_id op;
    TRY(op_find(job->entry->op, &op, fault));
    for (const char *const *shape = op_table[op]->verify_shapes; *shape && !job->ended; shape++) {
        char typed[SHAPE_LINE_BYTES], random[SHAPE_LINE_BYTES];
        TRY(in_own_type(job, *shape, typed, sizeof typed, fault));
        TRY(check_shape(job, typed, false, fault));
        if (!job->ended && sibling(job, typed, random, sizeof random))
            TRY(check_shape(job, random, false, fault));
    }
    return ST_OK;
}

static enum status work(int argc, char **argv, struct fault *fault)
{
    struct job job = {.seed = 1};
    int64_t threads = 1;
    const char *line = NULL, *name = NULL;
    int names = 1;
    bool bare = false;
    const struct option options[] = {
        {"--seed", "N", OPTION_SEED, &job.seed, ""},
        {"--threads", "N", OPTION_COUNT, &threads, ""},
        {"--shape", "LINE", OPTION_TEXT, &line, ""},
        {"--bare", NULL, OPTION_FLAG, &bare, ""},
        DEVICE_OPTION,
        PLUGIN_OPTION,
        {0},
    };
    TRY(worker_take_line_out(&job.out, fault));
    guarded_report_faults(fileno(job.out));
    TRY(options_parse(options, argc, argv, &name, &names, fault));
    TRY(job_of(names ? name : "", &job, fault));
    job.threads = (int)threads;
    if (bare)
        device_memory_bare();
    TRY(check_shapes(&job, line, fault));
    fputs("done\n", job.out);
    return fclose(job.out) == 0 ? ST_OK : fault_set(fault, ST_IO, "the supervisor is gone");
}

int worker_verify(int argc, char **argv, struct fault *fault)
{
    return exit_code_of(work(argc, argv, fault));
}
