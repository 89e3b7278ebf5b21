// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check/verify.h"
#include "compare/compare.h"
#include "machine/device.h"

/* ---- which pairs ----------------------------------------------------------------------------- */

static enum status read_arm(const char *text, struct arm_spec *spec, struct fault *fault)
{
    const struct registry_entry *entry;
    TRY(arm_spec_parse(text, spec, fault));
    TRY(arm_spec_find(spec, &entry, fault));
    return entry ? verify_keep_device(text, device_kind(), &entry, &(int){1}, fault) : ST_OK;
}

enum status suite_add(struct compare_suite *s, const char *a, const char *b, struct fault *fault)
{
    if (s->count == COMPARE_PAIRS_MAX)
        return fault_set(fault, ST_BAD_INPUT, "more than %d pairs; make two suites of them",
                         COMPARE_PAIRS_MAX);
    struct compare_pair *grown = realloc(s->pair, (size_t)(s->count + 1) * sizeof *grown);
    if (!grown)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the pairs");
    s->pair = grown;
    struct compare_pair *p = &grown[s->count];
    memset(p, 0, sizeof *p);
    TRY(read_arm(a, &p->spec[DUEL_A], fault));
    TRY(read_arm(b, &p->spec[DUEL_B], fault));
    if (strcmp(p->spec[DUEL_A].op, p->spec[DUEL_B].op) != 0)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s and %s are different ops: a pair is two arms of one op", a, b);
    s->count++;
    return ST_OK;
}

/* "A B" on a line; '#' begins a remark. */
static enum status add_line(struct compare_suite *s, char *line, int number, const char *path,
                            struct fault *fault)
{
    static const char blank[] = " \t\r\n";
    char *rest = NULL;
    line[strcspn(line, "#")] = '\0';
    const char *a = strtok_r(line, blank, &rest);
    const char *b = a ? strtok_r(NULL, blank, &rest) : NULL;
    if (!a)
        return ST_OK;
    if (!b || strtok_r(NULL, blank, &rest))
        return fault_set(fault, ST_BAD_INPUT,
                         "%s, line %d: a pair is two arms with a blank between", path, number);
    struct fault why = {""};
    enum status status = suite_add(s, a, b, &why);
    return status == ST_OK ? ST_OK
                           : fault_set(fault, status, "%s, line %d: %s", path, number, why.text);
}

enum status suite_add_file(struct compare_suite *s, const char *path, struct fault *fault)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    enum status status = ST_OK;
    if (!file)
        return fault_set(fault, ST_BAD_INPUT, "cannot read the pairs in '%s': %s", path,
                         strerror(errno));
    for (int number = 1; status == ST_OK && getline(&line, &room, file) > 0; number++)
        status = add_line(s, line, number, path, fault);
    free(line);
    fclose(file);
    if (status == ST_OK && s->count == 0)
        return fault_set(fault, ST_BAD_INPUT, "'%s' has no pair: each line is two arms", path);
    return status;
}

/* ---- thresholds ------------------------------------------------------------------------------ */

int64_t suite_threads(const struct compare_suite *s, const struct compare_pair *p)
{
    int64_t most = 0;
    for (int i = 0; i < DUEL_ARMS; i++) {
        int64_t own = p->spec[i].threads ? p->spec[i].threads : s->kernels.threads;
        most = own > most ? own : most;
    }
    return most;
}

static enum status settle_pair(struct compare_suite *s, struct compare_pair *p, struct fault *fault)
{
    char note[sizeof s->note];
    p->calibrated = calibration_newest(s->calibrations, suite_threads(s, p), &p->calibration, note,
                                       sizeof note);
    if (p->calibrated)
        calibration_at(&p->calibration, s->kernels.budget);
    if (note[0])
        memcpy(s->note, note, sizeof note);
    const struct calibration *c = p->calibrated ? &p->calibration : NULL;
    p->options = (struct duel_options){
        .kernels = s->kernels, .blocked = s->blocked, .luck = calibration_luck(c)};
    p->options.threshold = isnan(s->threshold) ? calibration_threshold(c) : s->threshold;
    if (p->options.threshold >= calibration_floor(c))
        return ST_OK;
    char floor[256];
    calibration_describe(c, suite_threads(s, p), floor, sizeof floor);
    return fault_set(fault, ST_BAD_INPUT,
                     "--threshold %g %% is less than this machine can tell apart (%s)",
                     100 * s->threshold, floor);
}

enum status suite_settle(struct compare_suite *s, struct fault *fault)
{
    for (int i = 0; i < s->count; i++)
        TRY(settle_pair(s, &s->pair[i], fault));
    return ST_OK;
}

/* ---- measuring ------------------------------------------------------------------------------- */

/* The shape asked for serves the pairs of its op; the others have their op's own. */
static enum status shape_of(const struct compare_suite *s, const struct compare_pair *p,
                            struct problem *shape, struct fault *fault)
{
    const char *op = p->spec[DUEL_A].op;
    if (s->kernels.shape) {
        TRY(shape_parse(s->kernels.shape, shape, fault));
        if (!strcmp(op_table[shape->op]->name, op))
            return ST_OK;
    }
    for (int i = 0; i < OP_COUNT; i++)
        if (!strcmp(op_table[i]->name, op))
            return shape_parse(op_table[i]->timing_shape, shape, fault);
    return ST_BAD_INPUT;
}

enum status suite_run(struct compare_suite *s, int index, struct roof *roof, struct fault *fault)
{
    struct compare_pair *p = &s->pair[index];
    struct problem shape;
    p->baseline = DUEL_ARMS * index + 1;
    TRY(shape_of(s, p, &shape, fault));
    TRY(duel_new(&p->options, &shape, p->spec, roof, &p->duel, fault));
    return duel_run(p->duel, fault);
}

void suite_judge(struct compare_suite *s)
{
    struct judgement *all[COMPARE_PAIRS_MAX];
    for (int i = 0; i < s->count; i++)
        all[i] = &s->pair[i].duel->judgement;
    verdict_holm(all, s->count);
    for (int i = 0; i < s->count; i++)
        verdict_decide(all[i], s->pair[i].options.threshold);
}

void suite_free(struct compare_suite *s)
{
    for (int i = 0; i < s->count; i++)
        duel_free(s->pair[i].duel);
    free(s->pair);
}
