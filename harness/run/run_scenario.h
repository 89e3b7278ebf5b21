// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_scenario.h   How clips are asked for. In every scenario each clip has a prompt of its own
 * (prompt_variant.h) and all share one latent, given or drawn once from the seed.
 *
 *   single-stream  one clip after the other: what one caller waits for
 *   offline        clips per hour of all replicas (run_replicas.h): all work is there from the begin
 *   repeat-audit   blocks of one prompt said again take turns with blocks of new ones: where the
 *                  first are faster, something is kept from one clip to the next
 *
 * The scenarios follow the shape of a public benchmark. They are not that benchmark. */
#ifndef PATCHMARK_RUN_SCENARIO_H
#define PATCHMARK_RUN_SCENARIO_H

#include "run/run_case.h"

#define SCENARIO_NOTE                                                                              \
    "in the shape of a public benchmark, and not that benchmark: not comparable with its results"
#define AUDIT_LEAST_CLIPS 32 /* timed ones, first ones of blocks included */
#define AUDIT_BOUND 0.9      /* repeated over new prompts, medians; below: failed */
#define AUDIT_LEVEL 0.05     /* and so rarely by chance (Mann-Whitney U) */

struct audit {
    int64_t count; /* of each kind */
    double repeated_ns[SAMPLES_MAX], fresh_ns[SAMPLES_MAX];
    double repeated_median_ns, fresh_median_ns, ratio, p_value; /* over blocks */
};

enum scenario { SCENARIO_NONE = 0, SCENARIO_SINGLE_STREAM, SCENARIO_OFFLINE, SCENARIO_AUDIT };
/* What does not go together, in one sentence: a model without prompts, replicas of one stream. */
enum status scenario_check(const struct pipeline_case *c, struct fault *fault);

/* In place of run_case(), for all scenarios but offline; a sampled case of any: refused but for
 * single-stream. */
void run_scenario(struct outcome *o, const struct run_limits *limits);

/* Of both kinds of clips: ratio, and what it means for the outcome. */
void audit_judge(struct outcome *o);

/* Below a table with scenarios: the best of the offline rows that were counted. */
void scenario_count(const struct outcome *o);
void scenario_footer(FILE *out);
void scenario_json(const struct outcome *o, struct json *j);
void scenario_row(const struct outcome *o, FILE *out);

#endif
