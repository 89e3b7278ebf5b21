// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "records/results_known.h"

#include "records/record.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct known {
    char *key;       /* run, kind, case */
    char digest[65]; /* of the line */
    char *where;
};

static int order(const void *a, const void *b)
{
    return strcmp(((const struct known *)a)->key, ((const struct known *)b)->key);
}

static void free_known(void *node)
{
    struct known *k = node;
    if (k) {
        free(k->key);
        free(k->where);
    }
    free(k);
}

static struct known *make_known(const struct result *r, const char *line, size_t bytes)
{
    struct known *k = calloc(1, sizeof *k);
    char *number = result_word(r, "case");
    if (k && number) {
        if (asprintf(&k->key, "%s %s %s", result_text(r, "run_id"), r->kind, number) < 0)
            k->key = NULL;
        if (asprintf(&k->where, "%s:%lld", r->path, (long long)r->line) < 0)
            k->where = NULL;
        sha256_hex(line, bytes, k->digest);
    }
    free(number);
    if (k && k->key && k->where)
        return k;
    free_known(k);
    return NULL;
}

enum status results_known_meet(struct results_known *known, const struct result *r,
                               const char *line, size_t bytes, bool *copy, struct fault *fault)
{
    *copy = false;
    bool numbered = !strcmp(r->kind, "run") || result_type(r, "case") != RESULT_ABSENT;
    if (!*result_text(r, "run_id") || !numbered)
        return ST_OK;
    while (bytes > 0 && strchr("\r\n", line[bytes - 1])) /* a last line may lack its end */
        bytes--;
    struct known *fresh = make_known(r, line, bytes);
    struct known **node = fresh ? tsearch(fresh, &known->tree, order) : NULL;
    if (!node) {
        free_known(fresh);
        return fault_set(fault, ST_NO_MEMORY, "no memory for the names of records");
    }
    const struct known *first = *node;
    *copy = first != fresh;
    if (!*copy)
        return ST_OK;
    bool differs = strcmp(first->digest, fresh->digest) != 0;
    free_known(fresh);
    return differs ? result_refuse(r, fault,
                                   "not the same as %.300s, which is of the same run and case: "
                                   "one of them was edited",
                                   first->where)
                   : ST_OK;
}

void results_known_free(struct results_known *known)
{
    tdestroy(known->tree, free_known);
    known->tree = NULL;
}
