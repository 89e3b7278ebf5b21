// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_verify.c   patchmark verify: the options, the table, the document, the record. */
#include <stdlib.h>
#include <string.h>

#include "base/patchmark.h"
#include "check/verify.h"
#include "check/verify_pipeline.h"
#include "check/verify_record.h"
#include "cmd/commands.h"
#include "machine/device.h"
#include "machine/gpu.h"
#include "machine/host.h"
#include "ops/op_info.h"
#include "records/record.h"

struct request {
    struct verify_request op;
    const char *level, *results;
    bool json;
    const char *device; /* NULL: every variant where it runs */
    int64_t threads;
    const struct registry_entry **picked;
    int count;
    char shape[SHAPE_LINE_BYTES]; /* the canonical form of op.shape */
    const char *plan_device[3];   /* where whole plans run; NULL-terminated */
    struct record_file *record;   /* NULL: none is kept */
};

struct counts {
    int passed, failed, refused, absent, emulated;
};

#define OPTIONS(r)                                                                                 \
    {                                                                                              \
        {"--shape", "LINE", OPTION_TEXT, &(r)->op.shape,                                           \
         "this shape alone, as linear:S=33,K=100,O=7"},                                            \
            {"--seed", "N", OPTION_SEED, &(r)->op.seed, "seed of the data (default 1)"},           \
            {"--threads", "N", OPTION_COUNT, &(r)->threads,                                        \
             "threads of a variant (default: all cores)"},                                         \
            {"--level", "L", OPTION_TEXT, &(r)->level,                                             \
             "op, pipeline or all (default all; op with --shape)"},                                \
            {"--device", "D", OPTION_TEXT, &(r)->device,                                           \
             "cpu or cuda:N alone (default: both, cuda:0 where there is one)"},                    \
            {"--bare", NULL, OPTION_FLAG, &(r)->op.bare,                                           \
             "no guard bands in device memory, for compute-sanitizer"},                            \
            PLUGIN_OPTION,                                                                         \
            {"--timeout", "S", OPTION_REAL, &(r)->op.timeout_s,                                    \
             "seconds a variant may stay silent (default 20)"},                                    \
            {"--results", "DIR|none", OPTION_TEXT, &(r)->results,                                  \
             "where the record goes, a case for each variant and plan (none)"},                    \
            FORMAT_OPTION(&(r)->json), {0},                                                        \
    }

void help_verify(FILE *out)
{
    struct request r = {.results = NULL};
    const struct option options[] = OPTIONS(&r);
    options_help(options, out);
}

/* ---- request --------------------------------------------------------------------------------- */

static enum status one_of(const char *option, const char *value, const char *const *allowed,
                          struct fault *fault)
{
    char list[160] = "";
    for (int i = 0; allowed[i]; i++) {
        if (strcmp(value, allowed[i]) == 0)
            return ST_OK;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", allowed[i]);
    }
    return fault_set(fault, ST_BAD_INPUT, "%s cannot be '%s'; it is one of: %s", option, value,
                     list);
}

/* A shape picks the variants of its own op. */
static enum status apply_shape(struct request *r, struct fault *fault)
{
    struct problem shape;
    if (!r->op.shape)
        return ST_OK;
    TRY(shape_parse(r->op.shape, &shape, fault));
    shape_print(&shape, r->shape, sizeof r->shape);
    r->op.shape = r->shape;
    int kept = 0;
    for (int i = 0; i < r->count; i++) {
        if (strcmp(r->picked[i]->op, op_table[shape.op]->name) == 0)
            r->picked[kept++] = r->picked[i];
    }
    r->count = kept;
    if (kept == 0)
        return fault_set(fault, ST_BAD_INPUT,
                         "the shape is one of %s, but '%s' names no variant of it",
                         op_table[shape.op]->name, r->op.glob ? r->op.glob : "*");
    return ST_OK;
}

/* Plans run on every device that the picked variants run on and that is here. */
static void find_plan_devices(struct request *r)
{
    bool wanted[2] = {false, false};
    int used = 0, gpus = 0;
    for (int i = 0; i < r->count; i++)
        wanted[verify_device_of(r->picked[i])] = true;
    if (wanted[DEVICE_CPU])
        r->plan_device[used++] = "cpu";
    if (wanted[DEVICE_CUDA] && gpu_count(&gpus, NULL) == ST_OK)
        r->plan_device[used++] = r->device ? device_text() : "cuda:0";
}

static enum status parse(int argc, char **argv, struct request *r, struct fault *fault)
{
    static const char *const levels[] = {"op", "pipeline", "all", NULL};
    const struct option options[] = OPTIONS(r);
    int words = 1;
    *r = (struct request){.op = {.seed = 1, .timeout_s = 20}, .results = "none"};
    r->threads = host_cores();
    TRY(options_parse(options, argc, argv, &r->op.glob, &words, fault));
    if (!r->level)
        r->level = r->op.shape ? "op" : "all";
    TRY(one_of("--level", r->level, levels, fault));
    if (r->threads < 1 || r->threads > 4096)
        return fault_set(fault, ST_BAD_INPUT, "--threads wants 1 to 4096, not %lld",
                         (long long)r->threads);
    if (r->op.timeout_s <= 0)
        return fault_set(fault, ST_BAD_INPUT, "--timeout wants seconds above 0");
    r->op.threads = (int)r->threads;
    if (r->device)
        TRY(device_choose(r->device, fault));
    TRY(verify_select(r->op.glob, &r->picked, &r->count, fault));
    if (r->device)
        TRY(verify_keep_device(r->op.glob, device_kind(), r->picked, &r->count, fault));
    TRY(apply_shape(r, fault));
    if (strcmp(r->level, "op") != 0)
        find_plan_devices(r);
    return ST_OK;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void replay_line(const struct request *r, const struct verify_row *row,
                        const struct verify_failure *f, char *out, size_t bytes)
{
    const char *shape = strrchr(f->where, ' ');
    verify_command(self_path(), &r->op, row, shape ? shape + 1 : r->op.shape, out, bytes);
}

static int name_width(const struct request *r)
{
    int width = 8;
    for (int i = 0; i < r->count; i++) {
        int length = (int)(strlen(r->picked[i]->op) + strlen(r->picked[i]->name) + 1);
        width = length > width ? length : width;
    }
    return width;
}

static void print_row(const struct request *r, const struct verify_row *row, int width)
{
    char name[160];
    snprintf(name, sizeof name, "%s/%s", row->entry->op, row->entry->name);
    printf("%-*s", width, name);
    if (row->checks > row->refused)
        printf("  %6d  %6d  %9.3g  %9.2e  ", row->shapes, row->checks - row->refused, row->worst,
               row->l2);
    else
        printf("  %6s  %6s  %9s  %9s  ", "-", "-", "-", "-");
    printf("%s", status_name(row->status));
    if (row->ran_on && strcmp(row->ran_on, "emulated") == 0)
        printf(", emulated");
    if (row->status == ST_OK && row->refused > 0)
        printf(" (%d refused: %s)", row->refused, row->reason);
    else if (row->reason[0] && row->failures == 0)
        printf(" (%s)", row->reason);
    printf("\n");
    for (int i = 0; i < row->kept; i++) {
        char replay[VERIFY_COMMAND_BYTES];
        replay_line(r, row, &row->failure[i], replay, sizeof replay);
        printf("    %s: %s\n      in %s\n      replay: %s\n", status_name(row->failure[i].status),
               row->failure[i].text, row->failure[i].where, replay);
    }
    if (row->failures > row->kept)
        printf("    %d checks failed in all\n", row->failures);
    fflush(stdout);
}

/* ---- variants that cannot run here ----------------------------------------------------------- */

static bool is_absent(enum status status)
{
    return status == ST_UNAVAILABLE || status == ST_NOT_BUILT;
}

/* They come after the table, those of one device with one reason in one line: a machine without a
 * GPU lacks many of them, and all for the same reason. */
struct absent {
    struct verify_row *row;
    int count;
};

static bool same_reason(const struct verify_row *a, const struct verify_row *b)
{
    return verify_device_of(a->entry) == verify_device_of(b->entry) && a->status == b->status &&
           strcmp(a->reason, b->reason) == 0;
}

/* How many rows from `first` on share its reason; 0 where an earlier line has told it. *target:
 * what they have in common, their target or their kind of device. */
static int group_of(const struct absent *a, int first, const char **target)
{
    const struct verify_row *one = &a->row[first];
    int count = 0;
    *target = one->entry->target;
    for (int i = 0; i < a->count; i++) {
        if (!same_reason(&a->row[i], one))
            continue;
        if (i < first)
            return 0;
        count++;
        if (strcmp(a->row[i].entry->target, *target) != 0)
            *target = verify_device_of(one->entry) == DEVICE_CUDA ? "cuda" : "cpu";
    }
    return count;
}

static void print_absent(const struct request *r, const struct absent *a, int width)
{
    for (int i = 0; i < a->count; i++) {
        const struct verify_row *row = &a->row[i];
        const char *target;
        int count = group_of(a, i, &target);
        if (count == 1)
            print_row(r, row, width);
        else if (count > 1)
            printf("%s: %d variants %s: %s\n", target, count, status_name(row->status),
                   row->reason);
    }
}

/* ---- json ------------------------------------------------------------------------------------ */

static void json_failure(struct json *j, const struct request *r, const struct verify_row *row,
                         const struct verify_failure *f)
{
    char replay[VERIFY_COMMAND_BYTES];
    replay_line(r, row, f, replay, sizeof replay);
    json_open_object(j, NULL);
    json_text(j, "status", status_name(f->status));
    json_text(j, "where", f->where);
    json_text(j, "reason", f->text);
    json_text(j, "replay", replay);
    json_end(j);
}

static void json_row(struct json *j, const struct request *r, const struct verify_row *row)
{
    bool ran = row->checks > row->refused;
    json_open_object(j, NULL);
    json_text(j, "op", row->entry->op);
    json_text(j, "variant", row->entry->name);
    json_text(j, "device", row->device);
    json_text(j, "ran_on", row->ran_on);
    json_text(j, "status", status_name(row->status));
    json_text(j, "status_reason",
              row->failures    ? row->failure[0].text
              : row->reason[0] ? row->reason
                               : NULL);
    json_int(j, "shapes", row->shapes);
    json_int(j, "checks", row->checks);
    json_int(j, "refused", row->refused);
    const struct {
        const char *name;
        double value;
    } figures[] = {{"worst", row->worst},
                   {"l2_rel", row->l2},
                   {"checked_ratio", row->checked_ratio},
                   {"seconds", row->seconds}};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        if (ran)
            json_number(j, figures[i].name, figures[i].value);
        else
            json_none(j, figures[i].name);
    }
    json_int(j, "failed_checks", row->failures);
    json_open_array(j, "failures");
    for (int i = 0; i < row->kept; i++)
        json_failure(j, r, row, &row->failure[i]);
    json_end(j);
    json_end(j);
}

/* ---- the record ------------------------------------------------------------------------------ */

/* A machine whose GPU is checked goes by the GPU's name, though every variant has its own place. */
static enum status name_machine(const struct request *r, struct fault *fault)
{
    bool wanted = false;
    int gpus = 0;
    for (int i = 0; i < r->count; i++)
        wanted = wanted || verify_device_of(r->picked[i]) == DEVICE_CUDA;
    if (r->device || !wanted || gpu_count(&gpus, NULL) != ST_OK)
        return ST_OK;
    TRY(device_choose("cuda:0", fault));
    return device_choose("cpu", fault);
}

/* No plan at all is nothing to keep. */
static enum status open_record(struct request *r, struct fault *fault)
{
    if (strcmp(r->results, "none") == 0 ||
        (strcmp(r->level, "pipeline") == 0 && !r->plan_device[0]))
        return ST_OK;
    TRY(name_machine(r, fault));
    return record_open(r->results, self_command_line(), &r->record, fault);
}

static enum status keep(const struct request *r, const struct verify_row *row, struct fault *fault)
{
    struct json j;
    if (!r->record)
        return ST_OK;
    record_begin(r->record, &j, "case");
    verify_case(&r->op, row, &j);
    return record_write(r->record, &j, fault);
}

/* What is known is kept, whatever the run came to. */
static enum status close_record(const struct request *r, bool text, struct fault *fault)
{
    struct json j;
    const char *path = NULL;
    enum status status = r->record ? record_close(r->record, &path, fault) : ST_OK;
    json_init(&j, false);
    json_text(&j, NULL, path);
    if (!text)
        printf(",\n\"record\": %s", j.text ? j.text : "null");
    else if (path)
        printf("record: %s\n", path);
    json_free(&j);
    return status;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void count(struct counts *c, const struct verify_row *row)
{
    if (row->status == ST_OK)
        c->passed++;
    else if (row->status == ST_REFUSED)
        c->refused++;
    else if (is_absent(row->status))
        c->absent++;
    else
        c->failed++;
    c->emulated += row->ran_on && strcmp(row->ran_on, "emulated") == 0;
}

/* j: NULL prints text as it goes; what cannot run here is kept for the end. */
static enum status verify_each(const struct request *r, struct json *j, int width,
                               struct counts *counts, struct absent *absent, struct fault *fault)
{
    for (int i = 0; i < r->count; i++) {
        struct verify_row row = {.entry = r->picked[i]};
        progress_line("variant %d of %d: %s/%s", i + 1, r->count, row.entry->op, row.entry->name);
        TRY(verify_variant(&r->op, &row, fault));
        progress_line(NULL);
        count(counts, &row);
        TRY(keep(r, &row, fault));
        if (j)
            json_row(j, r, &row);
        else if (is_absent(row.status))
            absent->row[absent->count++] = row;
        else
            print_row(r, &row, width);
    }
    return ST_OK;
}

static enum status verify_ops(const struct request *r, struct json *j, struct counts *counts,
                              struct fault *fault)
{
    int width = name_width(r);
    struct absent absent = {calloc((size_t)r->count + 1, sizeof *absent.row), 0};
    if (!absent.row)
        return fault_set(fault, ST_NO_MEMORY, "out of memory while verifying variants");
    if (!j)
        printf("%-*s  %6s  %6s  %9s  %9s  %s\n", width, "variant", "shapes", "checks", "worst/tol",
               "rel. L2", "status");
    enum status status = verify_each(r, j, width, counts, &absent, fault);
    if (status == ST_OK)
        print_absent(r, &absent, width);
    free(absent.row);
    return status;
}

static int code_of(const struct counts *c)
{
    if (c->failed > 0)
        return EXIT_CHECK;
    return c->passed > 0 ? EXIT_OK : EXIT_NOTHING;
}

static int ops_text(const struct request *r, struct fault *fault)
{
    struct counts c = {0};
    enum status status = verify_ops(r, NULL, &c, fault);
    if (status != ST_OK)
        return exit_code_of(status);
    printf("%d variants: %d passed, %d failed, %d refused, %d cannot run here\n", r->count,
           c.passed, c.failed, c.refused, c.absent);
    if (c.emulated > 0)
        printf(
            "%d of them ran emulated: proof that the arithmetic is right, not that a GPU runs it\n",
            c.emulated);
    return code_of(&c);
}

static int ops_json(const struct request *r, struct fault *fault)
{
    struct counts c = {0};
    struct json j;
    json_init(&j, true);
    json_open_object(&j, NULL);
    json_open_array(&j, "variants");
    enum status status = verify_ops(r, &j, &c, fault);
    json_end(&j);
    json_int(&j, "passed", c.passed);
    json_int(&j, "failed", c.failed);
    json_int(&j, "refused", c.refused);
    json_int(&j, "cannot_run_here", c.absent);
    json_end(&j);
    if (status == ST_OK && j.failed)
        status = fault_set(fault, ST_NO_MEMORY, "out of memory while writing the document");
    fputs(status == ST_OK ? j.text : "null", stdout);
    json_free(&j);
    return status == ST_OK ? code_of(&c) : exit_code_of(status);
}

/* A failure outranks bad news of lesser weight, and "nothing could run" counts only where it is
 * all. */
static int worse(int a, int b)
{
    if (a == EXIT_NOTHING || b == EXIT_NOTHING)
        return a == EXIT_NOTHING ? b : a;
    return a == EXIT_OK ? b : a;
}

static int pipeline_level(const struct request *r, bool text, struct fault *fault)
{
    const struct parity_request request = {r->op.glob, r->plan_device, r->op.threads, text,
                                           r->record};
    return verify_pipeline(&request, stdout, fault);
}

static int run_levels(const struct request *r, struct fault *fault)
{
    bool text = !r->json;
    bool op = strcmp(r->level, "pipeline") != 0, pipeline = strcmp(r->level, "op") != 0;
    int code = EXIT_NOTHING;
    if (!text)
        printf("{\"op\": ");
    if (op)
        code = text ? ops_text(r, fault) : ops_json(r, fault);
    else if (!text)
        printf("null");
    if (!text)
        printf(",\n\"pipeline\": ");
    if (pipeline && code != EXIT_INPUT && !interrupted_by)
        code = worse(code, pipeline_level(r, text, fault));
    else if (!text)
        printf("null");
    enum status status = close_record(r, text, fault);
    if (!text)
        printf("}\n");
    return status == ST_OK ? code : exit_code_of(status);
}

int cmd_verify(int argc, char **argv, struct fault *fault)
{
    struct request r;
    enum status status = parse(argc, argv, &r, fault);
    if (status == ST_OK)
        status = open_record(&r, fault);
    int code = status == ST_OK ? run_levels(&r, fault) : exit_code_of(status);
    record_free(r.record);
    free(r.picked);
    return code;
}
