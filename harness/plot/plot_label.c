// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* plot_label.c   The words of a figure: legends, which name only what differs between series, the
 * caption, and what is not shown. */
#include "plot/plot_series.h"

#include <string.h>

static const char *const field_label[] = {
#define FIELD_LABEL(name, path, label) label,
    PLOT_FIELDS(FIELD_LABEL)
#undef FIELD_LABEL
};

static void add_words(char *out, size_t bytes, const char *separator, const char *format,
                      const char *text)
{
    size_t used = strlen(out);
    used += (size_t)snprintf(out + used, bytes - used, "%s", used ? separator : "");
    if (used < bytes)
        snprintf(out + used, bytes - used, format, text);
}

static bool is_new_plan(const struct plot_series *s, int at)
{
    for (int i = 0; i < at; i++)
        if (!strcmp(s->first[i]->field[PLOT_PLAN], s->first[at]->field[PLOT_PLAN]))
            return false;
    return true;
}

static bool has_word(const char *text, const char *word, size_t n)
{
    for (; *text; text += strcspn(text, " "), text += strspn(text, " "))
        if (strcspn(text, " ") == n && !strncmp(text, word, n))
            return true;
    return false;
}

static int plan_letter(const struct plot_series *s, int at)
{
    int letter = 'A';
    for (int i = 0; strcmp(s->first[i]->field[PLOT_PLAN], s->first[at]->field[PLOT_PLAN]); i++)
        letter += is_new_plan(s, i);
    return letter;
}

/* Another series alike in all but the plan was asked for by the same word. */
static bool is_word_shared(const struct plot_series *s, int at)
{
    const struct plot_case *c = s->first[at];
    for (int i = 0; i < s->count; i++)
        if (!strcmp(s->word[i], s->word[at]) &&
            strcmp(s->first[i]->field[PLOT_PLAN], c->field[PLOT_PLAN]) &&
            plot_alike(s->first[i], c, s->ignored | PLOT_BIT(PLAN)))
            return true;
    return false;
}

/* The first word of a plan that some other plan lacks, and how many more there are. */
static void plan_difference(const struct plot_series *s, int at, char *out, size_t bytes)
{
    const char *word = s->first[at]->field[PLOT_PLAN];
    char first[48] = "";
    int differ = 0;
    for (size_t n; (n = strcspn(word, " ")); word += n, word += strspn(word, " ")) {
        bool everywhere = true;
        for (int i = 0; i < s->count; i++)
            everywhere &= has_word(s->first[i]->field[PLOT_PLAN], word, n);
        if (!everywhere && !differ++)
            snprintf(first, sizeof first, "%.*s", (int)n, word);
    }
    snprintf(out, bytes, differ > 1 ? "%s and %d more" : "%s", first, differ - 1);
}

/* Plans are long: they go by the word that asked for them, else by a letter and a difference. */
static void plan_label(const struct plot_series *s, int at, bool brief, char out[PLOT_LEGEND_BYTES])
{
    char difference[72];
    int letter = plan_letter(s, at);
    plan_difference(s, at, difference, sizeof difference);
    if (*s->word[at])
        snprintf(out, PLOT_LEGEND_BYTES, is_word_shared(s, at) ? "%s (plan %c)" : "%s", s->word[at],
                 letter);
    else
        snprintf(out, PLOT_LEGEND_BYTES, brief ? "plan %c" : "plan %c: %s", letter, difference);
}

/* Which field tells as much as another where no two series that share it differ in the other. */
static const int implied_by[PLOT_FIELD_COUNT] = {[PLOT_GEOMETRY] = PLOT_MODEL,
                                                 [PLOT_TEXT_ROWS] = PLOT_MODEL,
                                                 [PLOT_WEIGHTS] = PLOT_MODEL,
                                                 [PLOT_FILL] = PLOT_MODEL,
                                                 [PLOT_FORWARDS] = PLOT_STEPS};

static bool is_implied(const struct plot_series *s, uint32_t shown, int field)
{
    const int by = implied_by[field];
    if (!by || !(shown >> by & 1))
        return false;
    for (int i = 0; i < s->count; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(s->first[i]->field[field], s->first[k]->field[field]) &&
                !strcmp(s->first[i]->field[by], s->first[k]->field[by]))
                return false;
    return true;
}

/* What only some cases have: where one has it and another has not, the other has nothing to say. */
static const uint32_t had_by_some =
    PLOT_BIT(FILL) | PLOT_BIT(CHECKPOINT) | PLOT_BIT(GUIDANCE_LOW) | PLOT_BIT(LAUNCH);

/* Size and duration first, then what else of `shown` tells this series from the others; brief: of
 * plans without a word only the letter, which the data file spells out. */
void plot_legend(const struct plot_series *s, int at, uint32_t shown, bool brief,
                 char out[PLOT_LEGEND_BYTES])
{
    char plan[PLOT_LEGEND_BYTES];
    plan_label(s, at, brief, plan);
    out[0] = '\0';
    for (int i = 0; i < PLOT_FIELD_COUNT; i++) {
        int f = (PLOT_SIZE + i) % PLOT_FIELD_COUNT;
        const char *text = f == PLOT_PLAN ? plan : s->first[at]->field[f];
        if ((shown >> f & 1) && !is_implied(s, shown, f) && (*text || !(had_by_some >> f & 1)))
            add_words(out, PLOT_LEGEND_BYTES, ", ", *text ? field_label[f] : "%s",
                      *text ? text : "not recorded");
    }
}

/* What all taken cases share, then machines and days: what a reader needs to trust the picture. */
static void caption(const struct plot_set *set, uint32_t skip, char *out, size_t bytes)
{
    static const int facts[] = {PLOT_CLAIM, PLOT_MACHINE, PLOT_MODEL,  PLOT_TYPE,
                                PLOT_STEPS, PLOT_CLASS,   PLOT_THREADS};
    const struct plot_case *first = NULL;
    const char *from = NULL, *to = NULL;
    uint32_t differs = skip;
    for (int64_t i = 0; i < set->count; i++) {
        const struct plot_case *c = &set->cases[i];
        if (!c->taken)
            continue;
        first = first ? first : c;
        from = !from || strcmp(c->created, from) < 0 ? c->created : from;
        to = !to || strcmp(c->created, to) > 0 ? c->created : to;
        for (int f = 0; f < PLOT_FIELD_COUNT; f++)
            if (strcmp(c->field[f], first->field[f]))
                differs |= UINT32_C(1) << f;
    }
    out[0] = '\0';
    for (size_t i = 0; first && i < sizeof facts / sizeof facts[0]; i++) {
        int f = facts[i];
        if (!(differs >> f & 1) && *first->field[f])
            add_words(out, bytes, ", ", f == PLOT_CLASS ? "%s plans" : field_label[f],
                      first->field[f]);
        else if (f == PLOT_CLAIM || f == PLOT_MACHINE || f == PLOT_CLASS)
            add_words(out, bytes, ", ", "%s as labelled",
                      f == PLOT_CLAIM   ? "claims"
                      : f == PLOT_CLASS ? "plan classes"
                                        : "machines");
    }
    char days[32] = "";
    if (first)
        snprintf(days, sizeof days, strncmp(from, to, 10) ? "%.10s to %.10s" : "%.10s", from, to);
    add_words(out, bytes, ", ", "%s", days);
}

static void count_words(struct plot_note *note, int count, const char *one, const char *many)
{
    char text[120];
    snprintf(text, sizeof text, "%d %s", count, count == 1 ? one : many);
    if (count)
        add_words(note->left_out, sizeof note->left_out, "; ", "%s", text);
}

static bool is_value_drawn(const struct plot_set *set, const struct plot_case *c, int field)
{
    for (int64_t i = 0; i < set->count; i++)
        if (plot_is_drawn(&set->cases[i]) && !strcmp(set->cases[i].field[field], c->field[field]))
            return true;
    return false;
}

/* "other threads, plans": what the timed cases that are not drawn have and no drawn one has. */
static void why_not_drawn(const struct plot_set *set, char *out, size_t bytes)
{
    static const struct {
        int field;
        const char *name;
    } reasons[] = {{PLOT_THREADS, "threads"},
                   {PLOT_PLAN, "plans"},
                   {PLOT_SIZE, "sizes"},
                   {PLOT_FRAMES, "durations"},
                   {-1, "combinations"}};
    uint32_t found = 0;
    for (int64_t i = 0; i < set->count; i++) {
        const struct plot_case *c = &set->cases[i];
        int at = 0;
        while (reasons[at].field >= 0 && is_value_drawn(set, c, reasons[at].field))
            at++;
        if (c->timed && !plot_is_drawn(c))
            found |= UINT32_C(1) << at;
    }
    out[0] = '\0';
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (found >> i & 1)
            add_words(out, bytes, ", ", *out ? "%s" : "other %s", reasons[i].name);
}

static bool is_shaky(const struct plot_case *c) { return c->timed && strcmp(c->status, "passed"); }

/* Counts what stands in the records and not, or with a mark, in the figure. */
static void left_out(const struct plot_set *set, struct plot_note *note)
{
    int untimed = 0, shaky = 0, undrawn = 0;
    char why[80];
    for (int64_t i = 0; i < set->count; i++) {
        const struct plot_case *c = &set->cases[i];
        untimed += !c->timed;
        undrawn += c->timed && !plot_is_drawn(c);
        shaky += plot_is_drawn(c) && is_shaky(c);
    }
    why_not_drawn(set, why, sizeof why);
    count_words(note, untimed, "case has no time", "cases have no time");
    count_words(note, undrawn, "case is not shown", "cases are not shown");
    if (undrawn)
        add_words(note->left_out, sizeof note->left_out, " ", "(%s)", why);
    count_words(note, shaky, "time is unstable or throttled (*)",
                "times are unstable or throttled (*)");
}

/* A row goes without its plan where the plan is the usual one or a nameless one without rival. */
bool plot_is_plan_plain(const struct plot_set *set, const struct plot_series *s,
                        const struct plot_case *c)
{
    const char *word = s->word[c->series];
    bool lone = true;
    for (int64_t i = 0; i < set->count; i++)
        lone &= !plot_is_drawn(&set->cases[i]) || &set->cases[i] == c ||
                !plot_alike(c, &set->cases[i], PLOT_BIT(PLAN));
    return strcmp(word, "auto") ? lone && !*word : lone || !is_word_shared(s, c->series);
}

void plot_head(const struct plot_set *set, const struct plot_series *s, uint32_t axes, FILE *out,
               struct plot_note *note)
{
    char text[400];
    bool plans = s->shown & PLOT_BIT(PLAN), named = false;
    for (int i = 0; plans && i < s->count; i++) {
        named |= *s->word[i];
        if (is_new_plan(s, i))
            fprintf(out, "# plan %c%s%s: %s\n", plan_letter(s, i), *s->word[i] ? ", " : "",
                    s->word[i], s->first[i]->field[PLOT_PLAN]);
    }
    if (plans)
        add_words(note->left_out, sizeof note->left_out, "",
                  "plans %sare spelled out in the data file", named ? "go by --kernels and " : "");
    left_out(set, note);
    caption(set, axes, text, sizeof text);
    note->series = s->count;
    fprintf(out, "%s\t%s\t%d", text, note->left_out, s->count);
}
