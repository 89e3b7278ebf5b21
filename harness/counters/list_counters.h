// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* list_counters.h   `list counters`: which events each preset means here, tried one by one. */
#ifndef PATCHMARK_LIST_COUNTERS_H
#define PATCHMARK_LIST_COUNTERS_H

#include "base/json.h"

void list_counters(struct json *j); /* NULL: a table on standard output; else member "counters" */

#endif
