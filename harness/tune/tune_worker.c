// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tune_worker.c   The measuring end of a search: one shape, whose operands stand filled, and one
 * candidate after the other on them. Driven line by line by tune_search.c:
 *   (start)                               ready BYTES
 *   fill SEED                             filled
 *   try VARIANT KNOBS CHECK TIME MOST     tried STATUS SECONDS_PER_RUN TEXT
 *   end
 * CHECK: seconds of reference, 0 where the candidate was held against it before. TIME: seconds of
 * timing. A candidate whose first run takes longer than MOST seconds is not run again; that run is
 * its time. Lines `alive` come between, as in kernels_worker.c.
 *
 * Candidates share this process and find caches hot, so a time from here only says who is worth a
 * second look: what is kept was timed again beside the default, each in a process of its own, in the
 * op's own cache state. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/patchmark.h"
#include "base/stats.h"
#include "base/worker.h"
#include "check/check.h"
#include "cmd/commands.h"
#include "machine/device.h"
#include "machine/topology.h"
#include "timing/measure.h"
#include "tune/tune.h"

#define ALIVE_SECONDS 0.5
#define SAMPLES_MOST 64
#define SAMPLE_SECONDS 0.001 /* far above the clock's resolution */

struct session {
    FILE *out;
    int64_t threads;
    uint64_t seed;
    const char *shape, *pin_list;
    struct pinned pinned;
    struct operands operands;
    bool have_operands;
    double said_alive;
};

static void say_alive(void *user)
{
    struct session *s = user;
    const double now = clock_seconds();
    if (now - s->said_alive < ALIVE_SECONDS)
        return;
    s->said_alive = now;
    fputs("alive\n", s->out);
    fflush(s->out);
}

static enum status session_open(struct session *s, int argc, char **argv, struct fault *fault)
{
    const struct option options[] = {PLUGIN_OPTION,
                                     {"--threads", "N", OPTION_COUNT, &s->threads, ""},
                                     {"--seed", "N", OPTION_SEED, &s->seed, ""},
                                     {"--cpus", "LIST", OPTION_TEXT, &s->pin_list, ""},
                                     DEVICE_OPTION,
                                     {0}};
    int count = 1;
    struct problem problem;
    TRY(options_parse(options, argc, argv, &s->shape, &count, fault));
    if (count != 1 || s->threads < 1)
        return fault_set(fault, ST_BAD_INPUT, "a tune worker wants a SHAPE");
    TRY(shape_parse(s->shape, &problem, fault));
    pinning_apply(s->pin_list, (int)s->threads, &s->pinned);
    TRY(operands_new(&problem, false, false, &s->operands, fault));
    s->have_operands = true;
    s->operands.threads = (int)s->threads;
    operands_fill(&s->operands, s->seed, PATTERN_RANDOM);
    return ST_OK;
}

/* ---- one candidate --------------------------------------------------------------------------- */

struct wish {
    char variant[64], knobs[160];
    double check_s, time_s, most_s;
};

static enum status run_many(void *user, int64_t iterations)
{
    struct bound *bound = user;
    for (int64_t i = 0; i < iterations; i++)
        TRY(bound_run(bound));
    return ST_OK;
}

static enum status sample(struct bound *b, int64_t runs, double *seconds, struct fault *fault)
{
    double wall;
    if (b->mirror.gpu)
        return measure_events(b->mirror.gpu, "tune", run_many, b, runs, 1, seconds, &wall, fault);
    return measure_block(BACKEND_LOOP, "tune", run_many, b, runs, 1, seconds, fault);
}

/* The first run finds caches cold and pages untouched; it only decides how many make a sample. */
static enum status time_runs(struct session *s, struct bound *b, const struct wish *w,
                             double *seconds, struct fault *fault)
{
    double samples[SAMPLES_MOST], first;
    const double begin = clock_seconds();
    int64_t n = 0;
    TRY(sample(b, 1, &first, fault));
    *seconds = first;
    if (first > w->most_s)
        return ST_OK;
    const int64_t runs = first < SAMPLE_SECONDS ? (int64_t)(SAMPLE_SECONDS / first) + 1 : 1;
    do {
        TRY(sample(b, runs, &samples[n++], fault));
        say_alive(s);
    } while (n < SAMPLES_MOST && (n < 3 || clock_seconds() - begin < w->time_s));
    *seconds = stats_median(samples, n);
    return ST_OK;
}

static enum status hold_against_reference(struct session *s, struct bound *b, double seconds,
                                          struct fault *fault)
{
    struct check_result result;
    check_bound(b, s->operands.seed, seconds, &result);
    return result.status == ST_OK ? ST_OK : fault_set(fault, result.status, "%s", result.text);
}

static enum status bound_try(struct session *s, struct bound *b, const struct wish *w,
                             double *seconds, struct fault *why)
{
    b->alive = say_alive;
    b->alive_user = s;
    if (b->mirror.gpu && gpu_info(b->mirror.gpu)->emulated)
        return fault_set(why, ST_UNAVAILABLE, "emulated devices are never timed");
    TRY(bound_prepare(b, why));
    pinning_apply(s->pin_list, (int)s->threads, &s->pinned); /* a library may have begun threads */
    if (w->check_s > 0)
        TRY(hold_against_reference(s, b, w->check_s, why));
    return time_runs(s, b, w, seconds, why);
}

static enum status try_candidate(struct session *s, const struct wish *w, double *seconds,
                                 struct fault *why)
{
    struct bound bound;
    int64_t knob[KNOB_MAX];
    const struct registry_entry *e = registry_find(s->operands.problem.op, w->variant);
    if (!e)
        return fault_set(why, ST_BAD_INPUT, "there is no variant %s", w->variant);
    TRY(registry_usable(e, why));
    TRY(knobs_parse(e->variant, strcmp(w->knobs, "-") ? w->knobs : "", knob, why));
    operands_poison(&s->operands);
    TRY(bound_new(e->variant, knob, &s->operands, (int)s->threads, &bound, why));
    const enum status status = bound_try(s, &bound, w, seconds, why);
    bound_free(&bound);
    return status;
}

/* ---- commands -------------------------------------------------------------------------------- */

static enum status serve(struct session *s, const char *line, struct fault *fault)
{
    struct wish w;
    struct fault why = {{0}};
    double seconds = 0;
    if (sscanf(line, "fill %" SCNu64, &s->seed) == 1) {
        operands_fill(&s->operands, s->seed, PATTERN_RANDOM);
        fputs("filled\n", s->out);
        return ST_OK;
    }
    if (sscanf(line, "try %63s %159s %lf %lf %lf", w.variant, w.knobs, &w.check_s, &w.time_s,
               &w.most_s) != 5)
        return fault_set(fault, ST_BAD_INPUT, "a tune worker does not know '%.80s'", line);
    const enum status status = try_candidate(s, &w, &seconds, &why);
    fprintf(s->out, "tried %d %.9g %s\n", (int)status, seconds, why.text);
    return status == ST_DEVICE ? fault_set(fault, status, "%s", why.text) : ST_OK;
}

int worker_tune(int argc, char **argv, struct fault *fault)
{
    struct session s = {.threads = 1, .pin_list = "-"};
    char line[512];
    if (worker_take_line_out(&s.out, fault) != ST_OK)
        return EXIT_CHECK;
    enum status status = session_open(&s, argc, argv, fault);
    if (status == ST_OK)
        fprintf(s.out, "ready %zu\n", operands_bytes(&s.operands));
    while (status == ST_OK && fflush(s.out) == 0 && fgets(line, sizeof line, stdin) &&
           strcmp(line, "end\n") != 0)
        status = serve(&s, line, fault);
    if (status != ST_OK)
        fprintf(s.out, "fault %d %s\n", (int)status, fault->text);
    fault->text[0] = '\0'; /* told to the supervisor already */
    if (s.have_operands)
        operands_free(&s.operands);
    fclose(s.out);
    return EXIT_OK;
}
