// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "run/run_scenario.h"
#include "run/run_replicas.h"
#include "timing/measure.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Clips of a block; the first follows one of the other kind and is not counted. */
#define BLOCK 4
#define LEAST_PAIRS                                                                                \
    (AUDIT_LEAST_CLIPS / (2 * BLOCK)) /* of blocks: the fewest that can differ beyond chance */

static const char *const scenario_names[] = {"", "single-stream", "offline", "repeat-audit"};
enum { SCENARIOS = sizeof scenario_names / sizeof scenario_names[0] };

/* Of a case's words; SCENARIO_NONE for NULL. ST_BAD_INPUT for an unknown word. */
static enum status find_scenario(const char *word, enum scenario *out, struct fault *fault)
{
    char near[128];
    *out = SCENARIO_NONE;
    for (int i = 1; word && i < SCENARIOS; i++)
        if (!strcmp(word, scenario_names[i]))
            *out = (enum scenario)i;
    if (!word || *out != SCENARIO_NONE)
        return ST_OK;
    nearest_names(word, scenario_names + 1, SCENARIOS - 1, near, sizeof near);
    return fault_set(fault, ST_BAD_INPUT,
                     "--scenario does not know '%s'%s it takes single-stream, offline and"
                     " repeat-audit",
                     word, near[0] ? near : ";");
}

static enum scenario scenario_of(const struct outcome *o)
{
    enum scenario scenario;
    find_scenario(o->c.spec.scenario, &scenario, NULL);
    return scenario;
}

enum status scenario_check(const struct pipeline_case *c, struct fault *fault)
{
    const char *word = c->spec.scenario;
    enum scenario scenario;
    TRY(find_scenario(word, &scenario, fault));
    if (scenario == SCENARIO_NONE)
        return ST_OK;
    if (!c->request.model->text.layers)
        return fault_set(fault, ST_BAD_INPUT,
                         "--scenario %s gives every clip a prompt of its own, and %s reads none",
                         word, c->request.model->name);
    if (scenario != SCENARIO_OFFLINE && c->spec.replicas != CASE_UNSET)
        return fault_set(fault, ST_BAD_INPUT,
                         "--scenario %s is one worker's; --replicas goes with offline", word);
    if (scenario != SCENARIO_OFFLINE && c->request.batch > 1)
        return fault_set(fault, ST_BAD_INPUT,
                         "--scenario %s makes one clip at a time; --batch goes with offline", word);
    return ST_OK;
}

/* ---- single stream --------------------------------------------------------------------------- */

static bool time_left(const struct outcome *o, const struct run_limits *limits, double start_s,
                      int64_t least)
{
    const double next_s = o->samples ? stats_median(o->total, o->samples) * 1e-9 : 0;
    return o->samples < least || clock_seconds() - start_s + next_s < limits->budget_s;
}

/* The last clip has the prompt of the first run again: its frames must be the same. */
static enum status stream(struct worker *w, const struct run_limits *limits, struct outcome *o,
                          struct fault *fault)
{
    const double start_s = clock_seconds();
    while (time_left(o, limits, start_s, limits->least_samples - 1) &&
           o->samples < SAMPLES_MAX - 1) {
        TRY(outcome_clip(o, w, limits, o->samples + 1, fault));
        outcome_progress(o, fmin(1, (clock_seconds() - start_s) / limits->budget_s));
    }
    TRY(outcome_clip(o, w, limits, 0, fault));
    o->frames_differ = o->frames_differ || o->clip_hash != o->frames_hash;
    o->stop = STOP_BUDGET;
    return ST_OK;
}

/* ---- the audit ------------------------------------------------------------------------------- */

/* A new prompt that makes the clip of another one was not read, or its clip was kept. */
static enum status look_at(struct outcome *o, bool repeated, struct fault *fault)
{
    if (repeated) {
        o->frames_differ = o->frames_differ || o->clip_hash != o->frames_hash;
        return ST_OK;
    }
    if (o->clip_hash != o->frames_hash)
        return ST_OK;
    return fault_set(fault, ST_WRONG,
                     "a new prompt gave the same frames as an old one: the clip does not depend on"
                     " its prompt");
}

static enum status audit_block(struct worker *w, const struct run_limits *limits, struct outcome *o,
                               bool repeated, int64_t *next, struct fault *fault)
{
    struct audit *a = o->audit;
    int64_t at = a->count;
    for (int i = 0; i < BLOCK; i++) {
        TRY(outcome_clip(o, w, limits, repeated ? 0 : ++*next, fault));
        TRY(look_at(o, repeated, fault));
        if (i)
            (repeated ? a->repeated_ns : a->fresh_ns)[at++] = o->total[o->samples - 1];
        if (repeated || !i) {
            o->samples--;
            o->raw.count--;
            o->raw.blocks--;
        }
    }
    return ST_OK;
}

/* Blocks in the order A B B A, so that a drift of the machine meets both kinds alike. The outcome's
 * samples are the counted clips with new prompts. */
static enum status audit_clips(struct worker *w, const struct run_limits *limits, struct outcome *o,
                               struct fault *fault)
{
    struct audit *a = o->audit;
    const double start_s = clock_seconds();
    int64_t next = 0;
    double block_s = 0;
    for (int pair = 0; a->count + BLOCK < SAMPLES_MAX; pair++) {
        const double begin_s = clock_seconds();
        if (pair >= LEAST_PAIRS && begin_s - start_s + block_s > limits->budget_s)
            break;
        TRY(audit_block(w, limits, o, pair % 2 == 0, &next, fault));
        TRY(audit_block(w, limits, o, pair % 2 == 1, &next, fault));
        a->count += BLOCK - 1;
        block_s = clock_seconds() - begin_s;
        outcome_progress(o, fmin(1, (clock_seconds() - start_s) / limits->budget_s));
    }
    o->summary = stats_summary(o->total, o->samples);
    o->stop = STOP_BUDGET;
    return ST_OK;
}

/* Clips of a block resemble each other, so that a block is what counts. */
static int64_t block_medians(const double *clip_ns, int64_t count, double *out)
{
    int64_t blocks = 0;
    for (int64_t i = 0; i + BLOCK - 1 <= count; i += BLOCK - 1)
        out[blocks++] = stats_median(clip_ns + i, BLOCK - 1);
    return blocks;
}

void audit_judge(struct outcome *o)
{
    struct audit *a = o->audit;
    double repeated[SAMPLES_MAX], fresh[SAMPLES_MAX];
    const int64_t blocks = block_medians(a->repeated_ns, a->count, repeated);
    block_medians(a->fresh_ns, a->count, fresh);
    const double repeated_ns = a->repeated_median_ns = stats_median(repeated, blocks);
    const double fresh_ns = a->fresh_median_ns = stats_median(fresh, blocks);
    a->ratio = repeated_ns / fresh_ns;
    a->p_value = stats_mann_whitney(repeated, blocks, fresh, blocks);
    if (o->mistrusted || !(a->ratio < AUDIT_BOUND))
        return;
    o->mistrusted = a->p_value < AUDIT_LEVEL;
    o->unstable = true;
    snprintf(o->reason, sizeof o->reason,
             o->mistrusted
                 ? "the same prompt again takes %.3f s, a new one %.3f s (medians over %lld"
                   " clips each): something is kept from one clip to the next"
                 : "the same prompt again takes %.3f s, a new one %.3f s (medians over %lld"
                   " clips each), which may be chance; raise --budget",
             repeated_ns * 1e-9, fresh_ns * 1e-9, (long long)a->count);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static enum status make_room(struct outcome *o, enum scenario scenario, struct fault *fault)
{
    if (o->sampling && scenario != SCENARIO_SINGLE_STREAM)
        return fault_set(fault, ST_REFUSED,
                         "--sample makes no whole clip; of the scenarios it gives single-stream"
                         " alone");
    if (o->sampling)
        return ST_OK;
    if (scenario == SCENARIO_AUDIT && !(o->audit = calloc(1, sizeof *o->audit)))
        return ST_NO_MEMORY;
    return case_ready(&o->c, fault) == ST_OK ? replicas_fit(o, 1, fault) : ST_OK;
}

void run_scenario(struct outcome *o, const struct run_limits *limits)
{
    struct fault fault = {{0}};
    struct run_limits mine = *limits;
    const enum scenario scenario = scenario_of(o);
    enum status status = make_room(o, scenario, &fault);
    mine.clips = scenario == SCENARIO_AUDIT ? audit_clips : stream;
    if (status != ST_OK) {
        outcome_repro(o, limits);
        outcome_finish(o, NULL, status, &fault);
        return;
    }
    run_case(o, &mine);
    if (o->status == ST_OK && o->audit)
        audit_judge(o);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void json_samples(struct json *j, const char *key, const double *ns, int64_t count)
{
    json_open_array(j, key);
    for (int64_t i = 0; i < count; i++)
        json_number(j, NULL, ns[i]);
    json_end(j);
}

static bool undecided(const struct audit *a)
{
    return a->ratio < AUDIT_BOUND && !(a->p_value < AUDIT_LEVEL);
}

static void audit_json(const struct audit *a, struct json *j)
{
    json_open_object(j, "audit");
    if (undecided(a))
        json_none(j, "passed");
    else
        json_bool(j, "passed", !(a->ratio < AUDIT_BOUND));
    json_number(j, "repeated_median_ns", a->repeated_median_ns);
    json_number(j, "new_median_ns", a->fresh_median_ns);
    json_number(j, "ratio", a->ratio);
    json_number(j, "bound", AUDIT_BOUND);
    json_number(j, "p_value", a->p_value);
    json_samples(j, "repeated_ns", a->repeated_ns, a->count);
    json_samples(j, "new_ns", a->fresh_ns, a->count);
    json_end(j);
}

void scenario_json(const struct outcome *o, struct json *j)
{
    const enum scenario scenario = scenario_of(o);
    const bool clips = outcome_timed(o) && !o->sampling;
    if (scenario == SCENARIO_NONE)
        return;
    json_open_object(j, "scenario");
    json_text(j, "name", scenario_names[scenario]);
    json_text(j, "note", SCENARIO_NOTE);
    json_text(j, "latent", o->c.spec.noise ? "given" : "drawn once from the seed");
    if (outcome_timed(o) && scenario == SCENARIO_SINGLE_STREAM) {
        json_number(j, "p50_ns", o->summary.median);
        json_number(j, "p90_ns", clips ? stats_quantile(o->total, o->samples, 0.9) : NAN);
    }
    if (outcome_timed(o) && scenario == SCENARIO_OFFLINE)
        json_number(j, "clips_per_h", 3600 * throughput_clips_per_s(o->throughput));
    if (o->audit && o->audit->count)
        audit_json(o->audit, j);
    json_end(j);
}

void scenario_row(const struct outcome *o, FILE *out)
{
    const enum scenario scenario = scenario_of(o);
    if (scenario == SCENARIO_SINGLE_STREAM && !o->sampling)
        fprintf(out, "    single-stream: p50 %.3f s, p90 %.3f s of %lld clips, one latent\n",
                o->summary.median * 1e-9, 1e-9 * stats_quantile(o->total, o->samples, 0.9),
                (long long)o->samples);
    if (o->audit && o->audit->count)
        fprintf(out,
                "    repeat-audit %s: the same prompt again %.3f s, new prompts %.3f s (%.2f; under"
                " %.2f fails)\n",
                undecided(o->audit)             ? "undecided"
                : o->audit->ratio < AUDIT_BOUND ? "failed"
                                                : "passed",
                1e-9 * o->audit->repeated_median_ns, 1e-9 * o->audit->fresh_median_ns,
                o->audit->ratio, AUDIT_BOUND);
}

/* ---- of a whole run -------------------------------------------------------------------------- */

static char best_name[128];
static double best_rate;
static int offline_rows;

void scenario_count(const struct outcome *o)
{
    if (scenario_of(o) != SCENARIO_OFFLINE || !outcome_timed(o))
        return;
    offline_rows++;
    if (!(throughput_clips_per_s(o->throughput) > best_rate))
        return;
    best_rate = throughput_clips_per_s(o->throughput);
    outcome_name(o, best_name, sizeof best_name);
}

void scenario_footer(FILE *out)
{
    char rate[24];
    if (offline_rows)
        fprintf(out, "offline, best of %d: %s clips/h by %s\n", offline_rows,
                rate_text(3600 * best_rate, rate), best_name);
    fprintf(out, "scenarios are %s\n", SCENARIO_NOTE);
}
