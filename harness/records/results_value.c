// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* results_value.c   What stands at a dotted path of a record. */
#include "base/json.h"
#include "base/text.h"
#include "records/results_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum status result_refuse(const struct result *r, struct fault *fault, const char *format, ...)
{
    char path[400], what[500], clean[500];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    text_printable(r->path, strlen(r->path), path, sizeof path);
    text_printable(what, strlen(what), clean, sizeof clean);
    return fault_set(fault, ST_BAD_INPUT, "%s:%lld: %s; move the file away or measure again", path,
                     (long long)r->line, clean);
}

struct pair {
    const struct result *a, *b;
    const char *path;
    char *found;
};

static void hold_against(const char *leaf, void *user)
{
    struct pair *p = user;
    size_t n = strlen(p->path);
    bool below = !strncmp(leaf, p->path, n) && (leaf[n] == '.' || leaf[n] == '\0');
    if (p->found || !below)
        return;
    char *a = result_word(p->a, leaf), *b = result_word(p->b, leaf);
    if (a && b && strcmp(a, b))
        p->found = strdup(leaf);
    free(a);
    free(b);
}

char *result_difference(const struct result *a, const struct result *b, const char *path)
{
    struct pair p = {a, b, path, NULL};
    result_leaves(a, hold_against, &p);
    result_leaves(b, hold_against, &p); /* members that only the second has */
    return p.found;
}

bool result_may_be_timed(const struct result *r)
{
    static const char *const timed[] = {"passed", "unstable", "throttled"};
    const char *status = result_text(r, "status");
    bool may = false;
    for (size_t i = 0; i < sizeof timed / sizeof *timed; i++)
        may = may || !strcmp(status, timed[i]);
    return may;
}

bool result_timed(const struct result *r)
{
    return result_may_be_timed(r) && result_number(r, "timing.median") > 0;
}

#ifndef HAVE_JANSSON

double result_number(const struct result *r, const char *path)
{
    (void)r, (void)path;
    return NAN;
}

bool result_int(const struct result *r, const char *path, int64_t *out)
{
    (void)r, (void)path, (void)out;
    return false;
}

bool result_bool(const struct result *r, const char *path, bool otherwise)
{
    (void)r, (void)path;
    return otherwise;
}

const char *result_text(const struct result *r, const char *path)
{
    (void)r, (void)path;
    return "";
}

const char *result_why(const struct result *r, const char *path) { return result_text(r, path); }

int64_t result_items(const struct result *r, const char *path)
{
    (void)r, (void)path;
    return 0;
}

double result_item(const struct result *r, const char *path, int64_t i)
{
    (void)i;
    return result_number(r, path);
}

char *result_word(const struct result *r, const char *path) { return strdup(result_text(r, path)); }

void result_write(const struct result *r, const char *path, struct json *j, const char *key)
{
    (void)r, (void)path;
    json_none(j, key);
}

enum result_type result_type(const struct result *r, const char *path)
{
    (void)r, (void)path;
    return RESULT_ABSENT;
}

void result_leaves(const struct result *r, void (*leaf)(const char *path, void *user), void *user)
{
    (void)r, (void)leaf, (void)user;
}

#else

#include <jansson.h>

#define KEY_BYTES 200

/* The longest key that is there wins, so that a name may have dots in it. */
static const json_t *at(const json_t *object, const char *path)
{
    const json_t *whole = json_object_get(object, path);
    for (const char *dot = path; !whole && object && (dot = strchr(dot, '.')); dot++) {
        char key[KEY_BYTES];
        if (dot - path >= KEY_BYTES)
            return NULL;
        snprintf(key, sizeof key, "%.*s", (int)(dot - path), path);
        whole = at(json_object_get(object, key), dot + 1);
    }
    return whole;
}

static const json_t *find(const struct result *r, const char *path)
{
    return strncmp(path, "run.", 4) ? at(r->record, path) : at(r->run, path + 4);
}

double result_number(const struct result *r, const char *path)
{
    const json_t *value = find(r, path);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

bool result_int(const struct result *r, const char *path, int64_t *out)
{
    const json_t *value = find(r, path);
    if (json_is_integer(value))
        *out = json_integer_value(value);
    return json_is_integer(value);
}

bool result_bool(const struct result *r, const char *path, bool otherwise)
{
    const json_t *value = find(r, path);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

const char *result_text(const struct result *r, const char *path)
{
    const char *text = json_string_value(find(r, path));
    return text ? text : "";
}

const char *result_why(const struct result *r, const char *path)
{
    const char *text = json_string_value(json_object_get(find(r, path), "why"));
    return text ? text : "";
}

int64_t result_items(const struct result *r, const char *path)
{
    return (int64_t)json_array_size(find(r, path));
}

double result_item(const struct result *r, const char *path, int64_t i)
{
    const json_t *value = i < 0 ? NULL : json_array_get(find(r, path), (size_t)i);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static bool is_absent(const json_t *value)
{
    return !value || json_is_null(value) ||
           (json_is_null(json_object_get(value, "value")) && json_object_get(value, "why"));
}

enum result_type result_type(const struct result *r, const char *path)
{
    const json_t *value = find(r, path);
    if (is_absent(value))
        return RESULT_ABSENT;
    return json_is_boolean(value)   ? RESULT_BOOL
           : json_is_integer(value) ? RESULT_INT
           : json_is_real(value)    ? RESULT_REAL
           : json_is_string(value)  ? RESULT_TEXT
                                    : RESULT_OTHER;
}

static void walk(const json_t *object, const char *before,
                 void (*leaf)(const char *path, void *user), void *user)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        char *path;
        if (asprintf(&path, "%s%s%s", before, *before ? "." : "", key) < 0)
            continue;
        if (json_is_object(value) && !is_absent(value) && json_object_size(value))
            walk(value, path, leaf, user);
        else
            leaf(path, user);
        free(path);
    }
}

void result_leaves(const struct result *r, void (*leaf)(const char *path, void *user), void *user)
{
    walk(r->record, "", leaf, user);
}

/* By the program's own writer, which gives a double the digits that it was read from. */
static void write_value(struct json *j, const char *key, const json_t *value)
{
    const char *name;
    json_t *member;
    if (json_is_object(value)) {
        json_open_object(j, key);
        json_object_foreach((json_t *)value, name, member) write_value(j, name, member);
        json_end(j);
    } else if (json_is_array(value)) {
        json_open_array(j, key);
        for (size_t i = 0; i < json_array_size(value); i++)
            write_value(j, NULL, json_array_get(value, i));
        json_end(j);
    } else if (json_is_string(value))
        json_bytes(j, key, json_string_value(value), json_string_length(value));
    else if (json_is_integer(value))
        json_int(j, key, json_integer_value(value));
    else if (json_is_real(value))
        json_number(j, key, json_real_value(value));
    else if (json_is_boolean(value))
        json_bool(j, key, json_is_true(value));
    else
        json_none(j, key);
}

void result_write(const struct result *r, const char *path, struct json *j, const char *key)
{
    write_value(j, key, *path ? find(r, path) : r->record);
}

char *result_word(const struct result *r, const char *path)
{
    const json_t *value = find(r, path);
    if (is_absent(value))
        return strdup("");
    if (json_is_string(value))
        return strdup(json_string_value(value));
    struct json j;
    json_init(&j, false);
    write_value(&j, NULL, value);
    char *word = j.failed ? NULL : strdup(j.text);
    json_free(&j);
    return word;
}

#endif
