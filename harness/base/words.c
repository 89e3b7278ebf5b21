// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "base/words.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *words_add(struct words *w, const char *text)
{
    if (w->count == w->room) {
        int room = w->room ? 2 * w->room : 16;
        char **grown = realloc(w->word, (size_t)room * sizeof *grown);
        if (!grown)
            return NULL;
        w->word = grown;
        w->room = room;
    }
    char *copy = strdup(text);
    if (copy)
        w->word[w->count++] = copy;
    return copy;
}

void words_free(struct words *w)
{
    for (int i = 0; i < w->count; i++)
        free(w->word[i]);
    free(w->word);
    *w = (struct words){0};
}

static enum status add(struct words *w, int first, const char *name, const char *text,
                       struct fault *fault)
{
    if (w->count - first >= WORDS_MOST)
        return fault_set(fault, ST_BAD_INPUT, "%s: more than %d values; is the step too small?",
                         name, WORDS_MOST);
    return words_add(w, text)
               ? ST_OK
               : fault_set(fault, ST_NO_MEMORY, "no memory for the list of %s", name);
}

/* ---- ranges ---- */

/* A number, or both sides of a size. */
struct value {
    double side[2];
    int sides;
};

/* `from` to its end or to one of `ends`; what follows in *rest. */
static bool read_value(const char *from, enum word_kind kind, struct value *v, const char **rest)
{
    char *end;
    *v = (struct value){.sides = 1};
    if (!isdigit((unsigned char)*from) && *from != '.')
        return false;
    v->side[0] = strtod(from, &end);
    if (kind == WORD_SIZE) {
        if (*end != 'x' || !isdigit((unsigned char)end[1]))
            return false;
        v->side[1] = strtod(end + 1, &end);
        v->sides = 2;
    }
    *rest = end;
    return isfinite(v->side[0]) && isfinite(v->side[1]);
}

static bool exceeds(const struct value *v, const struct value *last)
{
    for (int i = 0; i < v->sides; i++)
        if (v->side[i] > last->side[i] * (1 + 1e-9))
            return true;
    return false;
}

static void print_value(const struct value *v, enum word_kind kind, char *out, size_t bytes)
{
    if (kind == WORD_REAL)
        snprintf(out, bytes, "%.10g", v->side[0]);
    else if (kind == WORD_SIZE)
        snprintf(out, bytes, "%.0fx%.0f", round(v->side[0]), round(v->side[1]));
    else
        snprintf(out, bytes, "%.0f", round(v->side[0]));
}

struct range {
    struct value first, last;
    char sign; /* '*' or '+' */
    double step;
};

static enum status check_range(const struct range *r, const char *name, const char *word,
                               struct fault *fault)
{
    if (exceeds(&r->first, &r->last))
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: the range %s goes down; give its smaller end first", name, word);
    if (r->sign == '*' && !(r->step > 1))
        return fault_set(fault, ST_BAD_INPUT, "%s: the factor of %s should be above 1, as in 1-8*2",
                         name, word);
    if (!(r->step > 0))
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: the step of %s should be above 0, as in 17-81+16", name, word);
    for (int i = 0; i < r->first.sides; i++)
        if (r->sign == '*' && !(r->first.side[i] > 0))
            return fault_set(fault, ST_BAD_INPUT, "%s: %s stays at 0; begin above it", name, word);
    return ST_OK;
}

static enum status expand_range(struct words *w, int first, const struct range *r,
                                enum word_kind kind, const char *name, struct fault *fault)
{
    char text[64], before[64] = "";
    struct value v = r->first;
    for (int n = 1; !exceeds(&v, &r->last); n++) {
        print_value(&v, kind, text, sizeof text);
        if (strcmp(text, before)) /* 2-9*1.1 rounds to 2 twice */
            TRY(add(w, first, name, text, fault));
        snprintf(before, sizeof before, "%s", text);
        for (int i = 0; i < v.sides; i++)
            v.side[i] = r->sign == '*' ? r->first.side[i] * pow(r->step, n)
                                       : r->first.side[i] + n * r->step;
        if (n > 100 * WORDS_MOST)
            return fault_set(fault, ST_BAD_INPUT, "%s: a step too small to count by", name);
    }
    return ST_OK;
}

/* Whether the word is a range: two values with a dash between them. */
static bool read_range(const char *word, enum word_kind kind, struct range *r, const char **tail)
{
    const char *rest;
    return kind != WORD_TEXT && read_value(word, kind, &r->first, &rest) && *rest == '-' &&
           read_value(rest + 1, kind, &r->last, tail);
}

static enum status expand_word(struct words *w, int first, const char *name, const char *word,
                               enum word_kind kind, struct fault *fault)
{
    struct range r;
    const char *tail;
    char *end;
    if (!read_range(word, kind, &r, &tail))
        return add(w, first, name, word, fault);
    r.sign = *tail;
    if (r.sign != '*' && r.sign != '+')
        return fault_set(fault, ST_BAD_INPUT,
                         "%s: the range %s needs a factor or a step, as 1-8*2 or 17-81+16", name,
                         word);
    r.step = strtod(tail + 1, &end);
    if (end == tail + 1 || *end || !isfinite(r.step))
        return fault_set(fault, ST_BAD_INPUT, "%s: %s should end in a number after its '%c'", name,
                         word, r.sign);
    TRY(check_range(&r, name, word, fault));
    return expand_range(w, first, &r, kind, name, fault);
}

/* ---- lists ---- */

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    for (size_t n = strlen(text); n && isspace((unsigned char)text[n - 1]); n--)
        text[n - 1] = 0;
    return text;
}

enum status words_expand(struct words *w, const char *name, const char *list,
                         const char *separators, enum word_kind kind, struct fault *fault)
{
    const int first = w->count;
    if (!separators)
        return add(w, first, name, list, fault);
    char *copy = strdup(list), *rest = copy;
    enum status s = copy ? ST_OK : fault_set(fault, ST_NO_MEMORY, "no memory for a list");
    for (char *word; s == ST_OK && (word = strsep(&rest, separators)) != NULL;) {
        word = trim(word);
        s = *word ? expand_word(w, first, name, word, kind, fault)
                  : fault_set(fault, ST_BAD_INPUT,
                              "%s: the list '%s' has an empty place; is a comma too many?", name,
                              list);
    }
    free(copy);
    return s;
}

/* ---- braces ---- */

/* What stands ahead of the braces, with a word in their place. */
static char *joined(const char *head, const char *text, const char *open, const char *word)
{
    char *out;
    return asprintf(&out, "%s%.*s%s", head, (int)(open - text), text, word) < 0 ? NULL : out;
}

static enum status expand_braces(struct words *w, int first, const char *name, const char *head,
                                 const char *text, struct fault *fault)
{
    const char *open = strchr(text, '{'), *close = open ? strchr(open, '}') : NULL;
    struct words values = {0};
    if (!open) {
        char *whole = joined(head, text, text + strlen(text), "");
        enum status s = whole ? add(w, first, name, whole, fault) : ST_NO_MEMORY;
        free(whole);
        return s;
    }
    if (!close || memchr(open + 1, '{', (size_t)(close - open - 1)))
        return fault_set(fault, ST_BAD_INPUT, "%s: '%s' opens a brace that it does not close", name,
                         text);
    char *list = strndup(open + 1, (size_t)(close - open - 1));
    enum status s = list ? words_expand(&values, name, list, ",", WORD_WHOLE, fault) : ST_NO_MEMORY;
    for (int i = 0; s == ST_OK && i < values.count; i++) {
        char *longer = joined(head, text, open, values.word[i]);
        s = longer ? expand_braces(w, first, name, longer, close + 1, fault) : ST_NO_MEMORY;
        free(longer);
    }
    words_free(&values);
    free(list);
    return s;
}

enum status words_braces(struct words *w, const char *name, const char *text, struct fault *fault)
{
    const char *open = strchr(text, '{'), *close = strchr(text, '}');
    if (close && (!open || close < open))
        return fault_set(fault, ST_BAD_INPUT, "%s: '%s' closes a brace that it does not open", name,
                         text);
    return expand_braces(w, w->count, name, "", text, fault);
}
