// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64

void json_init(struct json *j, bool indent) { *j = (struct json){.indent = indent}; }

void json_free(struct json *j)
{
    free(j->text);
    *j = (struct json){0};
}

static void append(struct json *j, const char *text, size_t bytes)
{
    if (j->failed)
        return;
    if (bytes >= j->size - j->used) {
        size_t size = j->size ? j->size : 256;
        while (size - j->used <= bytes && size <= SIZE_MAX / 2)
            size *= 2;
        char *grown = size - j->used > bytes ? realloc(j->text, size) : NULL;
        if (!grown) {
            j->failed = true;
            return;
        }
        j->text = grown;
        j->size = size;
    }
    memcpy(j->text + j->used, text, bytes);
    j->used += bytes;
    j->text[j->used] = '\0';
}

static void append_text(struct json *j, const char *text) { append(j, text, strlen(text)); }

static void new_line(struct json *j)
{
    if (!j->indent)
        return;
    append(j, "\n", 1);
    for (unsigned level = 0; level < j->depth; level++)
        append(j, "  ", 2);
}

static void append_escaped(struct json *j, unsigned char c)
{
    static const char *const names[] = {
        ['"'] = "\\\"", ['\\'] = "\\\\", ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t",
    };
    if (c < sizeof names / sizeof names[0] && names[c]) {
        append_text(j, names[c]);
        return;
    }
    char code[8];
    snprintf(code, sizeof code, "\\u%04x", c);
    append_text(j, code);
}

static void append_string(struct json *j, const char *data, size_t bytes)
{
    append(j, "\"", 1);
    size_t plain = 0, i = 0; /* data[plain .. i) waits to be copied as it is */
    while (i < bytes) {
        unsigned char c = (unsigned char)data[i];
        size_t n = text_utf8_bytes(data + i, bytes - i);
        if (n > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7F) {
            i += n;
            continue;
        }
        append(j, data + plain, i - plain);
        if (n == 0)
            append_text(j, "\xEF\xBF\xBD"); /* U+FFFD, the replacement character */
        else
            append_escaped(j, c);
        plain = ++i;
    }
    append(j, data + plain, i - plain);
    append(j, "\"", 1);
}

static bool in_array(const struct json *j)
{
    return j->depth > 0 && (j->arrays >> (j->depth - 1) & 1);
}

/* What stands before a value: comma, line, key. A key is needed within objects and nowhere else. */
static void begin_value(struct json *j, const char *key)
{
    bool in_object = j->depth > 0 && !in_array(j);
    if (in_object != (key != NULL) || (j->depth == 0 && j->used > 0)) {
        j->failed = true;
        return;
    }
    if (j->comma)
        append(j, ",", 1);
    if (j->depth > 0)
        new_line(j);
    if (key) {
        append_string(j, key, strlen(key));
        append_text(j, j->indent ? ": " : ":");
    }
    j->comma = true;
}

static void open_level(struct json *j, const char *key, bool array)
{
    begin_value(j, key);
    if (j->depth == DEPTH_MAX)
        j->failed = true;
    if (j->failed)
        return;
    append(j, array ? "[" : "{", 1);
    uint64_t bit = UINT64_C(1) << j->depth++;
    j->arrays = array ? j->arrays | bit : j->arrays & ~bit;
    j->comma = false;
}

void json_open_object(struct json *j, const char *key) { open_level(j, key, false); }

void json_open_array(struct json *j, const char *key) { open_level(j, key, true); }

void json_end(struct json *j)
{
    if (j->depth == 0)
        j->failed = true;
    if (j->failed)
        return;
    bool array = in_array(j), empty = !j->comma;
    j->depth--;
    if (!empty)
        new_line(j);
    append(j, array ? "]" : "}", 1);
    j->comma = true;
}

static void literal(struct json *j, const char *key, const char *text)
{
    begin_value(j, key);
    append_text(j, text);
}

void json_text(struct json *j, const char *key, const char *value)
{
    if (value)
        json_bytes(j, key, value, strlen(value));
    else
        json_none(j, key);
}

void json_int(struct json *j, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    literal(j, key, text);
}

void json_number(struct json *j, const char *key, double value)
{
    if (!isfinite(value)) {
        json_none(j, key);
        return;
    }
    /* 15 digits are exact for what people type, 17 for every double. */
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    char *point = strchr(text, ','); /* a library may have set a locale with a decimal comma */
    if (point)
        *point = '.';
    literal(j, key, text);
}

void json_bool(struct json *j, const char *key, bool value)
{
    literal(j, key, value ? "true" : "false");
}

void json_none(struct json *j, const char *key) { literal(j, key, "null"); }

void json_unavailable(struct json *j, const char *key, const char *reason)
{
    json_open_object(j, key);
    json_none(j, "value");
    json_text(j, "why", reason);
    json_end(j);
}

void json_bytes(struct json *j, const char *key, const void *data, size_t bytes)
{
    begin_value(j, key);
    append_string(j, bytes ? data : "", bytes);
}

void json_raw(struct json *j, const char *key, const char *text) { literal(j, key, text); }
