// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* verify.c   The supervisor side of verify at op level: one worker per variant, its lines into a
 * row. */
#include "check/verify.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/patchmark.h"
#include "base/worker.h"
#include "machine/device.h"
#include "machine/gpu.h"
#include "ops/op_info.h"
#include "timing/measure.h"

#define ARGUMENTS_MAX 80
#define FAILURES_STOP 12 /* a variant that fails this often has said enough */
#define NAME_BYTES 160

/* ---- which variants -------------------------------------------------------------------------- */

static bool matches(const char *format, const char *glob, const char *name)
{
    char pattern[2 * NAME_BYTES];
    char *star = strchr(format, '%');
    snprintf(pattern, sizeof pattern, "%.*s%.200s%s", (int)(star - format), format, glob, star + 1);
    return glob_match(pattern, name);
}

/* "attention/avx2_*", or a bare op ("attention") or variant ("c_*"). */
static bool selected(const char *glob, const struct registry_entry *e)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%s/%s", e->op, e->name);
    return !glob || matches("%", glob, name) ||
           (!strchr(glob, '/') && (matches("%/*", glob, name) || matches("*/%", glob, name)));
}

/* The names nearest to a glob that matches nothing: its own form, "op/variant", or a bare one. */
static enum status unknown_glob(const char *glob, const struct registry_entry *all, int count,
                                struct fault *fault)
{
    char(*full)[NAME_BYTES] = calloc((size_t)count + 1, sizeof *full);
    const char **names = calloc(3 * (size_t)count + 1, sizeof *names);
    char nearest[512] = "";
    int used = 0;
    for (int i = 0; full && names && i < count; i++) {
        snprintf(full[i], sizeof full[i], "%s/%s", all[i].op, all[i].name);
        const char *own[] = {full[i], all[i].op, all[i].name};
        for (int k = 0; k < 3; k++) {
            bool known = (k == 0) != (strchr(glob, '/') != NULL);
            for (int n = 0; n < used && !known; n++)
                known = strcmp(names[n], own[k]) == 0;
            if (!known)
                names[used++] = own[k];
        }
    }
    if (names)
        nearest_names(glob, names, used, nearest, sizeof nearest);
    free(names);
    free(full);
    return fault_set(fault, ST_BAD_INPUT,
                     "no variant is called '%s'%s 'list variants' shows them all", glob,
                     nearest[0] ? nearest : ";");
}

enum status verify_select(const char *glob, const struct registry_entry ***out, int *count,
                          struct fault *fault)
{
    int all_count = 0;
    const struct registry_entry *all = registry(&all_count);
    const struct registry_entry **picked = calloc((size_t)all_count + 1, sizeof *picked);
    if (!picked)
        return fault_set(fault, ST_NO_MEMORY, "out of memory while listing variants");
    *count = 0;
    for (int i = 0; i < all_count; i++) {
        if (selected(glob, &all[i]))
            picked[(*count)++] = &all[i];
    }
    if (*count == 0 && glob) {
        free(picked);
        return unknown_glob(glob, all, all_count, fault);
    }
    *out = picked;
    return ST_OK;
}

enum device_kind verify_device_of(const struct registry_entry *entry)
{
    if (entry->variant)
        return needs_device(entry->variant->needs);
    const char *suffix = strrchr(entry->origin, '.');
    return suffix && strcmp(suffix, ".cu") == 0 ? DEVICE_CUDA : DEVICE_CPU;
}

enum status verify_keep_device(const char *glob, enum device_kind kind,
                               const struct registry_entry **picked, int *count,
                               struct fault *fault)
{
    int kept = 0;
    for (int i = 0; i < *count; i++) {
        if (verify_device_of(picked[i]) == kind)
            picked[kept++] = picked[i];
    }
    *count = kept;
    if (kept > 0)
        return ST_OK;
    if (kind == DEVICE_CPU)
        return fault_set(fault, ST_BAD_INPUT,
                         "'%s' names variants for a CUDA device alone; add --device cuda:0",
                         glob ? glob : "*");
    return fault_set(fault, ST_BAD_INPUT, "'%s' names no variant for a CUDA device",
                     glob ? glob : "*");
}

/* ---- one worker ------------------------------------------------------------------------------ */

/* What the worker said last. */
struct talk {
    char where[SHAPE_LINE_BYTES + 64];
    char touch[128];
    bool done;
};

static const char *shape_of(const char *where)
{
    const char *last = strrchr(where, ' ');
    return last ? last + 1 : where;
}

/* Keeps the first failure of each shape: one line replays them all. */
static void add_failure(struct verify_row *row, enum status status, const char *where,
                        const char *text)
{
    if (row->failures++ == 0)
        row->status = status;
    const struct verify_failure *last = row->kept ? &row->failure[row->kept - 1] : NULL;
    if (row->kept == VERIFY_FAILURES_MAX ||
        (last && strcmp(shape_of(last->where), shape_of(where)) == 0))
        return;
    struct verify_failure *f = &row->failure[row->kept++];
    f->status = status;
    snprintf(f->where, sizeof f->where, "%s", where);
    snprintf(f->text, sizeof f->text, "%.599s", text);
}

static void take_case(const char *line, struct verify_row *row, struct talk *talk)
{
    if (strcmp(shape_of(talk->where), shape_of(line)) != 0)
        row->shapes++;
    snprintf(talk->where, sizeof talk->where, "%s", line);
}

static bool take_result(const char *line, struct verify_row *row, const struct talk *talk)
{
    int status = 0, text = 0;
    long long nonfinite = 0;
    double worst = 0, l2 = 0, max_abs = 0, ratio = 0;
    if (sscanf(line, "%d %lf %lf %lf %lf %lld %n", &status, &worst, &l2, &max_abs, &ratio,
               &nonfinite, &text) < 6 ||
        status < 0 || status >= ST_COUNT)
        return false;
    row->checks++;
    if (status == ST_REFUSED) {
        row->refused++;
        if (!row->reason[0])
            snprintf(row->reason, sizeof row->reason, "%s", line + text);
        return true;
    }
    row->worst = fmax(row->worst, worst);
    row->l2 = fmax(row->l2, l2);
    row->checked_ratio = fmin(row->checked_ratio, ratio);
    if (status != ST_OK)
        add_failure(row, (enum status)status, talk->where, line + text);
    return true;
}

/* What shows only when a library is opened is no failure: the variant cannot run here. */
static bool take_absence(const char *line, struct verify_row *row)
{
    char *sentence = NULL;
    long status = strtol(line, &sentence, 10);
    if (status != ST_UNAVAILABLE && status != ST_NOT_BUILT)
        return false;
    row->status = (enum status)status;
    snprintf(row->reason, sizeof row->reason, "%s", sentence + (*sentence == ' '));
    return true;
}

static bool take_line(const char *line, struct verify_row *row, struct talk *talk)
{
    if (strncmp(line, "case ", 5) == 0)
        take_case(line + 5, row, talk);
    else if (strncmp(line, "touch ", 6) == 0)
        snprintf(talk->touch, sizeof talk->touch, "%s", line + 6);
    else if (strncmp(line, "result ", 7) == 0)
        return take_result(line + 7, row, talk);
    else if (strncmp(line, "absent ", 7) == 0)
        return take_absence(line + 7, row);
    else if (strcmp(line, "alive") == 0)
        return true;
    else if (strcmp(line, "done") == 0)
        talk->done = true;
    else
        return false;
    return true;
}

/* The worker is gone or silent: one more failure, at the case it was in. */
static void lost(struct verify_row *row, const struct talk *talk, enum status status,
                 const char *why)
{
    char text[600];
    if (talk->touch[0])
        snprintf(text, sizeof text, "reached %s: %.400s", talk->touch, why);
    else
        snprintf(text, sizeof text, "%.590s", why);
    add_failure(row, status, talk->where, text);
}

static enum status listen(struct worker *worker, const struct verify_request *request,
                          struct verify_row *row, struct fault *fault)
{
    struct talk talk = {.where = ""};
    while (!talk.done && row->failures < FAILURES_STOP) {
        const char *line = NULL;
        struct fault why = {""};
        enum status status = worker_receive(worker, request->timeout_s, &line, &why);
        if (status == ST_INTERRUPTED)
            return fault_set(fault, status, "%s", why.text);
        if (status != ST_OK) {
            lost(row, &talk, status, why.text);
            return ST_OK;
        }
        if (!take_line(line, row, &talk)) {
            lost(row, &talk, ST_CRASHED, "the worker said something that verify does not know");
            return ST_OK;
        }
    }
    return ST_OK;
}

static void arguments_of(const struct verify_request *request, const struct verify_row *row,
                         const char *name, const char *seed, const char *threads,
                         const char *argv[ARGUMENTS_MAX])
{
    int n = 0;
    const char *const fixed[] = {"worker",    "verify", name,       "--seed",   seed,
                                 "--threads", threads,  "--device", row->device};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        argv[n++] = fixed[i];
    if (request->bare)
        argv[n++] = "--bare";
    if (request->shape) {
        argv[n++] = "--shape";
        argv[n++] = request->shape;
    }
    argv[n] = NULL;
}

/* Without --device a variant for a GPU runs on the first one. */
static void place(struct verify_row *row)
{
    struct gpu_info info;
    bool cuda = verify_device_of(row->entry) == DEVICE_CUDA;
    row->device = !cuda ? "cpu" : device_kind() == DEVICE_CUDA ? device_text() : "cuda:0";
    if (row->status == ST_OK && cuda)
        row->ran_on = gpu_describe(device_index(), &info, NULL) == ST_OK && info.emulated
                          ? "emulated"
                          : "cuda";
    else if (row->status == ST_OK)
        row->ran_on = "cpu";
}

enum status verify_variant(const struct verify_request *request, struct verify_row *row,
                           struct fault *fault)
{
    char name[NAME_BYTES], seed[32], threads[16];
    const char *argv[ARGUMENTS_MAX];
    struct fault why = {""};
    struct worker *worker = NULL;
    row->checked_ratio = 1;
    row->status = registry_usable(row->entry, &why);
    place(row);
    if (row->status != ST_OK) {
        snprintf(row->reason, sizeof row->reason, "%s", why.text);
        return ST_OK;
    }
    snprintf(name, sizeof name, "%s/%s", row->entry->op, row->entry->name);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)request->seed);
    snprintf(threads, sizeof threads, "%d", request->threads);
    arguments_of(request, row, name, seed, threads, argv);
    double start = clock_seconds();
    TRY(worker_spawn(argv, &worker, fault));
    enum status status = listen(worker, request, row, fault);
    worker_end(worker);
    row->seconds = clock_seconds() - start;
    if (row->status == ST_OK && row->refused == row->checks)
        row->status = ST_REFUSED;
    if (row->status == ST_UNAVAILABLE || row->status == ST_NOT_BUILT)
        row->ran_on = NULL;
    return status;
}
