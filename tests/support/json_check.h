// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* json_check.h   Is it JSON? A checker of RFC 8259 for what the program writes, in builds with and
 * without jansson. */
#ifndef PATCHMARK_TESTS_JSON_CHECK_H
#define PATCHMARK_TESTS_JSON_CHECK_H

#include <stdbool.h>

/* One value, blanks around it, nothing else. UTF-8 is checked too. */
bool json_valid(const char *text);

#endif
