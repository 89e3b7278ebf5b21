// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* duel_stores.h   Where the copies that rotate lie (rotation_new_in): two files without a name, which
 * live as long as this process, so that the next duel's copies take them too. */
#ifndef PATCHMARK_DUEL_STORES_H
#define PATCHMARK_DUEL_STORES_H

#define DUEL_STORES 2

/* Where this process and its workers can open it; NULL: it cannot be had. */
const char *duel_store(int which);
/* Gives them back where they hold over a quarter of the memory that is free besides: what they hold
 * counts as taken where a cache state is chosen. */
void duel_stores_spare(void);

#endif
