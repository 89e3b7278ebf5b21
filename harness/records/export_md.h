// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* export_md.h   What the tables for people show of each kind of record. */
#ifndef PATCHMARK_EXPORT_MD_H
#define PATCHMARK_EXPORT_MD_H

#include "op.h"

enum md_shown {
    MD_WORD,  /* as it stands */
    MD_SHORT, /* the first 8 characters of a hash */
    MD_TIME,  /* median and half the width of its interval */
    MD_PLAIN, /* nanoseconds without an interval */
    MD_GIGA,  /* in thousand millions */
    MD_TERA,
    MD_PERCENT,
    MD_RATIO,
    MD_ROUND, /* four digits */
    MD_SIZE   /* WIDTHxHEIGHT */
};

struct md_column {
    const char *heading, *paths; /* "=class": the column of that name in export_cases */
    enum md_shown shown;
    bool keep; /* a column even where all rows agree */
};

struct md_kind {
    const char *name, *title;
    const struct md_column *columns;
    int count;
};
/* Of a kind of case or record; NULL: it has no table of its own, and every member is a column. */
const struct md_kind *md_kind_find(const char *name);

#endif
