// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "counters/list_counters.h"

#include <string.h>

#include "counters/counter_presets.h"

#define REASONS_MAX 16

/* One figure here: the way that can be had, or why the first one cannot. */
struct standing {
    const char *way; /* NULL: none */
    char why[160];
};

static struct standing standing_of(const struct counter_figure *f)
{
    struct standing s = {.way = NULL};
    for (int w = 0; w < COUNTER_WAYS && f->way[w] && !s.way; w++) {
        struct counter_term term[COUNTER_TERMS_MAX];
        char why[160];
        bool all = true;
        int terms = counter_way_terms(f->way[w], term);
        for (int t = 0; t < terms && all; t++)
            all = counters_usable(term[t].event, why);
        if (all)
            s.way = f->way[w];
        else if (!s.why[0])
            memcpy(s.why, why, sizeof s.why);
    }
    return s;
}

static const char *all_ways(const struct counter_figure *f, char *out, size_t bytes)
{
    size_t used = 0;
    for (int w = 0; w < COUNTER_WAYS && f->way[w] && used < bytes; w++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%s", w ? " or " : "", f->way[w]);
    return out;
}

static int number_of(char reasons[REASONS_MAX][160], int *count, const char *why)
{
    int i = 0;
    while (i < *count && strcmp(reasons[i], why) != 0)
        i++;
    if (i == *count && i < REASONS_MAX)
        memcpy(reasons[(*count)++], why, 160);
    return i + 1;
}

/* A figure that several presets hold is shown with the first. */
static void text(void)
{
    char reasons[REASONS_MAX][160], ways[400];
    const struct counter_figure *f, *shown[COUNTERS_MAX];
    int reason_count = 0, shown_count = 0;
    printf("%-13s %-17s %-6s %s\n", "preset", "figure", "here", "events");
    for (const struct counter_preset *p = counter_presets; p->figures; p++) {
        const char *at = NULL, *name = p->name;
        int index = 0;
        while ((f = counter_preset_next(p, &at, &index))) {
            bool told = false;
            for (int i = 0; i < shown_count; i++)
                told = told || shown[i] == f;
            if (told)
                continue;
            shown[shown_count++] = f;
            struct standing s = standing_of(f);
            char here[16] = "yes";
            if (!s.way)
                snprintf(here, sizeof here, "no (%d)", number_of(reasons, &reason_count, s.why));
            printf("%-13s %-17s %-6s %s\n", name, f->name, here,
                   s.way ? s.way : all_ways(f, ways, sizeof ways));
            name = "";
        }
    }
    printf("%-13s every one of these; an event may also be given by its own name\n", "all");
    for (int i = 0; i < reason_count; i++)
        printf("(%d) %s\n", i + 1, reasons[i]);
}

static void figure_json(const struct counter_figure *f, struct json *j)
{
    struct standing s = standing_of(f);
    json_open_object(j, NULL);
    json_text(j, "figure", f->name);
    json_text(j, "events", s.way);
    json_text(j, "why", s.way ? NULL : s.why);
    json_open_array(j, "ways");
    for (int w = 0; w < COUNTER_WAYS && f->way[w]; w++)
        json_text(j, NULL, f->way[w]);
    json_end(j);
    json_end(j);
}

void list_counters(struct json *j)
{
    const struct counter_figure *f;
    if (!j) {
        text();
        return;
    }
    json_open_array(j, "counters");
    for (const struct counter_preset *p = counter_presets; p->name; p++) {
        const char *at = NULL;
        int index = 0;
        json_open_object(j, NULL);
        json_text(j, "preset", p->name);
        json_text(j, "summary", p->summary);
        json_open_array(j, "figures");
        while ((f = counter_preset_next(p, &at, &index)))
            figure_json(f, j);
        json_end(j);
        json_end(j);
    }
    json_end(j);
}
