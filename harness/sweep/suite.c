// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* suite.c   A suite's text to cases. The form is told in run_cases.h. */
#include "sweep/suite.h"

#include "machine/host.h"
#include "ops/op_info.h"
#include "records/record.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KERNEL_KEYS_MOST 16
#define KERNELS_HEADING "kernels"
#define DEFAULTS_HEADING "defaults"

/* A key of a kernel section, and where it stands. */
struct kernel_key {
    const char *name, *text;
    int line;
};

struct section {
    const char *name; /* "" above the first heading */
    int line;
    bool kernels, used; /* used: it holds more than its heading */
    const char *sample; /* "yes", "no", NULL: not said */
    struct axes axes;
    struct kernel_key key[KERNEL_KEYS_MOST]; /* of kernel sections, shapes left out */
    int keys;
    struct words shapes;
    int *shape_line;
};

struct reader {
    const char *suite;
    const struct case_spec *base;
    const struct axes *over; /* of the command line */
    struct case_list *list;
    struct section defaults, at;
    bool in_defaults;
    int line; /* that a fault is about; 0: the command line */
};

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    for (size_t n = strlen(text); n && isspace((unsigned char)text[n - 1]); n--)
        text[n - 1] = 0;
    return text;
}

static void section_free(struct section *s)
{
    words_free(&s->shapes);
    free(s->shape_line);
    *s = (struct section){0};
}

/* What `over` says goes; duration has two names and one of them counts. */
static void overlay(struct axes *under, const struct axes *over)
{
    const int frames = axis_find("frames"), seconds = axis_find("seconds");
    for (int i = 0; i < axes_count(); i++)
        if (over->text[i]) {
            under->text[i] = over->text[i];
            under->line[i] = over->line[i];
        }
    if (over->text[seconds])
        under->text[frames] = NULL;
    if (over->text[frames])
        under->text[seconds] = NULL;
}

/* ---- pipeline sections ---- */

static enum status close_pipelines(struct reader *r, struct fault *fault)
{
    const char *sample = r->at.sample ? r->at.sample : r->defaults.sample;
    const struct run_case first = {.spec = *r->base,
                                   .sample = sample && !strcmp(sample, "yes"),
                                   .section = r->at.name,
                                   .line = r->at.line};
    struct axes axes = r->defaults.axes;
    overlay(&axes, &r->at.axes);
    overlay(&axes, r->over);
    return cases_multiply(&first, &axes, r->list, &r->line, fault);
}

static enum status unknown_key(const char *key, struct fault *fault)
{
    const char *names[AXES_MOST + 1] = {"sample"};
    char near[160];
    for (int k = 0; k < axes_count(); k++)
        names[k + 1] = axis_key(&axis_table[k]);
    nearest_names(key, names, axes_count() + 1, near, sizeof near);
    return fault_set(
        fault, ST_BAD_INPUT,
        "unknown key '%s'%s keys are the lists of 'patchmark run --help' without dashes", key,
        near[0] ? near : ";");
}

static enum status sample_line(struct reader *r, const char *value, struct fault *fault)
{
    r->at.sample = value;
    if (!strcmp(value, "yes") || !strcmp(value, "no"))
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "sample is yes or no, not '%s'", value);
}

static enum status pipeline_line(struct reader *r, const char *key, const char *value,
                                 struct fault *fault)
{
    struct axes *axes = &r->at.axes;
    const int i = axis_find(key);
    if (!strcmp(key, "sample"))
        return sample_line(r, value, fault);
    if (i < 0)
        return unknown_key(key, fault);
    if (axes->text[i])
        return fault_set(fault, ST_BAD_INPUT,
                         "%s was given in line %d of this section already; begin another section"
                         " or join the lists",
                         key, axes->line[i]);
    axes->text[i] = value;
    axes->line[i] = r->line;
    return ST_OK;
}

/* ---- kernel sections ---- */

static struct kernel_key *key_of(struct section *s, const char *name)
{
    for (int i = 0; i < s->keys; i++)
        if (!strcmp(s->key[i].name, name))
            return &s->key[i];
    return NULL;
}

static enum status set_key(struct section *s, const char *name, const char *text, int line,
                           struct fault *fault)
{
    struct kernel_key *k = key_of(s, name);
    if (!k && s->keys == KERNEL_KEYS_MOST)
        return fault_set(fault, ST_BAD_INPUT, "more than %d keys in one section", KERNEL_KEYS_MOST);
    if (!k)
        k = &s->key[s->keys++];
    *k = (struct kernel_key){name, text, line};
    return ST_OK;
}

/* An op alone stands for the shape at which it is timed by itself. */
static enum status shape_line(struct reader *r, const char *value, struct fault *fault)
{
    struct section *s = &r->at;
    const int before = s->shapes.count;
    const char *shape = value;
    for (int i = 0; i < OP_COUNT; i++)
        if (!strcmp(op_table[i]->name, value))
            shape = op_table[i]->timing_shape;
    TRY(words_braces(&s->shapes, "shape", shape, fault));
    int *grown = realloc(s->shape_line, (size_t)s->shapes.count * sizeof *grown);
    if (!grown)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the list of shapes");
    s->shape_line = grown;
    for (int i = before; i < s->shapes.count; i++)
        grown[i] = r->line;
    return ST_OK;
}

static enum status kernel_line(struct reader *r, const char *key, const char *value,
                               struct fault *fault)
{
    if (!strcmp(key, "shape"))
        return shape_line(r, value, fault);
    const struct kernel_key *before = key_of(&r->at, key);
    if (before)
        return fault_set(fault, ST_BAD_INPUT, "%s was given in line %d of this section already",
                         key, before->line);
    return set_key(&r->at, key, value, r->line, fault);
}

static enum status add_word(struct case_list *list, struct run_case *c, const char *word,
                            struct fault *fault)
{
    int n = 0;
    while (c->kernel[n])
        n++;
    if (n + 1 == KERNEL_WORDS_MOST)
        return fault_set(fault, ST_BAD_INPUT, "more than %d words in one kernel case", n);
    if (!(c->kernel[n] = words_add(&list->text, word)))
        return fault_set(fault, ST_NO_MEMORY, "no memory for the list of cases");
    return ST_OK;
}

/* "--threads=2"; the machine's own number in place of "all", so that the same case has the same
 * words. */
static enum status add_flag(struct case_list *list, struct run_case *c, const char *key,
                            const char *word, struct fault *fault)
{
    char *joined;
    if (!strcmp(word, "default"))
        return ST_OK;
    const bool all = !strcmp(key, "threads") && !strcmp(word, "all");
    if ((all ? asprintf(&joined, "--threads=%d", host_cores())
             : asprintf(&joined, "--%s=%s", key, word)) < 0)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the list of cases");
    enum status s = add_word(list, c, joined, fault);
    free(joined);
    return s;
}

/* Of two words the later one holds. */
enum status cases_tell_kernels(struct case_list *list, const char *key, const char *value,
                               struct fault *fault)
{
    for (int i = 0; i < list->count; i++)
        if (case_is_kernel(&list->item[i]))
            TRY(add_flag(list, &list->item[i], key, value, fault));
    return ST_OK;
}

static bool is_list(const char *key)
{
    static const char *const texts[] = {"without", "counters", "plugin", "power-file"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(texts[i], key))
            return false;
    return true;
}

/* The product of the section's keys from `at` on. */
static enum status multiply_keys(struct reader *r, int at, const struct run_case *so_far,
                                 struct fault *fault)
{
    const struct kernel_key *k = &r->at.key[at];
    struct words words = {0};
    if (at == r->at.keys)
        return cases_add(r->list, so_far, fault);
    if (!strcmp(k->name, "variants"))
        return multiply_keys(r, at + 1, so_far, fault);
    r->line = k->line;
    enum status s =
        words_expand(&words, k->name, k->text, is_list(k->name) ? "," : NULL, WORD_WHOLE, fault);
    for (int i = 0; s == ST_OK && i < words.count; i++) {
        struct run_case c = *so_far;
        s = add_flag(r->list, &c, k->name, words.word[i], fault);
        if (s == ST_OK)
            s = multiply_keys(r, at + 1, &c, fault);
    }
    words_free(&words);
    return s;
}

/* Threads and device may come from the defaults or the command line; they are always said, so that
 * a case says all that makes it. */
static enum status settle_keys(struct reader *r, struct fault *fault)
{
    static const struct {
        const char *name, *otherwise;
    } rows[] = {{"threads", "all"}, {"device", "cpu"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int axis = axis_find(rows[i].name);
        const struct axes *from = r->over->text[axis] ? r->over : &r->defaults.axes;
        const bool replaced = r->over->text[axis] || !key_of(&r->at, rows[i].name);
        const char *text = from->text[axis] ? from->text[axis] : rows[i].otherwise;
        if (replaced)
            TRY(set_key(&r->at, rows[i].name, text, from->line[axis], fault));
    }
    return ST_OK;
}

static enum status close_kernels(struct reader *r, struct fault *fault)
{
    struct section *s = &r->at;
    r->line = s->line;
    if (!s->shapes.count)
        return fault_set(fault, ST_BAD_INPUT,
                         "section [kernels %s] has no shape; add a line as shape = linear",
                         s->name);
    TRY(settle_keys(r, fault));
    const struct kernel_key *variants = key_of(s, "variants");
    for (int i = 0; i < s->shapes.count; i++) {
        struct run_case c = {.spec = *r->base, .section = s->name, .line = s->shape_line[i]};
        char glob[256];
        const char *shape = s->shapes.word[i];
        snprintf(glob, sizeof glob, "%.*s/%s", (int)strcspn(shape, ":"), shape,
                 variants ? variants->text : "*");
        TRY(add_word(r->list, &c, glob, fault));
        TRY(add_flag(r->list, &c, "shape", shape, fault));
        TRY(multiply_keys(r, 0, &c, fault));
    }
    return ST_OK;
}

/* ---- sections and lines ---- */

static enum status close_section(struct reader *r, struct fault *fault)
{
    enum status s = ST_OK;
    if (r->in_defaults)
        r->defaults = r->at;
    else if (r->at.kernels)
        s = close_kernels(r, fault);
    else if (r->at.used)
        s = close_pipelines(r, fault);
    if (s == ST_OK && !r->in_defaults)
        section_free(&r->at);
    if (s == ST_OK)
        r->at = (struct section){.name = ""};
    return s;
}

static enum status heading(struct reader *r, char *line, struct fault *fault)
{
    const int number = r->line;
    const size_t n = strlen(line), word = strlen(KERNELS_HEADING);
    if (line[n - 1] != ']')
        return fault_set(fault, ST_BAD_INPUT, "'%s' should end in ]", line);
    line[n - 1] = 0;
    TRY(close_section(r, fault));
    char *name = trim(line + 1);
    r->line = number;
    r->in_defaults = !strcmp(name, DEFAULTS_HEADING);
    r->at.kernels = !strncmp(name, KERNELS_HEADING, word) && (!name[word] || name[word] == ' ');
    r->at.line = number;
    r->at.name = words_add(&r->list->text, r->at.kernels ? trim(name + word) : name);
    if (!r->at.name)
        return fault_set(fault, ST_NO_MEMORY, "no memory for a section");
    return *name ? ST_OK : fault_set(fault, ST_BAD_INPUT, "a section needs a name: [NAME]");
}

static enum status key_line(struct reader *r, char *line, struct fault *fault)
{
    char *equals = strchr(line, '=');
    if (!equals)
        return fault_set(fault, ST_BAD_INPUT,
                         "'%s' should read key = list, or [NAME] to begin a section", line);
    *equals = 0;
    const char *key = words_add(&r->list->text, trim(line));
    const char *value = words_add(&r->list->text, trim(equals + 1));
    if (!key || !value)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the suite");
    if (!*value)
        return fault_set(fault, ST_BAD_INPUT, "%s has nothing behind its =", key);
    r->at.used = true;
    return (r->at.kernels ? kernel_line : pipeline_line)(r, key, value, fault);
}

static enum status read_lines(struct reader *r, char *text, struct fault *fault)
{
    int number = 0;
    for (char *line; (line = strsep(&text, "\n")) != NULL;) {
        r->line = ++number;
        line[strcspn(line, "#")] = 0;
        line = trim(line);
        if (*line == '[')
            TRY(heading(r, line, fault));
        else if (*line)
            TRY(key_line(r, line, fault));
    }
    return close_section(r, fault);
}

/* ---- files and built-in ones ---- */

const struct suite *suite_find(const char *name)
{
    const struct suite *s = suites;
    while (s->name && strcmp(s->name, name))
        s++;
    return s->name ? s : NULL;
}

void suite_summary(const struct suite *s, char *out, size_t bytes)
{
    const char *from = s->text + strspn(s->text, "# ");
    snprintf(out, bytes, "%.*s", (int)strcspn(from, "\n"), from);
}

static enum status no_suite(const char *path, struct fault *fault)
{
    const char *names[32];
    const char *why = strerror(errno);
    int count = 0;
    char near[128];
    for (const struct suite *s = suites; s->name && count < 32; s++)
        names[count++] = s->name;
    nearest_names(path, names, count, near, sizeof near);
    return fault_set(fault, ST_BAD_INPUT,
                     "--suite %s is neither a suite of this program ('patchmark list suites') nor"
                     " a file that can be read: %s%s",
                     path, why, near);
}

static enum status read_file(const char *path, char **out, struct fault *fault)
{
    enum { MOST = 1 << 20 };
    FILE *in = fopen(path, "r");
    if (!in)
        return no_suite(path, fault);
    char *text = calloc(1, MOST + 1);
    size_t n = text ? fread(text, 1, MOST, in) : 0;
    bool bad = ferror(in) || !feof(in) || memchr(text, 0, n) != NULL;
    fclose(in);
    if (!text || bad) {
        free(text);
        return text ? fault_set(fault, ST_BAD_INPUT, "--suite %s is no text file of at most 1 MiB",
                                path)
                    : fault_set(fault, ST_NO_MEMORY, "no memory for the suite");
    }
    *out = text;
    return ST_OK;
}

enum status cases_from_suite(const char *suite, const struct case_spec *base,
                             const struct axes *axes, struct case_list *list, struct fault *fault)
{
    const struct suite *known = suite_find(suite);
    char *text = known ? strdup(known->text) : NULL;
    if (!known)
        TRY(read_file(suite, &text, fault));
    if (!text)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the suite");
    sha256_hex(text, strlen(text), list->suite_sha256);
    list->suite = suite;
    struct reader r = {.suite = suite, .base = base, .over = axes, .list = list};
    struct fault inner = {{0}};
    r.at.name = "";
    enum status s = read_lines(&r, text, &inner);
    free(text);
    section_free(&r.at);
    if (s != ST_OK && !r.line)
        return fault_set(fault, s, "%s", inner.text);
    if (s != ST_OK)
        return fault_set(fault, s, "suite %s, line %d: %.800s", suite, r.line, inner.text);
    return list->count ? ST_OK : fault_set(fault, ST_BAD_INPUT, "suite %s holds no case", suite);
}
