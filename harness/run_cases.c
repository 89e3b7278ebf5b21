// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_cases.c   Lists to cases. */
#include "run_cases.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A copy that lives as long as the list. */
static char *keep(struct case_list *list, const char *text)
{
    if (list->texts == list->text_room) {
        int room = list->text_room ? 2 * list->text_room : 64;
        char **grown = realloc(list->text, (size_t)room * sizeof *grown);
        if (!grown)
            return NULL;
        list->text = grown;
        list->text_room = room;
    }
    return list->text[list->texts++] = strdup(text);
}

void cases_free(struct case_list *list)
{
    for (int i = 0; i < list->texts; i++)
        free(list->text[i]);
    free(list->text);
    free(list->item);
    memset(list, 0, sizeof *list);
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    for (size_t n = strlen(text); n && isspace((unsigned char)text[n - 1]); n--)
        text[n - 1] = 0;
    return text;
}

static enum status add_case(struct case_list *list, const struct run_case *c)
{
    if (list->count == list->room) {
        int room = list->room ? 2 * list->room : 32;
        struct run_case *grown = realloc(list->item, (size_t)room * sizeof *grown);
        if (!grown)
            return ST_NO_MEMORY;
        list->item = grown;
        list->room = room;
    }
    list->item[list->count++] = *c;
    return ST_OK;
}

/* ---- one axis: how its words enter a case ---- */

typedef enum status enter_fn(struct case_list *list, struct run_case *c, const char *word,
                             struct fault *fault);

static enum status whole_from(const char *flag, const char *word, int64_t least, int64_t *out,
                              struct fault *fault)
{
    char *end;
    errno = 0;
    *out = strtoll(word, &end, 10);
    if (end != word && !*end && !errno && *out >= least)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "%s wants whole numbers from %d, not '%s'", flag,
                     (int)least, word);
}

static enum status whole(const char *flag, const char *word, int64_t *out, struct fault *fault)
{
    return whole_from(flag, word, 1, out, fault);
}

static enum status enter_model(struct case_list *list, struct run_case *c, const char *word,
                               struct fault *fault)
{
    (void)fault;
    return (c->spec.model = keep(list, word)) ? ST_OK : ST_NO_MEMORY;
}

static enum status enter_size(struct case_list *list, struct run_case *c, const char *word,
                              struct fault *fault)
{
    long long width, height;
    int used = 0;
    (void)list;
    if (sscanf(word, "%lldx%lld%n", &width, &height, &used) != 2 || word[used] || width < 1 ||
        height < 1)
        return fault_set(fault, ST_BAD_INPUT, "--size wants WIDTHxHEIGHT, as 832x480, not '%s'",
                         word);
    c->spec.size = (struct size2){width, height};
    return ST_OK;
}

static enum status enter_frames(struct case_list *list, struct run_case *c, const char *word,
                                struct fault *fault)
{
    (void)list;
    return whole("--frames", word, &c->spec.frames, fault);
}

static enum status enter_seconds(struct case_list *list, struct run_case *c, const char *word,
                                 struct fault *fault)
{
    char *end;
    (void)list;
    c->spec.seconds = strtod(word, &end);
    if (end != word && !*end && c->spec.seconds > 0)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "--seconds wants numbers over 0, not '%s'", word);
}

static enum status enter_steps(struct case_list *list, struct run_case *c, const char *word,
                               struct fault *fault)
{
    (void)list;
    return whole("--steps", word, &c->spec.steps, fault);
}

static enum status enter_threads(struct case_list *list, struct run_case *c, const char *word,
                                 struct fault *fault)
{
    (void)list;
    return whole("--threads", word, &c->spec.threads, fault);
}

static enum status enter_dtype(struct case_list *list, struct run_case *c, const char *word,
                               struct fault *fault)
{
    (void)fault;
    return (c->spec.dtype = keep(list, word)) ? ST_OK : ST_NO_MEMORY;
}

static enum status enter_kernels(struct case_list *list, struct run_case *c, const char *word,
                                 struct fault *fault)
{
    (void)fault;
    return (c->spec.kernels = keep(list, word)) ? ST_OK : ST_NO_MEMORY;
}

static enum status enter_device(struct case_list *list, struct run_case *c, const char *word,
                                struct fault *fault)
{
    (void)fault;
    return (c->spec.device = keep(list, word)) ? ST_OK : ST_NO_MEMORY;
}

static enum status enter_launch(struct case_list *list, struct run_case *c, const char *word,
                                struct fault *fault)
{
    (void)fault;
    return (c->spec.launch = keep(list, word)) ? ST_OK : ST_NO_MEMORY;
}

static const struct axis {
    const char *name;
    size_t offset;
    const char *separators;
    enter_fn *enter;
} axis_table[] = {
    {"model", offsetof(struct axes, model), ",", enter_model},
    {"size", offsetof(struct axes, size), ",", enter_size},
    {"frames", offsetof(struct axes, frames), ",", enter_frames},
    {"seconds", offsetof(struct axes, seconds), ",", enter_seconds},
    {"steps", offsetof(struct axes, steps), ",", enter_steps},
    {"threads", offsetof(struct axes, threads), ",", enter_threads},
    {"dtype", offsetof(struct axes, dtype), ",", enter_dtype},
    {"device", offsetof(struct axes, device), ",", enter_device},
    {"launch", offsetof(struct axes, launch), ",", enter_launch},
    {"kernels", offsetof(struct axes, kernels), "/", enter_kernels},
};
enum { AXES = sizeof axis_table / sizeof axis_table[0] };

static const char *axis_text(const struct axes *axes, const struct axis *axis)
{
    return *(const char *const *)((const char *)axes + axis->offset);
}

static void set_axis(struct axes *axes, const struct axis *axis, const char *text)
{
    *(const char **)((char *)axes + axis->offset) = text;
}

/* Every word of axis `at`, and for each the product of the axes behind it. */
static enum status product(const struct axes *axes, int at, const struct run_case *so_far,
                           struct case_list *list, struct fault *fault)
{
    if (at == AXES)
        return add_case(list, so_far);
    const char *text = axis_text(axes, &axis_table[at]);
    if (!text)
        return product(axes, at + 1, so_far, list, fault);
    char *copy = strdup(text), *rest = copy;
    enum status s = copy ? ST_OK : ST_NO_MEMORY;
    for (char *word; s == ST_OK && (word = strsep(&rest, axis_table[at].separators)) != NULL;) {
        struct run_case c = *so_far;
        word = trim(word);
        s = *word ? axis_table[at].enter(list, &c, word, fault)
                  : fault_set(fault, ST_BAD_INPUT, "the list of %s '%s' has an empty place",
                              axis_table[at].name, text);
        if (s == ST_OK)
            s = product(axes, at + 1, &c, list, fault);
    }
    free(copy);
    return s;
}

enum status cases_from_axes(const struct case_spec *base, const struct axes *axes,
                            struct case_list *list, struct fault *fault)
{
    struct run_case first = {.spec = *base};
    return product(axes, 0, &first, list, fault);
}

/* ---- suites ---- */

static void overlay(struct axes *under, const struct axes *over)
{
    for (int i = 0; i < AXES; i++)
        if (axis_text(over, &axis_table[i]))
            set_axis(under, &axis_table[i], axis_text(over, &axis_table[i]));
    if (over->seconds)
        under->frames = NULL;
    if (over->frames)
        under->seconds = NULL;
}

static enum status suite_line(struct case_list *list, char *line, struct axes *axes,
                              struct case_spec *base, struct fault *fault)
{
    char *equals = strchr(line, '=');
    if (!equals)
        return fault_set(fault, ST_BAD_INPUT, "'%s' should read key = list", line);
    *equals = 0;
    const char *key = trim(line), *value = keep(list, trim(equals + 1));
    if (!value)
        return ST_NO_MEMORY;
    const char *names[AXES + 3];
    for (int i = 0; i < AXES; i++) {
        names[i] = axis_table[i].name;
        if (!strcmp(names[i], key)) {
            set_axis(axes, &axis_table[i], value);
            return ST_OK;
        }
    }
    names[AXES] = "prompt";
    names[AXES + 1] = "scheduler";
    names[AXES + 2] = "class";
    if (!strcmp(key, "prompt"))
        base->prompt = value;
    else if (!strcmp(key, "scheduler"))
        base->scheduler = value;
    else if (!strcmp(key, "class"))
        return whole_from("class", value, 0, &base->class_label, fault);
    else {
        char near[160];
        nearest_names(key, names, AXES + 3, near, sizeof near);
        return fault_set(fault, ST_BAD_INPUT, "unknown key '%s'%s", key, near);
    }
    return ST_OK;
}

/* Walks the lines; a heading closes the section before it. */
static enum status parse_suite(char *text, const struct case_spec *base, const struct axes *over,
                               struct case_list *list, int *number, struct fault *fault)
{
    struct axes axes = {0};
    struct case_spec section = *base;
    bool open = false;
    for (char *line; (line = strsep(&text, "\n")) != NULL;) {
        ++*number;
        line[strcspn(line, "#")] = 0;
        line = trim(line);
        if (!*line)
            continue;
        if (*line != '[') {
            TRY(suite_line(list, line, &axes, &section, fault));
            open = true;
            continue;
        }
        overlay(&axes, over);
        if (open)
            TRY(cases_from_axes(&section, &axes, list, fault));
        axes = (struct axes){0};
        section = *base;
        open = false;
    }
    overlay(&axes, over);
    return open ? cases_from_axes(&section, &axes, list, fault) : ST_OK;
}

static enum status read_file(const char *path, char **out, struct fault *fault)
{
    enum { MOST = 1 << 20 };
    FILE *in = fopen(path, "r");
    if (!in) {
        const char *names[16];
        int count = 0;
        for (const struct suite *s = suites; s->name; s++)
            names[count++] = s->name;
        char near[128];
        nearest_names(path, names, count, near, sizeof near);
        return fault_set(fault, ST_BAD_INPUT,
                         "--suite %s is neither a suite of this program nor a file"
                         " that can be read: %s%s",
                         path, strerror(errno), near);
    }
    char *text = calloc(1, MOST + 1);
    size_t n = text ? fread(text, 1, MOST, in) : 0;
    bool bad = ferror(in) || !feof(in) || memchr(text, 0, n) != NULL;
    fclose(in);
    if (!text || bad) {
        free(text);
        return text ? fault_set(fault, ST_BAD_INPUT, "--suite %s is no text file of at most 1 MiB",
                                path)
                    : ST_NO_MEMORY;
    }
    *out = text;
    return ST_OK;
}

enum status cases_from_suite(const char *suite, const struct case_spec *base,
                             const struct axes *axes, struct case_list *list, struct fault *fault)
{
    char *text = NULL;
    for (const struct suite *s = suites; s->name && !text; s++)
        if (!strcmp(s->name, suite))
            text = strdup(s->text);
    if (!text)
        TRY(read_file(suite, &text, fault));
    int line = 0;
    struct fault inner = {{0}};
    enum status s = parse_suite(text, base, axes, list, &line, &inner);
    free(text);
    if (s != ST_OK)
        return fault_set(fault, s, "suite %s, line %d: %.800s", suite, line, inner.text);
    return list->count ? ST_OK : fault_set(fault, ST_BAD_INPUT, "suite %s holds no case", suite);
}
