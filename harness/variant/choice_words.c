// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* choice_words.c   Parses --kernels and plan files into rules. */
#include "base/patchmark.h"
#include "contest/arm_spec.h"
#include "variant/choice_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Ranked by what is faster where several run; the rest of a target's order is its numbers'. Where
 * kernels of ours and the vendor's were not yet measured side by side, the vendor's stand
 * higher. */
static const char *const target_rank[] = {"c",    "openblas", "neon", "avx2",  "avx512",
                                          "cuda", "sm80",     "sm90", "cudnn", "cublaslt"};

int choice_rank_of(const char *target)
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

const char *const choice_place[] = {
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
                             word, choice_place[!c->device], choice_place[c->device]);
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

enum status choice_add_rule(struct choice *c, const struct rule *rule)
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
enum status choice_parse_knobs(const struct variant *v, const char *text, int64_t knob[KNOB_MAX],
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
        TRY(choice_parse_knobs(rule.entry->variant, colon + 1, rule.knob, fault));
    rule.knobs_given = colon != NULL;
    return choice_add_rule(c, &rule);
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

enum status choice_parse_list(struct choice *c, const char *words, struct fault *fault)
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
        TRY(choice_parse_knobs(rule.entry->variant, field[3], rule.knob, fault));
    if (!(rule.shape = strdup(field[0])))
        return ST_NO_MEMORY;
    return choice_add_rule(c, &rule);
}

enum status choice_read_plan(struct choice *c, const char *path, struct fault *fault)
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
