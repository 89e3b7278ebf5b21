// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* prompt_variant.h   Prompts that differ and cost the same: the case's own behind an opening of four
 * letters, which no two indices share, of as many tokens as that of index 0. */
#ifndef PATCHMARK_PROMPT_VARIANT_H
#define PATCHMARK_PROMPT_VARIANT_H

#include "engine/case.h"

struct prompt_variant {
    char **text; /* of the last index asked for, one for every clip of the batch; owned */
    int64_t count;
    int64_t tokens; /* of index 0 */
};

/* After case_prompts(). The prompts of c->request become variants, valid until the next call; a
 * batch has as many of its own for every index.
 * ST_BAD_INPUT where the tokenizer finds no opening of the same length. */
enum status prompt_variant_set(struct prompt_variant *v, struct pipeline_case *c, int64_t index,
                               struct fault *fault);
void prompt_variant_free(struct prompt_variant *v);

#endif
