// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* json.h   JSON writer: into memory, C locale, numbers with the fewest digits that read back the
 * same (at most %.17g), non-finite numbers become null. Needs no library. Nesting (up to 64 levels)
 * and commas are kept by the writer; keys are given for members, NULL for items. Where memory runs
 * out or nesting is wrong, `failed` is set and stays. Names keep clear of jansson's, so that a file
 * may include both. */
#ifndef PATCHMARK_JSON_H
#define PATCHMARK_JSON_H

#include "op.h"

struct json {
    char *text; /* NUL-terminated; owned; json_free */
    size_t used, size;
    unsigned depth;
    uint64_t arrays;            /* bit `level` set: that level is an array */
    bool comma, failed, indent; /* indent: pretty-printed over several lines */
};

void json_init(struct json *j, bool indent);
void json_free(struct json *j);
void json_open_object(struct json *j, const char *key);
void json_open_array(struct json *j, const char *key);
void json_end(struct json *j); /* closes the innermost object or array */
void json_text(struct json *j, const char *key, const char *value); /* NULL -> null */
void json_int(struct json *j, const char *key, int64_t value);
void json_number(struct json *j, const char *key, double value);
void json_bool(struct json *j, const char *key, bool value);
void json_none(struct json *j, const char *key);
/* {"value": null, "why": reason}: a figure that could not be had */
void json_unavailable(struct json *j, const char *key, const char *reason);
/* text that is one complete JSON value already */
void json_raw(struct json *j, const char *key, const char *text);
/* a string of n raw bytes, escaped, invalid UTF-8 replaced */
void json_bytes(struct json *j, const char *key, const void *data, size_t bytes);

#endif
