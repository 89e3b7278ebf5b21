// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "sweep/sweep_kernels.h"

#include "base/patchmark.h"
#include "elem.h"

#include <stdlib.h>
#include <string.h>

static const char *value_of(const struct run_case *c, const char *flag)
{
    const size_t n = strlen(flag);
    for (int i = 0; c->kernel[i]; i++)
        if (!strncmp(c->kernel[i], flag, n) && c->kernel[i][n] == '=')
            return c->kernel[i] + n + 1;
    return "";
}

/* Sizes left out and written out are the same shape. */
static void canonical_shape(const char *line, char *out, size_t bytes)
{
    struct problem shape;
    struct fault unused = {{0}};
    if (shape_parse(line, &shape, &unused) == ST_OK)
        shape_print(&shape, out, bytes);
    else
        snprintf(out, bytes, "%s", line);
}

char *kernel_case_key(const struct run_case *c)
{
    char shape[512], *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    if (!out)
        return NULL;
    canonical_shape(value_of(c, "--shape"), shape, sizeof shape);
    fprintf(out, "kernels %s --shape=%s", c->kernel[0], shape);
    for (int i = 1; c->kernel[i]; i++)
        if (strncmp(c->kernel[i], "--shape=", 8))
            fprintf(out, " %s", c->kernel[i]);
    if (fclose(out)) {
        free(text);
        return NULL;
    }
    return text;
}

void kernel_case_name(const struct run_case *c, char *out, size_t bytes)
{
    char shape[512];
    canonical_shape(value_of(c, "--shape"), shape, sizeof shape);
    const char *device = value_of(c, "--device"), *threads = value_of(c, "--threads");
    const bool cpu = !strcmp(device, "cpu");
    snprintf(out, bytes, "%s at %s, %s%s", c->kernel[0], shape, cpu ? threads : device,
             !cpu                   ? ""
             : strcmp(threads, "1") ? " threads"
                                    : " thread");
}

static void repro(const struct run_case *c, char *out, size_t bytes)
{
    snprintf(out, bytes, "build/patchmark kernels");
    for (int i = 0; c->kernel[i]; i++)
        command_append(out, bytes, c->kernel[i]);
}

/* Members of a case that no variant here could even be asked for. */
static void absent_members(const struct run_case *c, enum status status, const char *why,
                           struct json *j)
{
    char line[2048], shape[512];
    const char *variant = strchr(c->kernel[0], '/');
    canonical_shape(value_of(c, "--shape"), shape, sizeof shape);
    repro(c, line, sizeof line);
    json_text(j, "case_kind", "kernel");
    json_text(j, "status", status_name(status));
    json_text(j, "status_reason", why);
    json_text(j, "claim", "measured");
    json_none(j, "ran_on");
    json_text(j, "repro", line);
    json_none(j, "recipe");
    json_none(j, "recipe_sha256");
    json_open_object(j, "impl");
    json_text(j, "variant", variant ? variant + 1 : c->kernel[0]);
    json_text(j, "target", "");
    json_none(j, "numerics");
    json_open_object(j, "knobs");
    json_end(j);
    json_text(j, "requested", variant ? variant + 1 : c->kernel[0]);
    json_text(j, "resolved", "");
    json_none(j, "plugin_hash");
    json_end(j);
    json_none(j, "correctness");
    json_none(j, "timing");
    json_none(j, "work");
    json_none(j, "derived");
    json_open_object(j, "memory");
    json_unavailable(j, "planned_bytes", "no variant was started");
    json_unavailable(j, "host_peak_bytes", "no variant was started");
    json_end(j);
    json_open_object(j, "counters");
    json_end(j);
}

static enum status tell_absent(const struct run_case *c, enum status status, const char *why,
                               struct record_file *record, struct json *document,
                               struct fault *fault)
{
    char name[640];
    struct json j;
    if (document) {
        json_open_object(document, NULL);
        absent_members(c, status, why, document);
        json_end(document);
    } else {
        kernel_case_name(c, name, sizeof name);
        printf("%s: %s, %s\n\n", name, status_name(status), why);
    }
    if (!record)
        return ST_OK;
    record_begin(record, &j, "case");
    absent_members(c, status, why, &j);
    return record_write(record, &j, fault);
}

enum status kernel_case_run(const struct run_case *c, struct record_file *record,
                            struct json *document, const char **state, struct fault *fault)
{
    struct kernels_tally tally;
    struct fault why = {{0}};
    double budget_s;
    enum status status = kernels_words_check(c->kernel, &budget_s, &why);
    *state = status_name(status);
    if (status == ST_OK) {
        status = kernels_words_run(c->kernel, record, document, &tally, fault);
        *state = status != ST_OK ? status_name(status)
                 : tally.failed  ? "failed"
                 : tally.timed   ? "passed"
                                 : "unavailable";
        return status;
    }
    fflush(stdout);
    return tell_absent(c, status, why.text, record, document, fault);
}
