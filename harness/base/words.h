// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* words.h   Lists as people write them, for flags and suites alike, taken apart into words.
 *
 *   1,2,8            words between commas (or another separator)
 *   1-8*2            a geometric range: 1, 2, 4, 8
 *   17-81+16         an arithmetic one: 17, 33, 49, 65, 81
 *   96x64-384x256*2  of sizes both sides grow: 96x64, 192x128, 384x256
 * A range ends at its last value that does not exceed the second number. Ranges are of numbers and
 * sizes; in lists of other words a dash is a letter.
 *
 *   linear:S={512,2048-8192*2},K=1536,O=1536   braces: one text for each word of the list in them
 */
#ifndef PATCHMARK_WORDS_H
#define PATCHMARK_WORDS_H

#include "op.h"

#define WORDS_MOST 1000 /* in one list; one more is taken for a slip of the pen */

/* What the words of a list are. */
enum word_kind { WORD_TEXT, WORD_WHOLE, WORD_REAL, WORD_SIZE };

/* Owned texts; zeroed before its first use. */
struct words {
    char **word;
    int count, room;
};

/* Appends a copy; NULL where memory is out. */
const char *words_add(struct words *w, const char *text);
void words_free(struct words *w);

/* Appends the words of `list`; separators NULL: the whole text is one word. ST_BAD_INPUT with a
 * sentence that begins with `name`, "--threads" or "threads". */
enum status words_expand(struct words *w, const char *name, const char *list,
                         const char *separators, enum word_kind kind, struct fault *fault);
/* Appends `text` with every pair of braces taken apart, the last one fastest. */
enum status words_braces(struct words *w, const char *name, const char *text, struct fault *fault);

#endif
