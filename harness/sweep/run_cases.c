// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_cases.c   Lists to cases; suites are read by suite.c. */
#include "sweep/run_cases.h"

#include <stdlib.h>
#include <string.h>

void cases_free(struct case_list *list)
{
    words_free(&list->text);
    free(list->item);
    *list = (struct case_list){0};
}

enum status cases_add(struct case_list *list, const struct run_case *c, struct fault *fault)
{
    if (list->count == CASES_MOST)
        return fault_set(fault, ST_BAD_INPUT, "more than %d cases; take some out of the lists",
                         CASES_MOST);
    if (list->count == list->room) {
        int room = list->room ? 2 * list->room : 32;
        struct run_case *grown = realloc(list->item, (size_t)room * sizeof *grown);
        if (!grown)
            return fault_set(fault, ST_NO_MEMORY, "no memory for the list of cases");
        list->item = grown;
        list->room = room;
    }
    list->item[list->count++] = *c;
    return ST_OK;
}

/* The words of each axis given; those of the others are none. */
struct product {
    const struct axes *axes;
    struct words words[AXES_MOST];
    struct case_list *list;
};

/* Every word of axis `at`, and for each the product of the axes behind it. */
static enum status multiply(const struct product *p, int at, const struct run_case *so_far,
                            int *line, struct fault *fault)
{
    if (at == axes_count())
        return cases_add(p->list, so_far, fault);
    if (!p->axes->text[at])
        return multiply(p, at + 1, so_far, line, fault);
    for (int i = 0; i < p->words[at].count; i++) {
        struct run_case c = *so_far;
        const char *word = words_add(&p->list->text, p->words[at].word[i]);
        if (!word)
            return fault_set(fault, ST_NO_MEMORY, "no memory for the list of cases");
        *line = p->axes->line[at];
        TRY(axis_enter(&axis_table[at], &c.spec, word, fault));
        TRY(multiply(p, at + 1, &c, line, fault));
    }
    return ST_OK;
}

enum status cases_multiply(const struct run_case *first, const struct axes *axes,
                           struct case_list *list, int *line, struct fault *fault)
{
    struct product p = {.axes = axes, .list = list};
    enum status s = ST_OK;
    for (int i = 0; s == ST_OK && i < axes_count(); i++)
        if (axes->text[i]) {
            *line = axes->line[i];
            s = words_expand(&p.words[i], axis_table[i].flag, axes->text[i],
                             axis_table[i].separators, axis_words(&axis_table[i]), fault);
        }
    if (s == ST_OK)
        s = multiply(&p, 0, first, line, fault);
    for (int i = 0; i < axes_count(); i++)
        words_free(&p.words[i]);
    return s;
}

enum status cases_from_axes(const struct case_spec *base, const struct axes *axes,
                            struct case_list *list, struct fault *fault)
{
    struct run_case first = {.spec = *base};
    int line = 0;
    return cases_multiply(&first, axes, list, &line, fault);
}

static int order_keys(const void *a, const void *b)
{
    const struct run_case *x = *(const struct run_case *const *)a;
    const struct run_case *y = *(const struct run_case *const *)b;
    int order = strcmp(x->key, y->key);
    return order ? order : x < y ? -1 : 1;
}

int cases_unique(struct case_list *list)
{
    struct run_case **sorted = calloc((size_t)list->count + 1, sizeof *sorted);
    int kept = 0, before = list->count;
    if (!sorted)
        return 0;
    for (int i = 0; i < list->count; i++)
        sorted[i] = &list->item[i];
    qsort(sorted, (size_t)list->count, sizeof *sorted, order_keys);
    for (int i = list->count - 1; i > 0; i--)
        if (!strcmp(sorted[i]->key, sorted[i - 1]->key))
            sorted[i]->key = NULL;
    free(sorted);
    for (int i = 0; i < list->count; i++)
        if (list->item[i].key)
            list->item[kept++] = list->item[i];
    list->count = kept;
    return before - kept;
}

enum status case_fault(const struct case_list *list, const struct run_case *c, enum status status,
                       const struct fault *inner, struct fault *fault)
{
    if (!c->section)
        return fault_set(fault, status, "%s", inner->text);
    return fault_set(fault, status, "suite %s, line %d, section [%s]: %.700s", list->suite, c->line,
                     c->section, inner->text);
}
