// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* options.c   Command-line options from a table, and the nearest known name to a wrong one. */
#include "base/patchmark.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int least3(int a, int b, int c) { return a < b ? (a < c ? a : c) : (b < c ? b : c); }

/* Levenshtein distance; names are short, longer ones count as unrelated. */
static int edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST)
        return LONGEST;
    int row[LONGEST + 1];
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int above = row[j];
            row[j] = least3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[m];
}

void nearest_names(const char *wrong, const char *const *names, int count, char *out, size_t bytes)
{
    enum { MOST = 3 };
    int best[MOST], distance[MOST], found = 0;
    for (int i = 0; i < count; i++) {
        int d = strstr(names[i], wrong) && wrong[0] ? 1 : edit_distance(wrong, names[i]);
        if (d > 2 + (int)strlen(wrong) / 3)
            continue;
        int at = found < MOST ? found++ : MOST;
        while (at > 0 && distance[at - 1] > d) {
            if (at < MOST) {
                best[at] = best[at - 1];
                distance[at] = distance[at - 1];
            }
            at--;
        }
        if (at < MOST) {
            best[at] = i;
            distance[at] = d;
        }
    }
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; i < found && used < bytes; i++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%s", i ? ", " : "; did you mean ",
                                 names[best[i]]);
    if (found && used + 1 < bytes)
        snprintf(out + used, bytes - used, "?");
}

static bool parse_count(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *out = value;
    return end != text && !*end && !errno;
}

static bool parse_seed(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 0);
    return end != text && !*end && !errno && !strchr(text, '-');
}

static bool parse_real(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && !*end && isfinite(*out);
}

static bool parse_size(const char *text, struct size2 *out)
{
    char *end;
    errno = 0;
    out->width = strtoll(text, &end, 10);
    if (end == text || *end != 'x' || errno)
        return false;
    return parse_count(end + 1, &out->height) && out->width > 0 && out->height > 0;
}

static bool parse_pair(const char *text, struct real2 *out)
{
    const char *comma = strchr(text, ',');
    char first[64];
    out->second = NAN;
    if (!comma)
        return parse_real(text, &out->first);
    if ((size_t)(comma - text) >= sizeof first)
        return false;
    memcpy(first, text, (size_t)(comma - text));
    first[comma - text] = 0;
    return parse_real(first, &out->first) && parse_real(comma + 1, &out->second);
}

static bool parse_format(const char *text, bool *json)
{
    *json = !strcmp(text, "json");
    return *json || !strcmp(text, "text");
}

static enum status set_option(const struct option *o, const char *text, struct fault *fault)
{
    static const char *const wanted[] = {
        [OPTION_TEXT] = "text",
        [OPTION_COUNT] = "a whole number",
        [OPTION_REAL] = "a number",
        [OPTION_SEED] = "a whole number from 0 to 2^64-1",
        [OPTION_SIZE] = "WIDTHxHEIGHT, as 832x480",
        [OPTION_PAIR] = "one number, or two as 4,3",
        [OPTION_FORMAT] = "text or json",
    };
    if (o->type == OPTION_EACH)
        return o->each(text, fault);
    bool ok = true;
    switch (o->type) {
    case OPTION_TEXT: *(const char **)o->value = text; break;
    case OPTION_COUNT: ok = parse_count(text, o->value); break;
    case OPTION_REAL: ok = parse_real(text, o->value); break;
    case OPTION_SEED: ok = parse_seed(text, o->value); break;
    case OPTION_SIZE: ok = parse_size(text, o->value); break;
    case OPTION_PAIR: ok = parse_pair(text, o->value); break;
    case OPTION_FORMAT: ok = parse_format(text, o->value); break;
    case OPTION_FLAG:
    case OPTION_EACH: break;
    }
    if (ok)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "%s wants %s, not '%s'", o->name, wanted[o->type], text);
}

static const struct option *find_option(const struct option *options, const char *name, size_t n)
{
    for (const struct option *o = options; o->name; o++)
        if (strlen(o->name) == n && !strncmp(o->name, name, n))
            return o;
    return NULL;
}

static enum status unknown_option(const struct option *options, const char *word,
                                  struct fault *fault)
{
    const char *names[64];
    int count = 0;
    for (const struct option *o = options; o->name && count < 64; o++)
        names[count++] = o->name;
    char near[160];
    nearest_names(word, names, count, near, sizeof near);
    return fault_set(fault, ST_BAD_INPUT, "unknown option '%s'%s", word, near);
}

enum status options_parse(const struct option *options, int argc, char **argv,
                          const char **positional, int *count, struct fault *fault)
{
    int room = count ? *count : 0, used = 0;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (word[0] != '-' || !word[1]) {
            if (used == room)
                return fault_set(fault, ST_BAD_INPUT, "'%s' is one word too many here", word);
            positional[used++] = word;
            continue;
        }
        const char *equals = strchr(word, '=');
        size_t n = equals ? (size_t)(equals - word) : strlen(word);
        const struct option *o = find_option(options, word, n);
        if (!o)
            return unknown_option(options, word, fault);
        if (o->type == OPTION_FLAG && equals)
            return fault_set(fault, ST_BAD_INPUT, "%s takes no value", o->name);
        if (o->type == OPTION_FLAG) {
            *(bool *)o->value = true;
            continue;
        }
        if (!equals && i + 1 == argc)
            return fault_set(fault, ST_BAD_INPUT, "%s wants %s after it", o->name, o->argument);
        TRY(set_option(o, equals ? equals + 1 : argv[++i], fault));
    }
    if (count)
        *count = used;
    return ST_OK;
}

void options_help(const struct option *options, FILE *out)
{
    for (const struct option *o = options; o->name; o++) {
        char left[48];
        snprintf(left, sizeof left, "%s %s", o->name, o->argument ? o->argument : "");
        fprintf(out, "  %-26s %s\n", left, o->help);
    }
}
