// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "external/external.h"

#include <stdlib.h>
#include <string.h>

/* One word from *at on, without its quotes, into `out`; false where a quote stays open. */
static bool take_word(const char **at, char *out)
{
    const char *c = *at;
    char quote = 0;
    for (; *c && (quote || !strchr(" \t\n", *c)); c++) {
        const bool escapes = *c == '\\' && quote != '\'' && c[1];
        if (escapes)
            *out++ = *++c;
        else if (quote ? *c == quote : *c == '\'' || *c == '"')
            quote = quote ? 0 : *c;
        else
            *out++ = *c;
    }
    *out = 0;
    *at = c;
    return !quote;
}

enum status external_words(const char *command, struct words *out, struct fault *fault)
{
    char *word = malloc(strlen(command) + 1);
    enum status s = word ? ST_OK : ST_NO_MEMORY;
    const char *c = command + strspn(command, " \t\n");
    for (; s == ST_OK && *c; c += strspn(c, " \t\n"))
        if (!take_word(&c, word))
            s = fault_set(fault, ST_BAD_INPUT, "--engine %s: a quote stays open", command);
        else if (!words_add(out, word))
            s = ST_NO_MEMORY;
    free(word);
    if (s == ST_OK && !out->count)
        s = fault_set(fault, ST_BAD_INPUT,
                      "--engine wants a command, as \"python3 harness/engines/diffusers_wan.py\"");
    return s == ST_NO_MEMORY ? fault_set(fault, s, "no memory for a command") : s;
}

enum status external_check(const struct case_spec *s, struct fault *fault)
{
    struct words words = {0};
    const char *with = s->scenario                 ? "--scenario"
                       : s->replicas != CASE_UNSET ? "--replicas"
                       : s->batch != CASE_UNSET    ? "--batch"
                       : s->kernels                ? "--kernels"
                       : s->image || s->last_image ? "--image"
                                                   : NULL;
    if (with)
        return fault_set(fault, ST_BAD_INPUT,
                         "an engine makes clips from a prompt, one after the other, its own way;"
                         " %s cannot go with --engine",
                         with);
    const enum status status = external_words(s->engine, &words, fault);
    words_free(&words);
    return status;
}
