// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "sweep/run_totals.h"

#include "run/run_sustain.h"

#include <stdlib.h>
#include <string.h>

enum status totals_add(struct totals *t, const struct outcome *o)
{
    t->scenarios += o->c.spec.scenario != NULL;
    if (!outcome_timed(o)) {
        if (o->mistrusted || exit_code_of(o->status) == EXIT_CHECK)
            t->failed++;
        else if (!t->other++)
            t->first_other = o->status;
        return ST_OK;
    }
    if (o->external) { /* in no ratio with our own */
        t->timed_alone++;
        return ST_OK;
    }
    t->bursts += !o->sampling && !sustained_lasted(o->sustained);
    if (o->unstable || !strstr(o->recipe, "\"plan_class\":\"exact\"")) {
        t->timed_alone++;
        return ST_OK;
    }
    struct timed_plan *grown = realloc(t->plan, (size_t)(t->timed + 1) * sizeof *grown);
    if (!grown)
        return ST_NO_MEMORY;
    t->plan = grown;
    struct timed_plan *p = &t->plan[t->timed++];
    outcome_name(o, p->name, sizeof p->name);
    snprintf(p->plan, sizeof p->plan, "%s", outcome_plan(o));
    p->median_ns = o->summary.median;
    return ST_OK;
}

void totals_compare_plans(const struct totals *t, FILE *out)
{
    bool any = false;
    for (int i = 0; i < t->timed; i++) {
        bool first = true, alone = true;
        for (int k = 0; k < i; k++)
            first = first && strcmp(t->plan[k].name, t->plan[i].name) != 0;
        for (int k = i + 1; first && k < t->timed; k++) {
            if (strcmp(t->plan[k].name, t->plan[i].name) ||
                !strcmp(t->plan[k].plan, t->plan[i].plan))
                continue;
            if (alone)
                fprintf(out, "%s%s: ", any ? "" : "\n", t->plan[i].name);
            fprintf(out, "%s%s is %.2fx %s", alone ? "" : ", ", t->plan[k].plan,
                    t->plan[i].median_ns / t->plan[k].median_ns, t->plan[i].plan);
            alone = false;
            any = true;
        }
        if (!alone)
            fputc('\n', out);
    }
    if (any)
        fputs("(timed one after the other: this describes, it does not test)\n", out);
}

void totals_add_state(struct totals *t, const char *state)
{
    enum status status = ST_OK;
    while (status < ST_COUNT && strcmp(status_name(status), state))
        status++;
    if (!strcmp(state, "passed") || !strcmp(state, "unstable") || !strcmp(state, "throttled"))
        t->timed_alone++;
    else if (status == ST_COUNT || exit_code_of(status) == EXIT_CHECK)
        t->failed++;
    else if (!t->other++)
        t->first_other = status;
}

int totals_exit_code(struct totals *t)
{
    const bool nothing = t->other && !t->timed && !t->timed_alone;
    free(t->plan);
    t->plan = NULL;
    return t->failed ? EXIT_CHECK : nothing ? exit_code_of(t->first_other) : EXIT_OK;
}
