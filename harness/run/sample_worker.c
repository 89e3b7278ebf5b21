// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sample_worker.c   The timing end of a sampled case. Every distinct problem of the plan gets a tile
 * by what it weighs in the case, is verified, and is then run once a pass, all in turn, so that
 * weights have left the caches by the time they are met again and drift hits all alike. Operands
 * stay in memory as far as half of what is free allows; others are made anew for each visit. */
#include "run/sample.h"

#include "base/patchmark.h"
#include "check/check.h"
#include "machine/device.h"
#include "machine/gpu.h"
#include "machine/host.h"
#include "ref.h"
#include "timing/measure.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Runs of each tile that the budget is shared among: verification, passes, data for both. */
#define RUNS_EXPECTED 24
#define TILE_LEAST_SECONDS 0.001
#define CRIPPLE_SECONDS 0.05 /* what the fewest rows may take */
#define PROBE_SECONDS 0.002
#define GUESSED_BYTES 4e9 /* written in a second, before anything is known */
#define GUESSED_SHARE 0.5 /* likewise, of the multiply-add peak */
#define REFERENCE_SECONDS 0.02
#define OPERAND_BYTES 256e6 /* of one tile, beyond what its least form needs */
#define GRANULE 192         /* rows of a granule for each thread, unless a knob says another */

/* A tile or a base: something that is verified and timed. */
struct piece {
    struct problem problem; /* no tensors: none */
    struct operands operands;
    struct bound bound;
    bool open, resident;
    uint64_t hash; /* of the outputs as verified */
};

struct part {
    struct problem whole;
    const struct registry_entry *entry;
    const int64_t *knob;
    int64_t calls[STAGE_COUNT];
    char shape[256];
    double rate; /* of work, per second */
    struct sample_cut cut;
    struct piece piece[2]; /* tile, base */
};

struct session {
    const struct sample_job *job;
    struct part *part;
    int parts;
    size_t resident_bytes, resident_most;
    double worst, l2, max_abs, checked;
    int64_t checks;
    double told_s;
};

/* A sign of life a second: more would disturb what is timed. */
static void tell_alive(struct session *s, double share)
{
    const double now = clock_seconds();
    if (now - s->told_s < 1)
        return;
    s->told_s = now;
    s->job->alive(s->job->user, share);
}

/* ---- which problems -------------------------------------------------------------------------- */

/* Strides and scalars of a trace are left behind: a shape line is what can be verified anywhere. */
static enum status part_of(struct session *s, const struct traced_call *call, const char *shape,
                           struct part **out, struct fault *fault)
{
    for (int i = 0; i < s->parts; i++) {
        *out = &s->part[i];
        if (s->part[i].entry == call->entry && !strcmp(s->part[i].shape, shape) &&
            !memcmp(s->part[i].knob, call->knob, KNOB_MAX * sizeof *call->knob))
            return ST_OK;
    }
    *out = &s->part[s->parts++];
    **out = (struct part){.entry = call->entry, .knob = call->knob};
    snprintf((*out)->shape, sizeof(*out)->shape, "%s", shape);
    return shape_parse(shape, &(*out)->whole, fault);
}

static enum status take_trace(struct session *s, struct fault *fault)
{
    int64_t count;
    const struct traced_call *trace = engine_trace(s->job->engine, &count);
    s->part = calloc((size_t)count + 1, sizeof *s->part);
    if (!s->part || !trace)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the list of problems");
    for (int64_t i = 0; i < count; i++) {
        char shape[256];
        shape_print(&trace[i].problem, shape, sizeof shape);
        if (!trace[i].entry)
            return fault_set(fault, ST_REFUSED,
                             "%s is served by the reference, which is never timed;"
                             " sampling needs a kernel for every problem",
                             shape);
        struct part *p;
        TRY(part_of(s, &trace[i], shape, &p, fault));
        p->calls[trace[i].stage] += trace[i].calls;
    }
    return ST_OK;
}

static double all_calls(const struct part *p)
{
    double calls = 0;
    for (int i = 0; i < STAGE_COUNT; i++)
        calls += (double)p->calls[i];
    return calls;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static enum status piece_open(const struct session *s, const struct part *p, struct piece *piece,
                              bool fill, struct fault *fault)
{
    TRY(operands_new(&piece->problem, false, false, &piece->operands, fault));
    piece->operands.threads = s->job->threads;
    if (fill)
        operands_fill(&piece->operands, s->job->seed, PATTERN_RANDOM);
    enum status status = bound_new(p->entry->variant, p->knob, &piece->operands, s->job->threads,
                                   &piece->bound, fault);
    piece->open = status == ST_OK;
    if (!piece->open) {
        operands_free(&piece->operands);
        return status;
    }
    return bound_prepare(&piece->bound, fault);
}

static void piece_close(struct piece *piece)
{
    if (!piece->open)
        return;
    bound_free(&piece->bound);
    operands_free(&piece->operands);
    piece->open = false;
}

static enum status run_many(void *user, int64_t iterations)
{
    for (int64_t i = 0; i < iterations; i++)
        TRY(bound_run(user));
    return ST_OK;
}

static enum status time_run(const struct part *p, struct piece *piece, double *seconds,
                            struct fault *fault)
{
    double wall;
    struct gpu *gpu = piece->bound.mirror.gpu;
    if (gpu)
        return measure_events(gpu, p->shape, run_many, &piece->bound, 1, 1, seconds, &wall, fault);
    return measure_block(BACKEND_LOOP, p->shape, run_many, &piece->bound, 1, 1, seconds, fault);
}

/* ---- how large the tiles are ----------------------------------------------------------------- */

static int64_t granule_of(const struct session *s, const struct part *p)
{
    const struct knob *k = p->entry->variant->knob;
    int64_t rows = GRANULE;
    for (int i = 0; i < KNOB_MAX && k[i].name; i++)
        if (!strcmp(k[i].name, "rows") || !strcmp(k[i].name, "pixels"))
            rows = p->knob[i];
    return rows * s->job->threads;
}

/* Work of the fewest rows that say how fast a kernel is: two granules, as long as it is no cripple. */
static double least_work(const struct session *s, const struct part *p)
{
    const struct op_info *info = op_table[p->whole.op];
    int64_t rows = 1, row_elems = 1;
    int output = 0;
    while (info->tensor[output].role != ROLE_OUT)
        output++;
    info->extent(problem_body(&p->whole), output, &rows, &row_elems);
    const double all = (double)rows * (double)row_elems /
                       (double)info->ref_row_elems(problem_body(&p->whole), output);
    const double work = sample_work(&p->whole) * 2 * (double)granule_of(s, p) / all;
    return fmin(work, p->rate * CRIPPLE_SECONDS);
}

static void cut_part(const struct session *s, struct part *p, double seconds)
{
    const struct sample_limits limits = {fmax(p->rate * seconds, least_work(s, p)),
                                         fmin(OPERAND_BYTES, (double)s->resident_most / 8),
                                         granule_of(s, p)};
    sample_cut(&p->whole, &limits, &p->cut);
    p->piece[0].problem = p->cut.tile;
    p->piece[1].problem = p->cut.base;
}

/* A small tile on empty data says how fast the kernel is; nothing of it is kept. */
static enum status probe(const struct session *s, struct part *p, struct fault *fault)
{
    double seconds[2];
    p->rate = problem_flops(&p->whole) > 0 ? GUESSED_SHARE * s->job->peak_flops
                                           : GUESSED_BYTES * s->job->threads;
    if (!strcmp(device_ran_on(), "emulated"))
        return ST_OK;
    cut_part(s, p, PROBE_SECONDS);
    struct piece *piece = &p->piece[0];
    enum status status = piece_open(s, p, piece, false, fault);
    for (int i = 0; i < 2 && status == ST_OK; i++)
        status = time_run(p, piece, &seconds[i], fault);
    if (status == ST_OK)
        p->rate = sample_work(&piece->problem) / fmax(seconds[1], 1e-7);
    piece_close(piece);
    return status;
}

/* The longer a problem takes in all, the larger its tile: errors of independent parts add up least
 * where effort goes by the square root of what a part weighs. */
static enum status choose_tiles(struct session *s, struct fault *fault)
{
    double sum = 0;
    for (int i = 0; i < s->parts; i++) {
        struct part *p = &s->part[i];
        tell_alive(s, 0.1 * i / s->parts);
        TRY(probe(s, p, fault));
        sum += sqrt(all_calls(p) * sample_work(&p->whole) / p->rate);
    }
    for (int i = 0; i < s->parts; i++) {
        struct part *p = &s->part[i];
        const double share = sqrt(all_calls(p) * sample_work(&p->whole) / p->rate) / sum;
        cut_part(s, p, fmax(TILE_LEAST_SECONDS, share * s->job->budget_s / RUNS_EXPECTED));
    }
    return ST_OK;
}

/* ---- verification ---------------------------------------------------------------------------- */

static enum status failed(const struct part *p, const struct piece *piece, enum status status,
                          const char *text, struct fault *fault)
{
    char line[256];
    shape_print(&piece->problem, line, sizeof line);
    return fault_set(fault, status, "%s/%s on %s: %s", p->entry->op, p->entry->name, line, text);
}

static enum status verify_piece(struct session *s, struct part *p, struct piece *piece,
                                struct fault *fault)
{
    struct check_result r;
    struct fault why = {{0}};
    enum status status = piece_open(s, p, piece, true, &why);
    if (status != ST_OK) {
        piece_close(piece);
        return failed(p, piece, status, why.text, fault);
    }
    check_bound_within(&piece->bound, s->job->seed, REFERENCE_SECONDS, REFERENCE_SECONDS, &r);
    s->worst = fmax(s->worst, r.worst);
    s->l2 = fmax(s->l2, r.l2);
    s->max_abs = fmax(s->max_abs, r.max_abs);
    s->checked += r.checked_ratio;
    s->checks++;
    if (r.status != ST_OK)
        return failed(p, piece, r.status, r.text, fault);
    piece->hash = check_outputs_hash(&piece->operands);
    const size_t bytes = bound_bytes(&piece->bound);
    piece->resident = s->resident_bytes + bytes <= s->resident_most;
    if (piece->resident)
        s->resident_bytes += bytes;
    else
        piece_close(piece);
    return ST_OK;
}

static int pieces(const struct part *p) { return p->cut.based ? 2 : 1; }

static double run_flops(const struct part *p)
{
    double flops = 0;
    for (int k = 0; k < pieces(p); k++)
        flops += problem_flops(&p->piece[k].problem);
    return flops;
}

static void tell_part(const struct session *s, const struct part *p)
{
    char tile[256];
    FILE *out = s->job->out;
    shape_print(&p->cut.tile, tile, sizeof tile);
    fprintf(out, "part %.17g %.17g %.17g %.17g", p->cut.tile_weight, p->cut.base_weight,
            problem_flops(&p->whole), run_flops(p));
    for (int i = 0; i < STAGE_COUNT; i++)
        fprintf(out, " %" PRId64, p->calls[i]);
    fprintf(out, " %s %s %s\n", p->entry->name, p->shape, tile);
}

static enum status verify_all(struct session *s, struct fault *fault)
{
    enum status status = ST_OK;
    for (int i = 0; status == ST_OK && i < s->parts; i++) {
        struct part *p = &s->part[i];
        tell_alive(s, 0.1 + 0.4 * i / s->parts);
        for (int k = 0; status == ST_OK && k < pieces(p); k++)
            status = verify_piece(s, p, &p->piece[k], fault);
        tell_part(s, p);
    }
    fprintf(s->job->out, "check %d %.9g %.9g %.9g %.9g %" PRId64 " %" PRIu64 "\n", (int)status,
            s->worst, s->l2, s->max_abs, s->checks ? s->checked / (double)s->checks : 1.0,
            s->checks, s->job->seed);
    return status;
}

/* ---- passes ---------------------------------------------------------------------------------- */

/* What a pipeline's op meets was just written where all of it is small, and is long gone from the
 * caches where it is not. */
static enum status visit(struct session *s, struct part *p, struct piece *piece, double *seconds,
                         struct fault *fault)
{
    if (!piece->open) {
        TRY(piece_open(s, p, piece, true, fault));
        guarded_poison(&piece->bound.scratch);
    }
    if (p->cut.whole && !piece->bound.mirror.gpu)
        operands_renew(&piece->operands);
    enum status status = time_run(p, piece, seconds, fault);
    if (!piece->resident)
        piece_close(piece);
    return status;
}

static enum status pass(struct session *s, struct fault *fault)
{
    double *seconds = calloc((size_t)(2 * s->parts) + 1, sizeof *seconds);
    enum status status = seconds ? ST_OK : ST_NO_MEMORY;
    struct guard_look look;
    guard_begin(s->job->guard);
    for (int i = 0; status == ST_OK && i < s->parts; i++) {
        tell_alive(s, 0.5);
        for (int k = 0; status == ST_OK && k < pieces(&s->part[i]); k++)
            status = visit(s, &s->part[i], &s->part[i].piece[k], &seconds[2 * i + k], fault);
        if (interrupted_by)
            status = ST_INTERRUPTED;
    }
    guard_end(s->job->guard, &look);
    fputs("guard ", s->job->out);
    guard_print(&look, s->job->out);
    fputs("\ntimes", s->job->out);
    for (int i = 0; status == ST_OK && i < 2 * s->parts; i++)
        fprintf(s->job->out, " %.9g", seconds[i]);
    fputc('\n', s->job->out);
    free(seconds);
    return status;
}

/* A kernel that stops computing after a while would be fast: on poisoned outputs each must give, bit
 * for bit, what it gave when it was verified. */
static enum status recheck(struct session *s, struct fault *fault)
{
    for (int i = 0; i < s->parts; i++) {
        struct part *p = &s->part[i];
        tell_alive(s, 1);
        for (int k = 0; k < pieces(p); k++) {
            struct piece *piece = &p->piece[k];
            if (!piece->open)
                TRY(piece_open(s, p, piece, true, fault));
            operands_poison(&piece->operands);
            TRY(bound_run_checked(&piece->bound, fault));
            if (check_outputs_hash(&piece->operands) != piece->hash)
                return failed(p, piece, ST_WRONG,
                              "after it was timed it gives another output than before", fault);
            piece_close(piece);
        }
    }
    fputs("rechecked\n", s->job->out);
    return ST_OK;
}

static enum status serve(struct session *s, struct fault *fault)
{
    char line[64];
    TRY(take_trace(s, fault));
    TRY(choose_tiles(s, fault));
    TRY(verify_all(s, fault));
    if (!strcmp(device_ran_on(), "emulated"))
        return fault_set(fault, ST_UNAVAILABLE,
                         "the kernels are right, and an emulated device is never timed");
    fputs("ready\n", s->job->out);
    fflush(s->job->out);
    while (fgets(line, sizeof line, stdin) && !strcmp(line, "pass\n")) {
        TRY(pass(s, fault));
        fflush(s->job->out);
    }
    return recheck(s, fault);
}

static size_t half_of_what_is_free(void)
{
    size_t bytes = host_memory_available();
    struct gpu *gpu;
    size_t device_bytes = 0;
    if (device_kind() == DEVICE_CUDA && gpu_process(device_index(), &gpu, NULL) == ST_OK &&
        gpu_memory_free(gpu, &device_bytes, NULL) == ST_OK && device_bytes < bytes)
        bytes = device_bytes;
    return bytes / 2;
}

enum status sample_serve(const struct sample_job *job, struct fault *fault)
{
    struct session s = {.job = job, .resident_most = half_of_what_is_free()};
    enum status status = serve(&s, fault);
    for (int i = 0; i < s.parts; i++)
        for (int k = 0; k < 2; k++)
            piece_close(&s.part[i].piece[k]);
    free(s.part);
    return status;
}
