// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sentencepiece.h   A C face for SentencePiece (0.1.97 and newer; C++17). No exception leaves it.
 * Models go through tokenizer_check_model first: the library trusts their offsets. */
#ifndef PATCHMARK_SENTENCEPIECE_H
#define PATCHMARK_SENTENCEPIECE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct spiece;

/* A serialised model in memory, copied. Returns 0; 1 with the reason in why (at least 1 byte). */
int spiece_open(const void *data, size_t bytes, struct spiece **out, char *why, size_t why_bytes);
void spiece_close(struct spiece *s);
int64_t spiece_size(const struct spiece *s);
int32_t spiece_unknown(const struct spiece *s);
/* Number of a piece; that of the unknown piece where there is none of this name. */
int32_t spiece_find(const struct spiece *s, const char *piece);
/* Segments valid UTF-8. Byte pieces and unknown ones become one unknown piece per stretch. *count
 * is how many pieces there are, the first `room` of which are written. Returns 0; 1 where the
 * library fails. */
int spiece_encode(const struct spiece *s, const char *text, size_t bytes, int32_t *ids,
                  int64_t room, int64_t *count);
/* 1 where the first piece of a word carries the word mark U+2581. */
int spiece_marks_words(const struct spiece *s);

#ifdef __cplusplus
}
#endif
#endif
