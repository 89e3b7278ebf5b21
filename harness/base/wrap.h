// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* wrap.h   Sentences on a terminal: lines of at most 100 columns, broken between words. */
#ifndef PATCHMARK_WRAP_H
#define PATCHMARK_WRAP_H

#include <stdio.h>

/* Prints `text` and a newline; the cursor stands at column `indent` when it begins, and further
 * lines begin there. */
void wrap_print(FILE *out, const char *text, int indent);

#endif
