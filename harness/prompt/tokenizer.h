// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tokenizer.h   Prompt -> token numbers as the published pipelines make them: the T5 tokenizer of
 * UMT5 checkpoints, in the form that diffusers' Wan pipelines call (tokenizers' Unigram, not the
 * SentencePiece command):
 *   - the prompt is cleaned (tokenizer_clean);
 *   - "<pad>", "</s>", "<unk>" and "<extra_id_K>" written in it are those tokens;
 *   - every word between spaces is segmented alone; normalisation (NFKC) is part of the model;
 *   - what the vocabulary lacks is one <unk> per stretch, even where the model has byte pieces;
 *   - rows - 1 tokens are kept, </s> follows, <pad> fills the rest.
 * Only spiece.model is read for all this; tokenizer.json beside it holds the same vocabulary again.
 * Differs from the published ones: ftfy.fix_text, which Wan's own code runs first and diffusers
 * where it is installed, is left out; text with stacked combining marks is normalised by
 * SentencePiece's rule (longest match), not by tokenizers' (per grapheme); scores are summed in
 * float32, not float64. */
#ifndef PATCHMARK_TOKENIZER_H
#define PATCHMARK_TOKENIZER_H

#include "op.h"

struct tokenizer;

/* path: a spiece.model, or a tokenizer folder that holds one; there, tokenizer_config.json may say
 * "extra_ids" (100 without). ST_NOT_BUILT without SentencePiece; a missing, malformed or foreign
 * file is ST_BAD_INPUT. *out is NULL where it fails. */
enum status tokenizer_open(const char *path, struct tokenizer **out, struct fault *fault);
void tokenizer_close(struct tokenizer *t); /* NULL is fine */
/* Every token number is below this; a text encoder needs at least as many embeddings. */
int64_t tokenizer_vocabulary(const struct tokenizer *t);

/* Fills ids[rows]; *count is the number of real tokens, </s> included: 1 to rows. rows >= 1. */
enum status tokenizer_encode(const struct tokenizer *t, const char *text, int64_t rows,
                             int32_t *ids, int64_t *count, struct fault *fault);

/* The prompt as the pipelines clean it: HTML character references replaced, twice; runs of Unicode
 * white space become one space, none at the ends. Known by name: the 252 references of HTML 4,
 * &apos;, and the six that HTML 5 allows in capitals (AMP, COPY, GT, LT, QUOT, REG), with HTML 5's
 * rules for a missing semicolon. The other names of HTML 5 are not. Needs no library; free() the
 * result. */
enum status tokenizer_clean(const char *text, char **out, struct fault *fault);

#endif
