// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "contest/arm_spec.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/patchmark.h"
#include "ops/op_info.h"

#define FORM "OP/VARIANT[:knob=v,...][@threads=N][@bin=PATH][@slow=PERCENT]"

/* ---- words behind '@' ------------------------------------------------------------------------ */

static enum status take_threads(const char *text, struct arm_spec *out, struct fault *fault)
{
    char *end;
    errno = 0;
    out->threads = strtoll(text, &end, 10);
    if (end == text || *end || errno || out->threads < 1 || out->threads > 4096)
        return fault_set(fault, ST_BAD_INPUT, "@threads wants 1 to 4096, not '%s'", text);
    return ST_OK;
}

static enum status take_program(const char *text, struct arm_spec *out, struct fault *fault)
{
    if (!*text || strlen(text) > sizeof out->program - 3)
        return fault_set(fault, ST_BAD_INPUT, "@bin wants the path of a patchmark, not '%s'", text);
    strcpy(out->program, strchr(text, '/') ? "" : "./"); /* never searched in PATH */
    strcat(out->program, text);
    return ST_OK;
}

static enum status take_slow(const char *text, struct arm_spec *out, struct fault *fault)
{
    char *end;
    double percent = strtod(text, &end);
    end += *end == '%';
    if (end == text || *end || !(percent > 0) || percent > 1000)
        return fault_set(fault, ST_BAD_INPUT, "@slow wants a percentage above 0, 1000 at most, not '%s'", text);
    out->slow = percent / 100;
    return ST_OK;
}

static const struct {
    const char *word;
    enum status (*take)(const char *, struct arm_spec *, struct fault *);
} words[] = {{"@threads=", take_threads}, {"@bin=", take_program}, {"@slow=", take_slow}};
enum { WORDS = sizeof words / sizeof *words };

/* A path may hold an '@', so that only a known word ends one. */
static const char *next_word(const char *text, int *which)
{
    for (; *text; text++)
        for (int i = 0; *text == '@' && i < WORDS; i++)
            if (!strncmp(text, words[i].word, strlen(words[i].word))) {
                *which = i;
                return text;
            }
    return text;
}

static enum status take_words(const char *text, struct arm_spec *out, struct fault *fault)
{
    char value[1100];
    bool seen[WORDS] = {false};
    int which = 0, after = 0;
    const char *at = next_word(text, &which);
    if (at != text)
        return fault_set(fault, ST_BAD_INPUT,
                         "'%s' does not go on from a variant: an arm is written " FORM, text);
    for (; *at; which = after) {
        const char *from = at + strlen(words[which].word);
        at = next_word(from, &after);
        if (seen[which] || (size_t)(at - from) >= sizeof value)
            return fault_set(fault, ST_BAD_INPUT, "'%s' has %s twice or too long", text,
                             words[which].word);
        seen[which] = true;
        snprintf(value, sizeof value, "%.*s", (int)(at - from), from);
        TRY(words[which].take(value, out, fault));
    }
    return ST_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Up to a character of `ends` or the end; false where nothing is there, or too much. */
static bool take_name(const char **at, const char *ends, char *out, size_t bytes)
{
    size_t n = strcspn(*at, ends);
    if (n == 0 || n >= bytes)
        return false;
    memcpy(out, *at, n);
    out[n] = '\0';
    *at += n;
    return true;
}

enum status arm_spec_parse(const char *text, struct arm_spec *out, struct fault *fault)
{
    const char *at = text;
    *out = (struct arm_spec){.threads = 0};
    bool named = take_name(&at, "/:@", out->op, sizeof out->op) && *at == '/' &&
                 (at++, take_name(&at, "/:@", out->variant, sizeof out->variant));
    if (!named || *at == '/')
        return fault_set(fault, ST_BAD_INPUT, "'%s' is no arm: it is written " FORM, text);
    if (*at == ':' && (at++, !take_name(&at, "@", out->knobs, sizeof out->knobs)))
        return fault_set(fault, ST_BAD_INPUT, "'%s' names no knobs behind ':', or too many", text);
    return take_words(at, out, fault);
}

void arm_spec_print(const struct arm_spec *spec, char *out, size_t bytes)
{
    char threads[32] = "", slow[32] = "";
    if (spec->threads)
        snprintf(threads, sizeof threads, "@threads=%" PRId64, spec->threads);
    if (spec->slow > 0)
        snprintf(slow, sizeof slow, "@slow=%g%%", 100 * spec->slow);
    snprintf(out, bytes, "%s/%s%s%s%s%s%s%s", spec->op, spec->variant, spec->knobs[0] ? ":" : "",
             spec->knobs, threads, spec->program[0] ? "@bin=" : "", spec->program, slow);
}

/* ---- what it names --------------------------------------------------------------------------- */

static enum status no_such_variant(const struct arm_spec *spec, struct fault *fault)
{
    const char *names[512];
    char near[256];
    int all = 0, count = 0;
    const struct registry_entry *entries = registry(&all);
    for (int i = 0; i < all && count < 512; i++)
        if (!strcmp(entries[i].op, spec->op))
            names[count++] = entries[i].name;
    nearest_names(spec->variant, names, count, near, sizeof near);
    return fault_set(fault, ST_BAD_INPUT,
                     "no variant of %s is called '%s'%s 'list variants' shows them all", spec->op,
                     spec->variant, near[0] ? near : ";");
}

static enum status find_op(const char *name, enum op_id *op, struct fault *fault)
{
    const char *names[OP_COUNT];
    char near[256];
    for (int i = 0; i < OP_COUNT; i++) {
        names[i] = op_table[i]->name;
        if (!strcmp(names[i], name)) {
            *op = (enum op_id)i;
            return ST_OK;
        }
    }
    nearest_names(name, names, OP_COUNT, near, sizeof near);
    return fault_set(fault, ST_BAD_INPUT, "no op is called '%s'%s 'list ops' shows them all", name,
                     near[0] ? near : ";");
}

enum status arm_spec_find(const struct arm_spec *spec, const struct registry_entry **entry,
                          struct fault *fault)
{
    enum op_id op = OP_COUNT;
    int64_t knob[KNOB_MAX];
    TRY(find_op(spec->op, &op, fault));
    *entry = registry_find(op, spec->variant);
    if (spec->program[0])
        return ST_OK;
    if (!*entry)
        return no_such_variant(spec, fault);
    /* A variant that is not built here has no knobs to look up; the row will say so. */
    return (*entry)->variant ? knobs_parse((*entry)->variant, spec->knobs, knob, fault) : ST_OK;
}

/* ---- knobs ----------------------------------------------------------------------------------- */

static enum status no_such_knob(const struct variant *v, const char *name, struct fault *fault)
{
    char has[256] = "";
    for (int i = 0; i < KNOB_MAX && v->knob[i].name; i++) {
        size_t used = strlen(has);
        snprintf(has + used, sizeof has - used, "%s%s", i ? ", " : ": it has ", v->knob[i].name);
    }
    return fault_set(fault, ST_BAD_INPUT, "%s has no knob '%s'%s", v->name, name,
                     has[0] ? has : "; it has none at all");
}

static enum status no_such_value(const struct variant *v, const struct knob *k, const char *value,
                                 struct fault *fault)
{
    char has[512] = "";
    for (int i = 0; i < k->count; i++) {
        size_t used = strlen(has);
        snprintf(has + used, sizeof has - used, "%s%" PRId64, i ? ", " : "", k->values[i]);
    }
    return fault_set(fault, ST_BAD_INPUT, "the knob %s of %s is one of %s, not '%s'", k->name,
                     v->name, has, value);
}

static enum status set_knob(const struct variant *v, const char *name, const char *value,
                            int64_t *knob, struct fault *fault)
{
    char *end;
    int64_t wanted = strtoll(value, &end, 10);
    for (int i = 0; i < KNOB_MAX && v->knob[i].name; i++) {
        const struct knob *k = &v->knob[i];
        if (strcmp(k->name, name) != 0)
            continue;
        for (int n = 0; n < k->count && end != value && !*end; n++)
            if (k->values[n] == wanted) {
                knob[i] = wanted;
                return ST_OK;
            }
        return no_such_value(v, k, value, fault);
    }
    return no_such_knob(v, name, fault);
}

enum status knobs_parse(const struct variant *variant, const char *text, int64_t knob[KNOB_MAX],
                        struct fault *fault)
{
    char name[64], value[32];
    variant_default_knobs(variant, knob);
    while (text && *text) {
        if (!take_name(&text, "=,", name, sizeof name) || *text != '=' ||
            (text++, !take_name(&text, ",", value, sizeof value)))
            return fault_set(fault, ST_BAD_INPUT,
                             "knobs of %s are written name=number,name=number: '%.40s' is not",
                             variant->name, text);
        TRY(set_knob(variant, name, value, knob, fault));
        text += *text == ',';
    }
    return ST_OK;
}

void knobs_print(const struct variant *variant, const int64_t *knob, char *out, size_t bytes)
{
    size_t used = 0;
    snprintf(out, bytes, "-");
    for (int i = 0; i < KNOB_MAX && variant->knob[i].name && used < bytes; i++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%s=%" PRId64, i ? "," : "",
                                 variant->knob[i].name, knob[i]);
}
