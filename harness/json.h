// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* json.h   JSON writer: into memory, C locale, %.17g, non-finite numbers become null. Needs no
 * library. Nesting and commas are kept by the writer; keys are given for members, NULL for items. */
#ifndef PATCHMARK_JSON_H
#define PATCHMARK_JSON_H

#include "op.h"

struct json {
    char *text;                     /* NUL-terminated; owned; json_free */
    size_t used, size;
    unsigned depth;
    bool comma, failed, indent;     /* indent: pretty-printed over several lines */
};

void json_init(struct json *j, bool indent);
void json_free(struct json *j);
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_end(struct json *j);      /* closes the innermost object or array */
void json_text(struct json *j, const char *key, const char *value); /* NULL -> null */
void json_int(struct json *j, const char *key, int64_t value);
void json_real(struct json *j, const char *key, double value);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);
/* {"value": null, "why": reason}: a figure that could not be had */
void json_unavailable(struct json *j, const char *key, const char *reason);
/* a string of n raw bytes, escaped, invalid UTF-8 replaced */
void json_bytes(struct json *j, const char *key, const void *data, size_t bytes);

#endif
