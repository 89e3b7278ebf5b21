// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* export_columns.c   The columns of a table, and what stands in a cell. */
#include "records/export.h"

#include "variant/registry.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- fixed columns --------------------------------------------------------------------------- */

/* Plans say so themselves; of a variant its numerics class decides. One that this program does not
 * know is ranked apart. */
static char *class_of(const struct result *r)
{
    const char *plan = result_text(r, "recipe.plan_class");
    const char *numerics = result_text(r, "impl.numerics");
    if (*plan || !*numerics)
        return strdup(plan);
    bool exact = false;
    for (int i = 0; i < NUM_COUNT; i++)
        exact = exact || (!strcmp(numerics, numerics_name(i)) && numerics_exact(i));
    return strdup(exact ? "exact" : "approximate");
}

#define TEXT(name, paths, meaning)                                                                 \
    {                                                                                              \
        name, EXPORT_TEXT, paths, meaning, NULL                                                    \
    }
#define INT(name, paths, meaning)                                                                  \
    {                                                                                              \
        name, EXPORT_INT, paths, meaning, NULL                                                     \
    }
#define REAL(name, paths, meaning)                                                                 \
    {                                                                                              \
        name, EXPORT_REAL, paths, meaning, NULL                                                    \
    }

static const struct export_column case_columns[] = {
    TEXT("machine", "run.machine", "name of the machine's folder"),
    TEXT("run_id", "run_id", "of the run, as in the table of runs"),
    INT("case", "case", "1, 2, ... within the run"),
    TEXT("created_utc", "created_utc", "when the case was begun"),
    TEXT("patchmark_commit", "run.tool.commit", "commit the program was built from"),
    TEXT("schema_version", "schema.version", "of the record"),
    TEXT("case_kind", "case_kind", "pipeline, kernel, ceiling, verify, parity"),
    TEXT("status", "status", "only passed, unstable and throttled may have a time"),
    TEXT("status_reason", "status_reason", "one sentence; empty where passed"),
    TEXT("claim", "claim", "measured, sampled, predicted, external or published: never mixed"),
    {"class", EXPORT_TEXT, NULL, "exact or approximate: never ranked together", class_of},
    TEXT("ran_on", "ran_on", "cpu, cuda, or emulated, which is never timed"),
    TEXT("op", "recipe.op", "kernels, verify"),
    TEXT("variant", "impl.variant", "kernels, verify"),
    TEXT("shape", "recipe.shape", "kernels: a line as --shape takes it"),
    TEXT("ceiling", "recipe.ceiling", "ceilings: which one"),
    TEXT("ceiling_unit", "recipe.unit", "ceilings: what computes, avx512, ..."),
    TEXT("ceiling_level", "recipe.level", "ceilings: of memory, L1 to DRAM"),
    TEXT("model", "recipe.model", "pipelines: the preset"),
    INT("width", "recipe.width", "pixels"),
    INT("height", "recipe.height", "pixels"),
    INT("frames", "recipe.frames", "of the clip"),
    REAL("fps", "recipe.fps", "frames per second of the clip"),
    INT("steps", "recipe.steps", "denoising steps"),
    TEXT("type", "recipe.type", "element type"),
    TEXT("numerics", "impl.numerics", "kernels: class that selects the tolerance"),
    TEXT("requested", "impl.requested", "variant or words of --kernels that were asked for"),
    TEXT("plan", "recipe.plan|impl.plan", "pipelines: op=variant, by blanks"),
    TEXT("plan_hash", "recipe.plan_hash", "pipelines: of the plan, shape by shape"),
    TEXT("knobs", "impl.knobs", "kernels: as JSON"),
    REAL("planted_slowdown", "recipe.planted_slowdown", "kernels: slower on purpose by this share"),
    TEXT("program_sha256", "impl.program_sha256", "kernels: of another build that ran it"),
    INT("threads", "recipe.threads", ""),
    TEXT("device", "recipe.device", "cpu, cuda:N"),
    TEXT("cache_state", "recipe.cache_state", ""),
    TEXT("residency", "recipe.residency", "pipelines: how long weights stay in memory"),
    INT("batch", "recipe.batch", "pipelines: clips that a forward takes together; empty: one"),
    INT("replicas", "recipe.replicas", "pipelines: workers side by side; empty: one"),
    TEXT("engine", "recipe.engine", "pipelines of claim external: program that ran it"),
    TEXT("scenario", "recipe.scenario", "pipelines: single-stream, offline, repeat-audit"),
    TEXT("suite", "sweep.suite", "of the sweep"),
    INT("seed", "recipe.seed", ""),
    TEXT("recipe_sha256", "recipe_sha256", "cases may be compared only where it agrees"),
    INT("n", "timing.n", "samples"),
    REAL("median_ns", "timing.median",
         "of a clip (a batch: of all its clips), of one run of a kernel"),
    REAL("ns_per_clip", "derived.ns_per_clip", "pipelines with a batch: median over its clips"),
    REAL("lo_ns", "timing.lo", "interval of the median, low end"),
    REAL("hi_ns", "timing.hi", "interval of the median, high end"),
    REAL("level", "timing.level", "coverage of that interval; under 0.95 where n is under 6"),
    REAL("min_ns", "timing.min", ""),
    REAL("max_ns", "timing.max", ""),
    REAL("mean_ns", "timing.mean", ""),
    REAL("cv", "timing.cv", "standard deviation over mean"),
    TEXT("stop_reason", "timing.stop_reason", "why no more samples were taken"),
    TEXT("schedule", "timing.schedule", "interleaved or sequential"),
    TEXT("load", "timing.load", "pipelines: burst, or sustained for 600 s"),
    INT("samples_n", "timing.samples_n", "timed samples behind the n values, which may be medians"),
    INT("processes_n", "timing.processes_n", "processes that took them"),
    TEXT("samples_file", "timing.raw.file", "binary file of raw samples, beside the record"),
    TEXT("backend", "timing.backend", "loop, gbench, or events: the device's clock"),
    REAL("text_ns", "stages.text_ns", "pipelines: median of the stage"),
    REAL("encode_ns", "stages.encode_ns", "likewise"),
    REAL("denoise_ns", "stages.denoise_ns", "likewise"),
    REAL("decode_ns", "stages.decode_ns", "likewise"),
    REAL("first_run_ns", "stages.first_run_ns", "pipelines: clip time of the first run, no sample"),
    REAL("frames_per_s", "derived.frames_per_s", "pipelines: frames written over the clip time"),
    REAL("video_s_per_h", "derived.video_s_per_h", "pipelines: seconds of video per hour"),
    REAL("tokens_per_s", "derived.tokens_per_s", "pipelines: over the denoise time"),
    REAL("clips_per_h", "replicas.clips_per_h|scenario.clips_per_h", "of all replicas"),
    REAL("settled_clips_per_h", "sustained.settled_clips_per_h", "after the first minutes"),
    REAL("p50_ns", "replicas.p50_ns|scenario.p50_ns", "clip times: half are under it"),
    REAL("p90_ns", "replicas.p90_ns|scenario.p90_ns", "clip times: nine of ten are under it"),
    REAL("flops", "work.flops|work.flops_effective", "of the direct algorithm"),
    REAL("bytes", "work.bytes", "kernels, ceilings: moved by one run"),
    REAL("flops_per_s", "derived.flops_per_s|derived.flops_per_s_effective", "flops over median"),
    REAL("flops_per_s_actual", "derived.flops_per_s_actual", "kernels: what really was computed"),
    REAL("bytes_per_s", "derived.bytes_per_s", "kernels, ceilings"),
    REAL("peak_fraction", "derived.peak_fraction", "of the multiply-add peak of the same run"),
    REAL("flops_per_s_best", "derived.flops_per_s_best", "ceilings: of the fastest sample"),
    REAL("bytes_per_s_best", "derived.bytes_per_s_best", "ceilings: of the fastest sample"),
    TEXT("baseline", "derived.baseline", "kernels: the variant that ratios are against"),
    REAL("ratio", "derived.ratio", "kernels: time of the baseline over this; above 1 is faster"),
    REAL("ratio_lo", "derived.ratio_lo", "its 0.95 interval"),
    REAL("ratio_hi", "derived.ratio_hi", "its 0.95 interval"),
    REAL("worst", "correctness.worst", "largest error over its tolerance; at most 1 passes"),
    REAL("l2_rel", "correctness.l2_rel", "relative L2 error"),
    REAL("max_abs", "correctness.max_abs", "largest absolute error"),
    REAL("checked_ratio", "correctness.checked_ratio", "checked values over all"),
    REAL("psnr_db", "correctness.psnr_db", "parity: of the frames"),
    INT("planned_bytes", "memory.planned_bytes", "memory laid out before the first allocation"),
    INT("host_peak_bytes", "memory.host_peak_bytes", "largest resident size of the worker"),
    REAL("j_per_clip", "energy.j_per_clip", "joules of a clip, by the sensor and scope below"),
    REAL("j_per_frame", "energy.j_per_frame", "likewise of a frame"),
    REAL("j_per_run", "energy.j_per_run", "likewise of one run of a kernel"),
    REAL("edp_j_s", "energy.edp_j_s", "energy delay product"),
    TEXT("energy_sensor", "energy.sensor", "power-file, nvml, powercap"),
    TEXT("energy_scope", "energy.scope", "system, board, package, ...: never one for another"),
    REAL("energy_window_ns", "energy.window_ns", "time measured in"),
    TEXT("repro", "repro", "command line that repeats the case"),
};

static const struct export_column run_columns[] = {
    TEXT("machine", "run.machine", "name of the machine's folder"),
    TEXT("run_id", "run_id", ""),
    TEXT("created_utc", "created_utc", "when the run was begun"),
    TEXT("schema_version", "schema.version", "of the record"),
    TEXT("patchmark_version", "tool.version", ""),
    TEXT("patchmark_commit", "tool.commit", "commit the program was built from"),
    TEXT("compiler", "tool.compiler", ""),
    TEXT("flags", "tool.flags", "of ordinary files"),
    TEXT("without", "tool.without", "features absent at build time"),
    TEXT("command", "command", "the command line"),
    TEXT("cpu_model", "host.cpu.model", "here and below: of this machine when the run began"),
    INT("cpu_sockets", "host.cpu.sockets", ""),
    INT("cpu_cores", "host.cpu.cores", ""),
    INT("cpu_threads", "host.cpu.threads", ""),
    INT("usable_threads", "host.cpu.usable_threads", "affinity, and a cgroup's quota"),
    TEXT("cpu_features", "host.cpu.features", "as JSON"),
    INT("memory_bytes", "host.memory.total_bytes", ""),
    INT("numa_nodes", "host.memory.numa_nodes", ""),
    TEXT("governor", "host.governor", ""),
    TEXT("smt", "host.smt", ""),
    TEXT("virtualised", "host.virtualised", "true or false"),
    TEXT("hypervisor", "host.hypervisor", ""),
    TEXT("kernel", "host.kernel", ""),
    TEXT("distribution", "host.distribution", ""),
    TEXT("libc", "host.libc", ""),
    TEXT("openblas", "host.libraries.openblas", ""),
    TEXT("gpus", "host.gpus", "as JSON"),
    TEXT("host", "host", "everything known of it, as JSON"),
};

const struct export_table export_cases = {case_columns, sizeof case_columns / sizeof *case_columns,
                                          NULL};
const struct export_table export_runs = {run_columns, sizeof run_columns / sizeof *run_columns,
                                         NULL};

#define COLUMNS_MAX 1000 /* half of what SQLite takes */

/* ---- columns found in records ---------------------------------------------------------------- */

struct finder {
    struct export_table *table;
    int room;
    bool failed, crowded;
    const struct result *r;
};

/* "derived.ratio_lo" -> "derived_ratio_lo", with a number behind it where it is taken. */
static char *name_of(const struct export_table *table, const char *path)
{
    char *name = strdup(strcmp(path, "run.machine") ? path : "machine"), *tried = NULL;
    if (!name)
        return NULL;
    for (char *c = name; *c; c++)
        *c = isalnum((unsigned char)*c) ? (char)tolower((unsigned char)*c) : '_';
    for (int n = 2; export_column_find(table, tried ? tried : name); n++) {
        free(tried);
        if (asprintf(&tried, "%s_%d", name, n) < 0) {
            tried = NULL;
            break;
        }
    }
    if (tried) {
        free(name);
        name = tried;
    }
    return name;
}

static enum export_type type_at(const struct result *r, const char *path)
{
    enum result_type type = result_type(r, path);
    return type == RESULT_INT ? EXPORT_INT : type == RESULT_REAL ? EXPORT_REAL : EXPORT_TEXT;
}

/* The type that holds both. */
static enum export_type wider(enum export_type a, enum export_type b)
{
    return a == b ? a : a == EXPORT_TEXT || b == EXPORT_TEXT ? EXPORT_TEXT : EXPORT_REAL;
}

static struct export_column *column_at(struct export_table *table, const char *path)
{
    for (int i = 0; i < table->count; i++)
        if (!strcmp(table->found[i].paths, path))
            return &table->found[i];
    return NULL;
}

static bool make_room(struct finder *f)
{
    if (f->table->count < f->room)
        return true;
    int room = f->room ? 2 * f->room : 32;
    struct export_column *more = realloc(f->table->found, (size_t)room * sizeof *more);
    if (!more)
        return false;
    f->table->columns = f->table->found = more;
    f->room = room;
    return true;
}

static void meet(const char *path, void *user)
{
    struct finder *f = user;
    struct export_table *table = f->table;
    struct export_column *known = column_at(table, path);
    bool absent = result_type(f->r, path) == RESULT_ABSENT;
    if (known && !absent) {
        /* What was null wherever it stood so far has no meaning yet, and takes the first type. */
        known->type =
            known->meaning ? wider(known->type, type_at(f->r, path)) : type_at(f->r, path);
        known->meaning = "";
    }
    f->crowded = f->crowded || (!known && table->count == COLUMNS_MAX);
    if (known || f->failed || f->crowded)
        return;
    f->failed = !make_room(f);
    if (f->failed)
        return;
    char *name = name_of(table, path), *copy = strdup(path);
    table->found[table->count++] =
        (struct export_column){name, type_at(f->r, path), copy, absent ? NULL : "", NULL};
    f->failed = !name || !copy;
}

enum status export_table_of(const struct export_set *set, const char *kind,
                            struct export_table *out, struct fault *fault)
{
    *out = !strcmp(kind, "case") ? export_cases : export_runs;
    if (!strcmp(kind, "case") || !strcmp(kind, "run"))
        return ST_OK;
    *out = (struct export_table){0};
    struct finder f = {.table = out};
    for (int64_t i = 0; i < set->record_count && !f.failed; i++)
        if (!strcmp(set->records[i]->kind, kind)) {
            f.r = set->records[i];
            if (!out->count)
                meet("run.machine", &f);
            result_leaves(f.r, meet, &f);
        }
    if (!f.failed && !f.crowded)
        return ST_OK;
    export_table_free(out);
    if (f.crowded)
        return result_refuse(f.r, fault, "records of kind %.40s have over %d different members",
                             kind, COLUMNS_MAX);
    return fault_set(fault, ST_NO_MEMORY, "no memory for the columns of a table");
}

void export_table_free(struct export_table *table)
{
    for (int i = 0; table->found && i < table->count; i++) {
        free((char *)table->found[i].name);
        free((char *)table->found[i].paths);
    }
    free(table->found);
    *table = (struct export_table){0};
}

const struct export_column *export_column_find(const struct export_table *table, const char *name)
{
    for (int i = 0; i < table->count; i++)
        if (table->columns[i].name && !strcasecmp(table->columns[i].name, name))
            return &table->columns[i];
    return NULL;
}

/* ---- cells ----------------------------------------------------------------------------------- */

/* The path that is there, copied to `out` where it is one of several; "" where none is. */
static const char *path_of(const struct export_column *column, const struct result *r, char *out,
                           size_t bytes)
{
    if (result_type(r, column->paths) != RESULT_ABSENT)
        return column->paths;
    for (const char *at = column->paths; *at; at += strspn(at, "|")) {
        size_t n = strcspn(at, "|");
        snprintf(out, bytes, "%.*s", (int)n, at);
        if (result_type(r, out) != RESULT_ABSENT)
            return out;
        at += n;
    }
    out[0] = '\0';
    return out;
}

char *export_cell(const struct export_column *column, const struct result *r)
{
    char path[240];
    if (column->computed)
        return column->computed(r);
    return result_word(r, path_of(column, r, path, sizeof path));
}

enum status export_check(const struct export_table *table, const struct result *r,
                         struct fault *fault)
{
    for (int i = 0; i < table->count; i++) {
        const struct export_column *c = &table->columns[i];
        char room[240];
        const char *path = c->computed ? "" : path_of(c, r, room, sizeof room);
        if (c->type == EXPORT_TEXT || !*path)
            continue;
        enum result_type type = result_type(r, path);
        if (type != RESULT_INT && (type != RESULT_REAL || c->type == EXPORT_INT))
            return result_refuse(r, fault, "%s should be %s", path,
                                 c->type == EXPORT_INT ? "a whole number" : "a number");
    }
    return ST_OK;
}

const char *export_next_kind(const struct export_set *set, const char *kind)
{
    bool passed = !kind;
    for (int64_t i = 0; i < set->record_count; i++) {
        const char *here = set->records[i]->kind;
        bool first = true;
        for (int64_t k = 0; k < i && first; k++)
            first = strcmp(set->records[k]->kind, here) != 0;
        if (first && passed)
            return here;
        passed = passed || (first && !strcmp(here, kind));
    }
    return NULL;
}
