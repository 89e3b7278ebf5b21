// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "records/results_where.h"

#include "base/patchmark.h"
#include "records/export.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define WHERE_MAX 32
#define FIELD_BYTES 120

static struct where {
    char field[FIELD_BYTES];
    const char *value;
    bool met; /* some record has the field */
} wheres[WHERE_MAX];
static int where_count;

enum status results_where_add(const char *text, struct fault *fault)
{
    size_t n = strcspn(text, "=");
    if (!text[n] || n == 0 || n >= FIELD_BYTES)
        return fault_set(fault, ST_BAD_INPUT, "--where wants FIELD=VALUE, not '%s'", text);
    if (where_count == WHERE_MAX)
        return fault_set(fault, ST_BAD_INPUT, "--where more than %d times", WHERE_MAX);
    struct where *w = &wheres[where_count++];
    snprintf(w->field, sizeof w->field, "%.*s", (int)n, text);
    w->value = text + n + 1;
    w->met = false;
    return ST_OK;
}

int results_where_count(void) { return where_count; }

/* A column that says nothing of this record may be a member of it all the same. */
static char *field_of(const struct where *w, const struct result *r)
{
    const struct export_table *table = !strcmp(r->kind, "run") ? &export_runs : &export_cases;
    const struct export_column *column = export_column_find(table, w->field);
    char *cell = column ? export_cell(column, r) : NULL;
    if (cell && *cell)
        return cell;
    free(cell);
    return result_word(r, w->field);
}

bool results_where_passes(const struct result *r)
{
    bool pass = true;
    for (int i = 0; i < where_count; i++) {
        struct where *w = &wheres[i];
        char *value = field_of(w, r);
        w->met = w->met || (value && *value);
        pass = pass && value && (!strcmp(w->value, value) || !fnmatch(w->value, value, 0));
        free(value);
    }
    return pass;
}

enum status results_where_met(struct fault *fault)
{
    enum { ROOM = 200 };
    const char *names[ROOM];
    char near[160];
    int count = 0;
    for (; count < export_cases.count && count < ROOM; count++)
        names[count] = export_cases.columns[count].name;
    for (int i = 0; i < where_count; i++)
        if (!wheres[i].met) {
            nearest_names(wheres[i].field, names, count, near, sizeof near);
            return fault_set(fault, ST_BAD_INPUT, "--where: no record has the field '%s'%s",
                             wheres[i].field, near);
        }
    return ST_OK;
}
