// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* external.c   The supervisor's side of an engine: starts it, reads its lines, times beside it. */
#include "external/external.h"

#include "base/text.h"
#include "base/worker.h"
#include "engine/dump.h"
#include "timing/measure.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void external_free(struct external *x)
{
    if (!x)
        return;
    words_free(&x->command);
    json_free(&x->libraries);
    free(x);
}

#ifndef HAVE_JANSSON

void run_external(struct outcome *o, const struct run_limits *limits)
{
    (void)limits;
    o->status = ST_NOT_BUILT;
    snprintf(o->reason, sizeof o->reason,
             "reading an engine's answers needs jansson, which this build lacks: install"
             " libjansson-dev and run make again");
}

#else

#include <jansson.h>

/* One case under way. */
struct talk {
    struct outcome *o;
    struct external *x;
    const struct run_limits *limits;
    struct worker *w;
    struct truth *truth;
    struct fault *fault;
};

/* ---- lines ---- */

static enum status misspoke(struct talk *t, const char *line, const char *what)
{
    char shown[160];
    text_printable(line, strlen(line), shown, sizeof shown);
    return fault_set(t->fault, ST_CRASHED, "the engine's answer %s: %s", what, shown);
}

/* An engine may say of itself no more than that it cannot. */
static enum status gave_up(struct talk *t, const json_t *answer)
{
    static const enum status may[] = {ST_REFUSED, ST_UNAVAILABLE, ST_NO_MEMORY};
    const char *word = json_string_value(json_object_get(answer, "status"));
    const char *reason = json_string_value(json_object_get(answer, "reason"));
    enum status s = ST_CRASHED;
    for (size_t i = 0; word && i < sizeof may / sizeof *may; i++)
        if (!strcmp(word, status_name(may[i])))
            s = may[i];
    char shown[400];
    reason = reason && *reason ? reason : "the engine gave up and did not say why";
    return fault_set(t->fault, s, "%s",
                     text_printable(reason, strlen(reason), shown, sizeof shown));
}

/* The next answer that is no sign of life. `due` is its event; *line, where it stands, is valid until
 * the next one. */
static enum status hear(struct talk *t, const char *due, json_t **answer, const char **line)
{
    for (;;) {
        TRY(worker_receive(t->w, t->limits->deadline_s, line, t->fault));
        json_t *said = json_loads(*line, JSON_REJECT_DUPLICATES, NULL);
        const char *event = json_string_value(json_object_get(said, "event"));
        enum status s = ST_OK;
        if (event && !strcmp(event, due)) {
            *answer = said;
            return ST_OK;
        }
        if (!event)
            s = misspoke(t, *line, "is no JSON object with an event");
        else if (!strcmp(event, "fail"))
            s = gave_up(t, said);
        else if (!strcmp(event, "progress"))
            outcome_progress(t->o, json_number_value(json_object_get(said, "share")));
        else
            s = misspoke(t, *line, "is another event than the one due");
        json_decref(said);
        TRY(s);
    }
}

/* ---- ready ---- */

/* A short word of the answer without what would break a table. */
static bool take_word(const json_t *answer, const char *key, char *out, size_t bytes)
{
    const char *text = json_string_value(json_object_get(answer, key));
    if (!text || !*text || strlen(text) >= bytes)
        return false;
    text_printable(text, strlen(text), out, bytes);
    return true;
}

static bool one_of(const char *word, const char *const *words)
{
    while (*words && strcmp(word, *words))
        words++;
    return *words != NULL;
}

static void take_libraries(struct external *x, const json_t *answer)
{
    const char *name;
    json_t *version, *libraries = json_object_get(answer, "libraries");
    json_open_object(&x->libraries, NULL);
    json_object_foreach(libraries, name, version) if (json_is_string(version))
        json_text(&x->libraries, name, json_string_value(version));
    json_end(&x->libraries);
}

/* A count of nanoseconds or bytes; NAN: null or left out. False where it is neither. */
static bool take_amount(const json_t *answer, const char *key, double *out)
{
    const json_t *value = json_object_get(answer, key);
    *out = json_is_number(value) ? json_number_value(value) : NAN;
    return !value || json_is_null(value) || *out >= 0;
}

static bool take_ready(struct external *x, const json_t *answer)
{
    static const char *const devices[] = {"cpu", "cuda", "other", NULL};
    static const char *const weights[] = {"folder", "own", NULL};
    static const char *const texts[] = {"prompt", "embeds", "none", NULL};
    take_libraries(x, answer);
    return json_integer_value(json_object_get(answer, "protocol")) == EXTERNAL_PROTOCOL &&
           take_word(answer, "name", x->name, sizeof x->name) &&
           take_word(answer, "version", x->version, sizeof x->version) &&
           take_word(answer, "device", x->device, sizeof x->device) &&
           take_word(answer, "weights", x->weights, sizeof x->weights) &&
           take_word(answer, "text", x->text, sizeof x->text) && one_of(x->device, devices) &&
           one_of(x->weights, weights) && one_of(x->text, texts) &&
           take_amount(answer, "load_ns", &x->load_ns);
}

static enum status get_ready(struct talk *t)
{
    struct external *x = t->x;
    struct external_paths paths;
    const char *line;
    json_t *answer;
    struct json j;
    truth_paths(t->truth, &paths);
    json_init(&j, false);
    enum status s = external_case_json(t->o, &paths, &j, t->fault);
    if (s == ST_OK)
        s = worker_send(t->w, j.text, t->fault);
    json_free(&j);
    TRY(s);
    TRY(hear(t, "ready", &answer, &line));
    if (!take_ready(x, answer))
        s = misspoke(t, line,
                     "should have protocol 1, name, version, device, weights and text as"
                     " external.h says");
    json_decref(answer);
    TRY(s);
    if (!strcmp(x->device, "cpu") != (t->o->c.config.device == DEVICE_CPU))
        return fault_set(t->fault, ST_UNAVAILABLE,
                         "the case is for %s, and the engine says that it runs on %s",
                         t->o->c.spec.device, x->device);
    snprintf(x->stack, sizeof x->stack, "%s %s", x->name, x->version);
    if (t->o->c.folder && !strcmp(x->weights, "own"))
        return fault_set(t->fault, ST_WRONG,
                         "the engine did not take the weights of the model's folder");
    if (!t->o->c.folder)
        snprintf(x->not_compared, sizeof x->not_compared, "its own random weights");
    return ST_OK;
}

/* ---- clips ---- */

struct clip {
    double total_ns, stage_ns[STAGE_COUNT], *step_ns, peak_bytes;
    char hash[72];
};

static bool take_steps(const json_t *answer, const struct outcome *o, double *step_ns)
{
    const json_t *list = json_object_get(answer, "step_ns");
    const int64_t steps = o->c.request.steps;
    double sum = 0, denoise = json_number_value(json_object_get(answer, "denoise_ns"));
    if ((int64_t)json_array_size(list) != steps)
        return false;
    for (int64_t i = 0; i < steps; i++) {
        step_ns[i] = json_number_value(json_array_get(list, (size_t)i));
        if (!(step_ns[i] > 0))
            return false;
        sum += step_ns[i];
    }
    return sum <= denoise * 1.01 + EXTERNAL_WALL_SLACK_NS;
}

static bool take_clip(const json_t *answer, const struct outcome *o, int64_t number, struct clip *c)
{
    static const struct {
        const char *key;
        enum stage stage;
    } stages[] = {{"text_ns", STAGE_TEXT},
                  {"encode_ns", STAGE_ENCODE},
                  {"denoise_ns", STAGE_DENOISE},
                  {"decode_ns", STAGE_DECODE}};
    double sum = 0;
    bool ok = json_integer_value(json_object_get(answer, "clip")) == number &&
              take_amount(answer, "total_ns", &c->total_ns) && c->total_ns > 0 &&
              take_amount(answer, "peak_bytes", &c->peak_bytes) &&
              take_word(answer, "frames_hash", c->hash, sizeof c->hash);
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        double *ns = &c->stage_ns[stages[i].stage];
        ok = ok && take_amount(answer, stages[i].key, ns);
        sum += isnan(*ns) ? 0 : *ns;
    }
    return ok && c->stage_ns[STAGE_DENOISE] > 0 && take_steps(answer, o, c->step_ns) &&
           sum <= c->total_ns * 1.01 + EXTERNAL_WALL_SLACK_NS;
}

/* `wall_ns` is our own clock from the line we send to the line we get. */
static enum status make_clip(struct talk *t, int64_t number, bool dump, struct clip *c,
                             double *wall_ns)
{
    char go[80];
    const char *line;
    json_t *answer;
    snprintf(go, sizeof go, "{\"event\": \"go\", \"clip\": %" PRId64 ", \"dump\": %s}", number,
             dump ? "true" : "false");
    const double start = clock_seconds();
    TRY(worker_send(t->w, go, t->fault));
    TRY(hear(t, "clip", &answer, &line));
    *wall_ns = 1e9 * (clock_seconds() - start);
    const enum status s =
        take_clip(answer, t->o, number, c)
            ? ST_OK
            : misspoke(t, line,
                       "should have the clip's number, total_ns, denoise_ns, as many step_ns as"
                       " steps, frames_hash, and stages that do not exceed the total");
    json_decref(answer);
    return s;
}

static enum status keep_clip(struct talk *t, const struct clip *c, double wall_ns)
{
    struct outcome *o = t->o;
    const int64_t i = o->samples++;
    const double seconds = c->total_ns * 1e-9;
    o->total[i] = c->total_ns;
    t->x->wall_ns[i] = wall_ns;
    for (int s = 0; s < STAGE_COUNT; s++) {
        o->stage[s][i] = s == STAGE_ENCODE && isnan(c->stage_ns[s]) ? 0 : c->stage_ns[s];
        o->load[s][i] = NAN;
    }
    for (int64_t k = 0; k < o->c.request.steps; k++)
        o->step[k * SAMPLES_MAX + i] = c->step_ns[k];
    t->x->repeatable = t->x->repeatable && !strcmp(c->hash, t->x->frames_hash);
    o->resident = c->peak_bytes > 0 ? c->peak_bytes : 0;
    o->summary = stats_summary(o->total, o->samples);
    stop_look(&o->stopping, &o->summary);
    return raw_add(&o->raw, &seconds, 1, NAN, 0)
               ? ST_OK
               : fault_set(t->fault, ST_NO_MEMORY, "no memory for the samples");
}

static enum status time_clips(struct talk *t, struct clip *c)
{
    struct outcome *o = t->o;
    const struct run_limits *limits = t->limits;
    const struct stop_rule rule = {.narrow = STOP_NARROW_PIPELINE,
                                   .least = limits->least_samples,
                                   .fewest = limits->least_samples,
                                   .most = SAMPLES_MAX,
                                   .budget_s = limits->budget_s,
                                   .overrun = 0.5};
    const double start = clock_seconds();
    double wall_ns;
    for (o->stop = STOP_NOT; !o->stop;) {
        TRY(make_clip(t, o->samples + 1, false, c, &wall_ns));
        TRY(keep_clip(t, c, wall_ns));
        o->stop = stop_decide(&rule, &o->stopping, &o->summary, clock_seconds() - start,
                              o->summary.median * 1e-9);
    }
    return ST_OK;
}

/* In most clips the two clocks must agree: one slow answer is a busy machine. */
static void judge_clocks(struct outcome *o)
{
    struct external *x = o->external;
    double ratio[SAMPLES_MAX];
    int64_t apart = 0;
    for (int64_t i = 0; i < o->samples; i++) {
        const double off = fabs(x->wall_ns[i] - o->total[i]);
        ratio[i] = x->wall_ns[i] / o->total[i];
        apart += off > EXTERNAL_WALL_APART * o->total[i] + EXTERNAL_WALL_SLACK_NS;
    }
    x->wall_ratio = stats_median(ratio, o->samples);
    if (2 * apart <= o->samples)
        return;
    o->mistrusted = true;
    snprintf(o->reason, sizeof o->reason,
             "our clock took %.3g times as long around a clip as the engine's own said; at most"
             " %.0f %% apart is believed",
             x->wall_ratio, 100 * EXTERNAL_WALL_APART);
}

/* Right before it is timed, and right after. */
static enum status run_clips(struct talk *t, struct clip *c)
{
    struct outcome *o = t->o;
    double wall_ns;
    TRY(make_clip(t, 0, true, c, &wall_ns));
    o->first_ns = c->total_ns;
    memcpy(t->x->frames_hash, c->hash, sizeof c->hash);
    TRY(truth_compare(t->truth, o, t->fault));
    TRY(time_clips(t, c));
    if (t->x->compared) {
        TRY(make_clip(t, o->samples + 1, true, c, &wall_ns));
        TRY(truth_compare(t->truth, o, t->fault));
    }
    worker_send(t->w, "{\"event\": \"end\"}", t->fault);
    outcome_judge(o);
    judge_clocks(o);
    return ST_OK;
}

static enum status start(struct talk *t)
{
    const char *argv[EXTERNAL_WORDS_MOST + 3] = {"worker", "exec"};
    const struct words *command = &t->x->command;
    if (command->count > EXTERNAL_WORDS_MOST)
        return fault_set(t->fault, ST_BAD_INPUT, "--engine: over %d words", EXTERNAL_WORDS_MOST);
    for (int i = 0; i < command->count; i++)
        argv[2 + i] = command->word[i];
    return worker_spawn(argv, &t->w, t->fault);
}

/* What was asked for, in the terms of all cases; the engine's name comes with its first answer. */
static void keep_recipe(struct outcome *o)
{
    struct json j;
    struct fault fault = {{0}};
    struct generate_request *r = &o->c.request;
    float *noise = NULL, *extra = NULL;
    if (!o->external->stack[0])
        return;
    if (o->c.spec.noise)
        load_noise(o->c.spec.noise, r, &noise, &extra, &fault);
    r->noise = noise;
    r->extra_noise = extra;
    o->c.stack = o->external->stack;
    o->c.stack_weights = o->external->weights_recipe[0] ? o->external->weights_recipe : NULL;
    json_init(&j, false);
    case_recipe(&o->c, NULL, &j, NULL);
    if (!j.failed && j.used < sizeof o->recipe)
        snprintf(o->recipe, sizeof o->recipe, "%s", j.text);
    case_recipe_sha256(&o->c, NULL, o->sha256);
    json_free(&j);
    r->noise = r->extra_noise = NULL;
    free(noise);
    free(extra);
}

static enum status run_talk(struct talk *t)
{
    struct outcome *o = t->o;
    struct clip c = {.step_ns = calloc((size_t)o->c.request.steps, sizeof *c.step_ns)};
    enum status s = c.step_ns ? external_words(o->c.spec.engine, &t->x->command, t->fault)
                              : fault_set(t->fault, ST_NO_MEMORY, "no memory for a case");
    if (s == ST_OK && o->c.config.device == DEVICE_CPU) /* of a device the engine knows itself */
        s = case_ready(&o->c, t->fault);
    if (s == ST_OK)
        s = truth_new(o, t->limits, &t->truth, t->fault);
    if (s == ST_OK)
        s = start(t);
    if (s == ST_OK)
        s = get_ready(t);
    if (s == ST_OK)
        s = run_clips(t, &c);
    free(c.step_ns);
    return s;
}

void run_external(struct outcome *o, const struct run_limits *limits)
{
    struct fault fault = {{0}};
    struct external *x = o->external = calloc(1, sizeof *x);
    const double start_s = clock_seconds();
    outcome_repro(o, limits);
    if (!x) {
        o->status = ST_NO_MEMORY;
        return;
    }
    *x = (struct external){.load_ns = NAN,
                           .wall_ratio = NAN,
                           .repeatable = true,
                           .gated = o->c.config.type == ELEM_F32,
                           .latent_l2 = NAN,
                           .psnr_db = NAN,
                           .max_abs = NAN};
    json_init(&x->libraries, false);
    struct talk t = {.o = o, .x = x, .limits = limits, .fault = &fault};
    const enum status status = run_talk(&t);
    outcome_finish(o, t.w, status, &fault);
    truth_free(t.truth);
    keep_recipe(o);
    o->elapsed_ns = 1e9 * (clock_seconds() - start_s);
}

#endif
