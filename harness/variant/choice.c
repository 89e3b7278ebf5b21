// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* choice.c   Answers for each problem by the rules of choice_words.c, trials and the table of tuned
 * kernels. */
#include "base/patchmark.h"
#include "tune/tuned.h"
#include "variant/choice_state.h"

#include <stdlib.h>
#include <string.h>

/* The target that serves every op where it runs. */
static const char *const plain_target[] = {[DEVICE_CPU] = "c", [DEVICE_CUDA] = "cuda"};

/* A table that must not be used changes nothing but what is said of it. */
static enum status read_tuned(struct choice *c, const char *path, struct fault *fault)
{
    c->tuned_file = path;
    tuned_place(c->threads, c->place, sizeof c->place);
    enum status s = tuned_read(path, &c->tuned, &c->untuned);
    return s == ST_NO_MEMORY ? fault_set(fault, s, "%s", c->untuned.text) : ST_OK;
}

void choice_tuned(const struct choice *choice, struct tuned_use *out)
{
    const struct tuned *t = choice->tuned;
    *out = (struct tuned_use){.asked = t || choice->untuned.text[0], .file = choice->tuned_file};
    snprintf(out->why, sizeof out->why, "%s", choice->untuned.text);
    if (!t)
        return;
    snprintf(out->hash, sizeof out->hash, "%s", tuned_hash(t));
    out->stale = tuned_stale(t, choice->place);
    for (int i = 0; i < tuned_count(t); i++)
        out->lines += !strcmp(tuned_at(t, i)->place, choice->place);
}

enum status choice_new(const struct engine_config *config, struct choice **out, struct fault *fault)
{
    const struct kernel_choice *words = &config->choice;
    struct choice *c = calloc(1, sizeof *c);
    if (!c)
        return ST_NO_MEMORY;
    c->from_file = words->plan_file != NULL;
    c->threads = config->threads;
    c->device = config->device;
    struct rule first = {.op = -1, .word = WORD_AUTO};
    enum status s =
        c->from_file ? choice_read_plan(c, words->plan_file, fault) : choice_add_rule(c, &first);
    if (s == ST_OK && !c->from_file && words->kernels)
        s = choice_parse_list(c, words->kernels, fault);
    if (s == ST_OK && !c->from_file && words->tuned)
        s = read_tuned(c, words->tuned, fault);
    if (s != ST_OK) {
        choice_free(c);
        return s;
    }
    *out = c;
    return ST_OK;
}

void choice_free(struct choice *choice)
{
    if (!choice)
        return;
    for (int i = 0; i < choice->count; i++)
        free(choice->rule[i].shape);
    free(choice->rule);
    for (int i = 0; i < choice->trials; i++)
        free(choice->trial[i].shape);
    free(choice->trial);
    tuned_free(choice->tuned);
    free(choice);
}

bool choice_by_step(const struct choice *choice, enum op_id op)
{
    for (int i = 0; i < choice->count; i++)
        if (choice->rule[i].op == (int)op && choice->rule[i].first)
            return true;
    return false;
}

/* ---- trials ---------------------------------------------------------------------------------- */

static const struct trial *find_trial(const struct choice *c, const struct registry_entry *e,
                                      const struct problem *p)
{
    char line[256];
    shape_print(p, line, sizeof line);
    for (int i = 0; i < c->trials; i++)
        if (c->trial[i].entry == e && (!c->trial[i].shape[0] || !strcmp(c->trial[i].shape, line)))
            return &c->trial[i];
    return NULL;
}

bool choice_tried(const struct choice *choice, const struct registry_entry *entry,
                  const struct problem *problem)
{
    return find_trial(choice, entry, problem) != NULL;
}

enum status choice_note_trial(struct choice *choice, const struct registry_entry *entry,
                              const struct problem *problem, bool refused)
{
    char line[256] = "";
    if (problem)
        shape_print(problem, line, sizeof line);
    struct trial *grown =
        realloc(choice->trial, (size_t)(choice->trials + 1) * sizeof *choice->trial);
    if (!grown)
        return ST_NO_MEMORY;
    choice->trial = grown;
    grown[choice->trials] = (struct trial){entry, strdup(line), refused};
    if (!grown[choice->trials].shape)
        return ST_NO_MEMORY;
    choice->trials++;
    return ST_OK;
}

bool choice_refused(const struct choice *choice, int index, char *line, size_t bytes)
{
    for (int i = 0; i < choice->trials; i++) {
        const struct trial *t = &choice->trial[i];
        if (!t->refused || index-- > 0)
            continue;
        snprintf(line, bytes, "%s/%s %s", t->entry->op, t->entry->name,
                 t->shape[0] ? t->shape : "cannot open its library");
        return true;
    }
    return false;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* knob NULL: the defaults */
static bool accepts(const struct choice *c, const struct registry_entry *e, const struct problem *p,
                    const int64_t *knob, struct resolved *r)
{
    if (registry_usable(e, NULL) != ST_OK)
        return false;
    variant_default_knobs(e->variant, r->knob);
    if (knob)
        memcpy(r->knob, knob, sizeof r->knob);
    r->need = (struct need){.threads = c->threads};
    if (!e->variant->plan(&p->attention, r->knob, &r->need))
        return false;
    const struct trial *trial = c->trials ? find_trial(c, e, p) : NULL;
    if (trial && trial->refused) {
        r->need.reason = "its library has nothing for it here";
        return false;
    }
    r->serve = SERVE_VARIANT;
    r->entry = e;
    return true;
}

bool choice_is_exact(enum numerics n, enum elem type)
{
    return n == NUM_F32 || n == NUM_WINOGRAD || (n == NUM_BF16 && type == ELEM_BF16) ||
           (n == NUM_F16 && type == ELEM_F16);
}

/* Whether a word may choose the entry. Plugins are served where they are named. */
static bool is_wanted(const struct choice *c, const struct registry_entry *e, enum word word,
                      const char *target, enum elem type)
{
    if (!e->variant || e->plugin_hash || needs_device(e->variant->needs) != c->device)
        return false;
    if (word == WORD_BASE && variant_number(e->name) != 0)
        return false;
    if (word == WORD_TARGET && strcmp(e->target, target) != 0)
        return false;
    return choice_is_exact(e->variant->numerics, type);
}

/* The best accepting variant that the word may choose: by target rank, then by number. */
static bool best_variant(const struct choice *c, const struct problem *p, enum word word,
                         const char *target, struct resolved *out)
{
    int count, best = -1;
    const struct registry_entry *all = registry(&count);
    for (int i = 0; i < count; i++) {
        struct resolved r = {0};
        int rank = 100 * choice_rank_of(all[i].target) + variant_number(all[i].name);
        if (strcmp(all[i].op, op_table[p->op]->name) || rank <= best ||
            !is_wanted(c, &all[i], word, target, problem_type(p)) ||
            !accepts(c, &all[i], p, NULL, &r))
            continue;
        best = rank;
        *out = r;
    }
    return best >= 0;
}

/* A composite without a fused variant beyond the plain one runs as its parts: there lie the fast
 * ones. */
static bool expands(const struct choice *c, const struct problem *p, bool found,
                    const struct resolved *r)
{
    return op_table[p->op]->composite &&
           (!found || !strcmp(r->entry->target, plain_target[c->device]));
}

/* Where a line of the table holds: its variants are those of this build, and what it was faster than
 * is what would be chosen without it. */
static void by_table(const struct choice *c, const struct problem *p, struct resolved *out)
{
    char bucket[BUCKET_BYTES];
    int64_t knob[KNOB_MAX];
    struct resolved r = {0};
    bucket_print(p, bucket, sizeof bucket);
    const struct tuned_line *line = tuned_find(c->tuned, c->place, bucket);
    if (!line || strcmp(line->against, out->entry->name) != 0 || !tuned_is_fresh(line))
        return;
    const struct registry_entry *e = registry_find(p->op, line->variant);
    if (needs_device(e->variant->needs) != c->device ||
        !choice_is_exact(e->variant->numerics, problem_type(p)) ||
        choice_parse_knobs(e->variant, line->knobs, knob, NULL) != ST_OK ||
        !accepts(c, e, p, knob, &r))
        return;
    *out = r;
    out->tuned = true;
}

/* The reference computes on the CPU; a composite still has its parts elsewhere. */
static enum status by_reference(const struct choice *c, const struct rule *rule,
                                const struct problem *p, struct resolved *out, struct fault *fault)
{
    bool composite = op_table[p->op]->composite;
    out->serve = composite ? SERVE_EXPAND : SERVE_REFERENCE;
    if (c->device == DEVICE_CPU || (composite && rule->word == WORD_EXPANDED))
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT,
                     "the reference runs on the CPU alone; take 'reference' out of --kernels or use"
                     " --device cpu");
}

static enum status by_word(const struct choice *c, const struct rule *rule, const struct problem *p,
                           struct resolved *out, struct fault *fault)
{
    bool found = false;
    switch (rule->word) {
    case WORD_REFERENCE:
    case WORD_EXPANDED: return by_reference(c, rule, p, out, fault);
    case WORD_AUTO:
    case WORD_BASE:
    case WORD_TARGET: found = best_variant(c, p, rule->word, rule->target, out); break;
    case WORD_VARIANT: break;
    }
    if (!found)
        found = best_variant(c, p, WORD_TARGET, plain_target[c->device], out);
    if (expands(c, p, found, out)) {
        out->serve = SERVE_EXPAND;
        return ST_OK;
    }
    if (found && rule->word == WORD_AUTO && c->tuned)
        by_table(c, p, out);
    char line[256];
    shape_print(p, line, sizeof line);
    return found ? ST_OK
                 : fault_set(fault, ST_UNAVAILABLE, "no variant built here serves %s", line);
}

static enum status by_name(const struct choice *c, const struct rule *rule, const struct problem *p,
                           struct resolved *out, struct fault *fault)
{
    enum device_kind needed = needs_device(rule->entry->variant->needs);
    if (needed != c->device)
        return fault_set(fault, ST_BAD_INPUT, "%s/%s runs %s and this case %s; --device says where",
                         rule->entry->op, rule->entry->name, choice_place[needed],
                         choice_place[c->device]);
    if (accepts(c, rule->entry, p, rule->knobs_given ? rule->knob : NULL, out))
        return ST_OK;
    char line[256];
    shape_print(p, line, sizeof line);
    return fault_set(fault, ST_REFUSED, "%s/%s refuses %s: %s; name another variant for it",
                     rule->entry->op, rule->entry->name, line,
                     out->need.reason ? out->need.reason : "no reason given");
}

static bool applies(const struct rule *rule, const struct problem *p, const char *line, int step)
{
    if (rule->op >= 0 && rule->op != (int)p->op)
        return false;
    if (rule->first && (step < rule->first || step > rule->last))
        return false;
    return !rule->shape || !strcmp(rule->shape, line);
}

enum status choice_resolve(const struct choice *choice, const struct problem *problem, int step,
                           struct resolved *out, struct fault *fault)
{
    char line[256];
    shape_print(problem, line, sizeof line);
    memset(out, 0, sizeof *out);
    for (int i = choice->count; i-- > 0;) {
        const struct rule *rule = &choice->rule[i];
        if (applies(rule, problem, line, step))
            return rule->word == WORD_VARIANT ? by_name(choice, rule, problem, out, fault)
                                              : by_word(choice, rule, problem, out, fault);
    }
    return fault_set(fault, ST_BAD_INPUT,
                     "the plan has no line for %s%s; make one for this shape with"
                     " generate --dry-run --write-plan FILE",
                     line, step ? " at this step" : "");
}

const char *resolved_name(const struct resolved *r)
{
    return r->serve == SERVE_VARIANT     ? r->entry->name
           : r->serve == SERVE_REFERENCE ? "reference"
                                         : "expanded";
}

void resolved_knobs(const struct resolved *r, char *out, size_t bytes)
{
    size_t used = 0;
    snprintf(out, bytes, "-");
    if (r->serve != SERVE_VARIANT)
        return;
    for (int k = 0; k < KNOB_MAX && r->entry->variant->knob[k].name && used < bytes; k++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%s=%lld", k ? "," : "",
                                 r->entry->variant->knob[k].name, (long long)r->knob[k]);
}
