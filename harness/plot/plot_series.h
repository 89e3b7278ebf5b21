// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* plot_series.h   What the figures share: the choice of cases and their series (plot_series.c), and
 * the words that tell series apart (plot_label.c). Cases alike in all but the figure's axis make
 * one series. */
#ifndef PATCHMARK_PLOT_SERIES_H
#define PATCHMARK_PLOT_SERIES_H

#include "plot/plot.h"

#define PLOT_SERIES_MAX 10
#define PLOT_LEGEND_BYTES 120

/* The series of one figure: their first cases, what tells them apart, what is on an axis. */
struct plot_series {
    const struct plot_case *first[PLOT_SERIES_MAX];
    const char *word[PLOT_SERIES_MAX]; /* what was asked of --kernels; "" where no record says */
    int count, more;                   /* more: cases of series beyond PLOT_SERIES_MAX, left out */
    uint32_t ignored, shown;           /* bits of plot_field */
};

/* plot_series.c: equal in all fields but the ignored ones; taken and in a series. */
bool plot_alike(const struct plot_case *a, const struct plot_case *b, uint32_t ignored);
bool plot_is_drawn(const struct plot_case *c);

/* Each marks cases as taken or not; the last two return how many are left. */
void plot_take_common_threads(struct plot_set *set);
int64_t plot_keep_timed(struct plot_set *set);
int64_t plot_keep_twins(struct plot_set *set, int field);

/* Gives every taken case its series. `always` names fields that legends carry even when alike. */
struct plot_series plot_group(struct plot_set *set, uint32_t axes, uint32_t always);

/* plot_label.c: legend of series `at`; brief: of plans without a word only the letter, which the
 * data file spells out. */
void plot_legend(const struct plot_series *s, int at, uint32_t shown, bool brief,
                 char out[PLOT_LEGEND_BYTES]);
/* A row goes without its plan where the plan is the usual one or a nameless one without rival. */
bool plot_is_plan_plain(const struct plot_set *set, const struct plot_series *s,
                        const struct plot_case *c);
/* The plans that legends name, and the line of block 0, left open for a figure's own numbers. */
void plot_head(const struct plot_set *set, const struct plot_series *s, uint32_t axes, FILE *out,
               struct plot_note *note);

/* plot_roofline.c: the figure of that name. */
void plot_write_roofline(struct plot_set *set, FILE *out, struct plot_note *note);

#endif
