// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* generate_report.h   What generate says of its clip, for people and as JSON. */
#ifndef PATCHMARK_GENERATE_REPORT_H
#define PATCHMARK_GENERATE_REPORT_H

#include "engine/case.h"

struct generate_report {
    const struct pipeline_case *c;
    const struct engine *engine; /* planned; executed unless dry_run */
    const int64_t *step_ns;      /* one per step */
    int64_t encode_ns;
    const char *output, *dump_folder; /* where it went; output is NULL where latents are the end */
    bool dry_run, show_ops;
};

void generate_report_plan(const struct generate_report *job); /* before it runs */
void generate_report_dry_run(const struct generate_report *job);
void generate_report_result(const struct generate_report *job);
void generate_report_json(const struct generate_report *job, FILE *out);

#endif
