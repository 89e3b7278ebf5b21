// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "prompt/prompt_variant.h"

#include <stdlib.h>
#include <string.h>

#define OPENING_BYTES 16
#define TRIES 64 /* openings that an index has to itself */

/* "bcqd: ", every number its own for 26^4 numbers. */
static void write_opening(int64_t number, char out[OPENING_BYTES])
{
    for (int i = 0; i < 4; i++, number /= 26)
        out[i] = (char)('a' + number % 26);
    memcpy(out + 4, ": ", 3);
}

static enum status count_tokens(const struct generate_request *r, const char *text, int64_t *count,
                                struct fault *fault)
{
    const int64_t rows = r->model->text.rows;
    int32_t *ids = malloc((size_t)rows * sizeof *ids);
    enum status s = ids ? ST_OK : ST_NO_MEMORY;
    if (s == ST_OK && r->tokenizer.tokenize)
        s = r->tokenizer.tokenize(r->tokenizer.user, text, rows, ids, count, fault);
    else if (s == ST_OK)
        *count = tokenize_bytes(text, rows, ids);
    free(ids);
    return s;
}

static enum status make_room(struct prompt_variant *v, int64_t count, size_t bytes)
{
    if (v->text)
        return ST_OK;
    if (!(v->text = calloc((size_t)count, sizeof *v->text)))
        return ST_NO_MEMORY;
    for (; v->count < count; v->count++)
        if (!(v->text[v->count] = calloc(1, bytes)))
            return ST_NO_MEMORY;
    return ST_OK;
}

static enum status write_prompt(struct prompt_variant *v, const struct pipeline_case *c,
                                int64_t number, char *out, struct fault *fault)
{
    char opening[OPENING_BYTES];
    for (int i = 0; i < TRIES; i++) {
        int64_t tokens;
        write_opening(number * TRIES + i, opening);
        sprintf(out, "%s%s", opening, c->spec.prompt ? c->spec.prompt : "");
        TRY(count_tokens(&c->request, out, &tokens, fault));
        if (!v->tokens)
            v->tokens = tokens;
        if (tokens == v->tokens)
            return ST_OK;
    }
    return fault_set(fault, ST_BAD_INPUT,
                     "the tokenizer makes no prompt of %lld tokens out of this one; give another"
                     " --prompt",
                     (long long)v->tokens);
}

enum status prompt_variant_set(struct prompt_variant *v, struct pipeline_case *c, int64_t index,
                               struct fault *fault)
{
    const int64_t clips = generate_clips(&c->request);
    TRY(make_room(v, clips, OPENING_BYTES + strlen(c->spec.prompt ? c->spec.prompt : "")));
    for (int64_t i = 0; i < clips; i++)
        TRY(write_prompt(v, c, index * clips + i, v->text[i], fault));
    c->request.prompt = v->text[0];
    c->request.prompts = clips > 1 ? (const char *const *)v->text : NULL;
    return ST_OK;
}

void prompt_variant_free(struct prompt_variant *v)
{
    for (int64_t i = 0; i < v->count; i++)
        free(v->text[i]);
    free(v->text);
    *v = (struct prompt_variant){0};
}
