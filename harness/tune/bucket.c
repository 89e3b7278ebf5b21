// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "tune/bucket.h"

#include <stdarg.h>
#include <string.h>

#include "elem.h"

enum treatment { EXACT, BY_POWER, VOXELS, LEFT_OUT };

/* The shape alphabet is one for all ops, so one table serves them all. */
static enum treatment treatment_of(const char *dim)
{
    static const struct {
        const char *name;
        enum treatment treatment;
    } table[] = {{"S", BY_POWER},       {"Sq", BY_POWER},        {"Sk", BY_POWER},
                 {"B", BY_POWER},       {"T", VOXELS},           {"H", VOXELS},
                 {"W", VOXELS},         {"P", LEFT_OUT},         {"lead", LEFT_OUT},
                 {"pad_top", LEFT_OUT}, {"pad_left", LEFT_OUT},  {"pad_bottom", LEFT_OUT},
                 {"guided", LEFT_OUT},  {"pad_right", LEFT_OUT}, {"Ho", LEFT_OUT},
                 {"Wo", LEFT_OUT}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].name, dim))
            return table[i].treatment;
    return EXACT;
}

struct text {
    char *out;
    size_t bytes;
    char mark; /* in front of the next member */
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
    size_t used = strlen(t->out);
    va_list args;
    if (used + 2 >= t->bytes)
        return;
    t->out[used] = t->mark;
    va_start(args, format);
    vsnprintf(t->out + used + 1, t->bytes - used - 1, format, args);
    va_end(args);
    t->mark = ',';
}

/* "S=1", "S=1024-2047" */
static void add_power(struct text *t, const char *name, int64_t value)
{
    int64_t low = 1;
    while (low <= value / 2)
        low *= 2;
    if (low == 1)
        add(t, "%s=%lld", name, (long long)value);
    else
        add(t, "%s=%lld-%lld", name, (long long)low, (long long)(2 * low - 1));
}

static void add_exact(struct text *t, const struct op_dim *d, int64_t value)
{
    if (d->symbols)
        add(t, "%s=%s", d->name, d->symbols[value]);
    else if (d->type_tensor)
        add(t, "%s=%s", d->name, elem_name((enum elem)value));
    else
        add(t, "%s=%lld", d->name, (long long)value);
}

void bucket_print(const struct problem *problem, char *out, size_t bytes)
{
    const struct op_info *info = op_table[problem->op];
    struct text t = {out, bytes, ':'};
    int64_t voxels = 0, previous = 0;
    snprintf(out, bytes, "%s", info->name);
    for (const struct op_dim *d = info->dim; d->name; d++) {
        int64_t value;
        const bool silent = problem_dim(problem, d, previous, &value);
        const enum treatment treatment = treatment_of(d->name);
        previous = value;
        if (treatment == VOXELS)
            voxels = (voxels ? voxels : 1) * value;
        if (treatment == BY_POWER && !silent)
            add_power(&t, d->name, value);
        if (treatment == EXACT && !silent)
            add_exact(&t, d, value);
    }
    if (voxels)
        add_power(&t, "voxels", voxels);
    add(&t, "type=%s", elem_name(problem_type(problem)));
}
