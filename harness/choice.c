// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* choice.c   Parses --kernels and plan files and answers for each problem. */
#include "choice.h"
#include "arm_spec.h"
#include "patchmark.h"
#include "tuned.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum word { WORD_AUTO, WORD_BASE, WORD_REFERENCE, WORD_EXPANDED, WORD_TARGET, WORD_VARIANT };

/* Ranked by what is faster where several run; the rest of a target's order is its numbers'. Where
 * kernels of ours and the vendor's were not yet measured side by side, the vendor's stand
 * higher. */
static const char *const target_rank[] = {"c",    "openblas", "neon", "avx2",  "avx512",
                                          "cuda", "sm80",     "sm90", "cudnn", "cublaslt"};

/* The target that serves every op where it runs. */
static const char *const plain_target[] = {[DEVICE_CPU] = "c", [DEVICE_CUDA] = "cuda"};

struct rule {
    int op;          /* enum op_id, or -1: every op */
    int first, last; /* denoising steps; 0, 0: always */
    enum word word;
    char target[32];
    const struct registry_entry *entry;
    char *shape; /* plan files: the exact shape line, else NULL */
    int64_t knob[KNOB_MAX];
    bool knobs_given;
};

/* One run of a variant before the plan was made. */
struct trial {
    const struct registry_entry *entry;
    char *shape; /* "" for every shape: its library could not be opened */
    bool refused;
};

struct choice {
    struct trial *trial;
    int trials;
    struct rule *rule;
    int count, room;
    bool from_file;
    int threads;
    enum device_kind device;
    const char *tuned_file; /* the engine's copy */
    struct tuned *tuned;    /* NULL: none, or not to be used */
    struct fault untuned;   /* why not */
    char place[96];
};

static int rank_of(const char *target)
{
    for (size_t i = 0; i < sizeof target_rank / sizeof target_rank[0]; i++)
        if (!strcmp(target_rank[i], target))
            return (int)i;
    return 0;
}

/* What a word that is a target stands for: how many of its variants there are, are built, and run on
 * the device. */
struct target {
    int count, built, here;
    const char *not_built; /* reason of one that is not */
};

static struct target target_of(const char *word, enum device_kind device)
{
    int count;
    struct target t = {0};
    const struct registry_entry *all = registry(&count);
    for (int i = 0; i < count; i++) {
        if (strcmp(all[i].target, word))
            continue;
        t.count++;
        t.built += all[i].variant != NULL;
        t.here += all[i].variant && needs_device(all[i].variant->needs) == device;
        t.not_built = all[i].variant ? t.not_built : all[i].not_built;
    }
    return t;
}

static enum status unknown_word(const char *word, enum op_id op, bool has_op, struct fault *fault)
{
    const char *names[128] = {"auto", "base", "reference"};
    int used = 3, count;
    const struct registry_entry *all = registry(&count);
    for (int i = 0; i < count && used < 128; i++)
        if (has_op && !strcmp(all[i].op, op_table[op]->name))
            names[used++] = all[i].name;
    if (!has_op)
        for (size_t i = 0; i < sizeof target_rank / sizeof target_rank[0]; i++)
            if (target_of(target_rank[i], DEVICE_CPU).count)
                names[used++] = target_rank[i];
    char near[256];
    nearest_names(word, names, used, near, sizeof near);
    if (has_op)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s has no variant '%s'%s 'patchmark list variants'"
                         " shows all",
                         op_table[op]->name, word, near[0] ? near : ";");
    return fault_set(fault, ST_BAD_INPUT,
                     "--kernels does not know '%s'%s it takes auto, base,"
                     " reference, a target, or OP=VARIANT",
                     word, near[0] ? near : ";");
}

static const char *const place[] = {
    [DEVICE_CPU] = "on the CPU", [DEVICE_CUDA] = "on a CUDA device"};

static enum status parse_word(const struct choice *c, const char *word, struct rule *rule,
                              struct fault *fault)
{
    static const struct {
        const char *name;
        enum word word;
    } fixed[] = {{"auto", WORD_AUTO},
                 {"base", WORD_BASE},
                 {"reference", WORD_REFERENCE},
                 {"expanded", WORD_EXPANDED}};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (!strcmp(word, fixed[i].name)) {
            rule->word = fixed[i].word;
            return ST_OK;
        }
    if (rule->op >= 0 && (rule->entry = registry_find((enum op_id)rule->op, word))) {
        rule->word = WORD_VARIANT;
        return registry_usable(rule->entry, fault);
    }
    struct target target = target_of(word, c->device);
    if (target.count) {
        if (!target.built)
            return fault_set(fault, ST_NOT_BUILT, "--kernels: no variant of %s is built: %s", word,
                             target.not_built);
        if (!target.here)
            return fault_set(fault, ST_BAD_INPUT,
                             "--kernels: the variants of %s run %s and this case %s; --device says"
                             " where",
                             word, place[!c->device], place[c->device]);
        rule->word = WORD_TARGET;
        snprintf(rule->target, sizeof rule->target, "%s", word);
        return ST_OK;
    }
    return unknown_word(word, rule->op >= 0 ? (enum op_id)rule->op : OP_COUNT, rule->op >= 0,
                        fault);
}

static enum status parse_steps(const char *text, struct rule *rule, struct fault *fault)
{
    int used = 0;
    if (sscanf(text, "%d-%d%n", &rule->first, &rule->last, &used) != 2 || text[used]) {
        used = 0;
        if (sscanf(text, "%d%n", &rule->first, &used) != 1 || text[used])
            return fault_set(fault, ST_BAD_INPUT,
                             "--kernels: '@%s' should be a step or a range of"
                             " steps, as OP@1-10=VARIANT",
                             text);
        rule->last = rule->first;
    }
    if (rule->first < 1 || rule->last < rule->first)
        return fault_set(fault, ST_BAD_INPUT, "--kernels: steps '@%s' should count from 1 upwards",
                         text);
    return ST_OK;
}

static enum status add_rule(struct choice *c, const struct rule *rule)
{
    if (c->count == c->room) {
        int room = c->room ? 2 * c->room : 16;
        struct rule *grown = realloc(c->rule, (size_t)room * sizeof *grown);
        if (!grown)
            return ST_NO_MEMORY;
        c->rule = grown;
        c->room = room;
    }
    c->rule[c->count++] = *rule;
    return ST_OK;
}

/* What plans and tables write for "no knobs" is no setting. */
static enum status parse_knobs(const struct variant *v, const char *text, int64_t knob[KNOB_MAX],
                               struct fault *fault)
{
    return knobs_parse(v, strcmp(text, "-") ? text : "", knob, fault);
}

/* One item of the comma list; text is the caller's to overwrite. */
static enum status parse_item(struct choice *c, char *text, struct fault *fault)
{
    struct rule rule = {.op = -1};
    char *equals = strchr(text, '=');
    if (equals) {
        *equals = 0;
        char *at = strchr(text, '@');
        if (at) {
            *at = 0;
            TRY(parse_steps(at + 1, &rule, fault));
        }
        enum op_id op;
        TRY(op_find(text, &op, fault));
        rule.op = (int)op;
    }
    char *word = equals ? equals + 1 : text, *colon = strchr(word, ':');
    if (colon)
        *colon = 0;
    TRY(parse_word(c, word, &rule, fault));
    if (colon && rule.word != WORD_VARIANT)
        return fault_set(fault, ST_BAD_INPUT,
                         "--kernels: knobs follow a variant's name, as OP=VARIANT:rows=48, and '%s'"
                         " is none",
                         word);
    if (colon)
        TRY(parse_knobs(rule.entry->variant, colon + 1, rule.knob, fault));
    rule.knobs_given = colon != NULL;
    return add_rule(c, &rule);
}

/* "cols=128": the name in front is no op's. */
static bool is_setting(const char *text)
{
    char name[64];
    enum op_id op;
    const size_t letters = strcspn(text, "=,@");
    snprintf(name, sizeof name, "%.*s", (int)letters, text);
    return text[letters] == '=' && op_find(name, &op, NULL) != ST_OK;
}

/* The comma behind the item; settings behind "OP=VARIANT:" are of the item too. */
static char *item_end(char *text)
{
    char *end = text + strcspn(text, ",");
    const bool knobs = memchr(text, ':', (size_t)(end - text)) != NULL;
    while (knobs && *end && is_setting(end + 1))
        end += 1 + strcspn(end + 1, ",");
    return end;
}

static enum status parse_list(struct choice *c, const char *words, struct fault *fault)
{
    char *copy = strdup(words), *item = copy;
    if (!copy)
        return ST_NO_MEMORY;
    enum status s = ST_OK;
    for (bool more = true; s == ST_OK && more;) {
        char *end = item_end(item);
        more = *end == ',';
        *end = 0;
        s = *item ? parse_item(c, item, fault)
                  : fault_set(fault, ST_BAD_INPUT, "--kernels '%s' has an empty word", words);
        item = end + 1;
    }
    free(copy);
    return s;
}

/* shape-line TAB first-last TAB variant TAB knobs */
static enum status parse_plan_line(struct choice *c, char *line, struct fault *fault)
{
    char *field[4];
    for (int i = 0; i < 4; i++)
        if (!(field[i] = strsep(&line, "\t")))
            return fault_set(fault, ST_BAD_INPUT, "four tab-separated fields wanted, %d found", i);
    struct problem problem;
    struct rule rule = {.op = -1};
    TRY(shape_parse(field[0], &problem, fault));
    rule.op = (int)problem.op;
    if (strcmp(field[1], "0-0"))
        TRY(parse_steps(field[1], &rule, fault));
    TRY(parse_word(c, field[2], &rule, fault));
    rule.knobs_given = rule.word == WORD_VARIANT;
    if (rule.knobs_given)
        TRY(parse_knobs(rule.entry->variant, field[3], rule.knob, fault));
    if (!(rule.shape = strdup(field[0])))
        return ST_NO_MEMORY;
    return add_rule(c, &rule);
}

static enum status read_plan(struct choice *c, const char *path, struct fault *fault)
{
    FILE *in = fopen(path, "r");
    if (!in)
        return fault_set(fault, ST_BAD_INPUT, "plan %s cannot be read: %s", path, strerror(errno));
    char *line = NULL;
    size_t room = 0;
    int number = 0;
    enum status s = ST_OK;
    while (s == ST_OK && getline(&line, &room, in) > 0) {
        number++;
        line[strcspn(line, "\n")] = 0;
        if (!line[0] || line[0] == '#')
            continue;
        struct fault inner = {{0}};
        s = parse_plan_line(c, line, &inner);
        if (s != ST_OK)
            fault_set(fault, s, "plan %s, line %d: %.800s", path, number, inner.text);
    }
    free(line);
    fclose(in);
    if (s == ST_OK && !c->count)
        s = fault_set(fault, ST_BAD_INPUT, "plan %s holds no line", path);
    return s;
}

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
    enum status s = c->from_file ? read_plan(c, words->plan_file, fault) : add_rule(c, &first);
    if (s == ST_OK && !c->from_file && words->kernels)
        s = parse_list(c, words->kernels, fault);
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
        int rank = 100 * rank_of(all[i].target) + variant_number(all[i].name);
        if (strcmp(all[i].op, op_table[p->op]->name) || rank <= best ||
            !is_wanted(c, &all[i], word, target, problem_type(p)) || !accepts(c, &all[i], p, NULL, &r))
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
        parse_knobs(e->variant, line->knobs, knob, NULL) != ST_OK || !accepts(c, e, p, knob, &r))
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
                         rule->entry->op, rule->entry->name, place[needed], place[c->device]);
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
