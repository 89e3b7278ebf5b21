// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* plot_read.c   Result files back into memory, for plots. A record that cannot be read is refused,
 * never repaired: a plot with a silently missing point answers a different question. */
#include "plot.h"

#include <stdlib.h>
#include <string.h>

#ifndef HAVE_JANSSON

enum status plot_read(const char *const *paths, int count, struct plot_set *set,
                      struct fault *fault)
{
    (void)paths, (void)count, (void)set;
    return fault_set(fault, ST_NOT_BUILT,
                     "reading records needs jansson, which this build lacks: "
                     "install libjansson-dev and run make again");
}

void plot_free(struct plot_set *set) { (void)set; }

#else

#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <sys/stat.h>

#define DEPTH_MAX 4 /* results/<machine>/ is two deep */
#define FIELD_BYTES_MAX 2000

/* The line being read: where it stands and what came before it in its file. */
struct source {
    const char *path;
    int64_t line;
    json_t *run; /* the file's "run" record */
    struct fault *fault;
};

static enum status refuse_line(const struct source *s, const char *what, const char *detail)
{
    char path[400], tail[200];
    text_printable(s->path, strlen(s->path), path, sizeof path);
    text_printable(detail, strlen(detail), tail, sizeof tail);
    return fault_set(s->fault, ST_BAD_INPUT, "%s:%lld: %s%s; move the file away or measure again",
                     path, (long long)s->line, what, tail);
}

/* Letters, digits and a few marks; everything else becomes '_', so that no text can end a string,
 * begin a comment or open a pipe where it is plotted. */
static char *make_safe(char *text)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                               "0123456789 ._+-=:,@()";
    for (char *c = text; c && *c; c++)
        if (!strchr(safe, *c))
            *c = '_';
    return text;
}

/* "recipe.weights.fill" -> its value, or NULL. */
static const json_t *at(const json_t *record, const char *path)
{
    while (record && *path) {
        size_t n = strcspn(path, ".");
        char key[40];
        snprintf(key, sizeof key, "%.*s", (int)n, path);
        record = json_object_get(record, key);
        path += n + (path[n] == '.');
    }
    return record;
}

static double number_at(const json_t *record, const char *path)
{
    const json_t *value = at(record, path);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static const char *text_at(const json_t *record, const char *path)
{
    const char *text = json_string_value(at(record, path));
    return text ? text : "";
}

static int64_t count_at(const json_t *record, const char *path)
{
    return (int64_t)json_integer_value(at(record, path));
}

static char *field_text(const json_t *record, const char *path)
{
    const json_t *value = at(record, path);
    char number[40] = "";
    if (json_is_integer(value))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(number, sizeof number, "%.6g", json_real_value(value));
    const char *text = json_is_string(value) ? json_string_value(value) : number;
    return make_safe(strndup(text, FIELD_BYTES_MAX));
}

static bool read_fields(const json_t *record, const json_t *run, struct plot_case *c)
{
    static const char *const paths[] = {
#define FIELD_PATH(name, path, label) path,
        PLOT_FIELDS(FIELD_PATH)
#undef FIELD_PATH
    };
    bool ok = true;
    for (int f = 0; f < PLOT_FIELD_COUNT; f++)
        if (f != PLOT_SIZE)
            ok &= !!(c->field[f] = field_text(f == PLOT_MACHINE ? run : record, paths[f]));
    return asprintf(&c->field[PLOT_SIZE], "%lldx%lld", (long long)c->width, (long long)c->height) >
               0 &&
           ok;
}

static void free_fields(struct plot_case *c)
{
    for (int f = 0; f < PLOT_FIELD_COUNT; f++)
        free(c->field[f]);
}

static bool may_have_time(const char *status)
{
    return !strcmp(status, "passed") || !strcmp(status, "unstable") || !strcmp(status, "throttled");
}

static void read_times(const json_t *record, struct plot_case *c)
{
    static const char *const stages[PLOT_STAGES] = {"stages.text_ns", "stages.denoise_ns",
                                                    "stages.decode_ns"};
    c->time_s = number_at(record, "timing.median") * 1e-9;
    c->lo_s = number_at(record, "timing.lo") * 1e-9;
    c->hi_s = number_at(record, "timing.hi") * 1e-9;
    for (int i = 0; i < PLOT_STAGES; i++)
        c->stage_s[i] = number_at(record, stages[i]) * 1e-9;
    double encode_s = number_at(record, "stages.encode_ns") * 1e-9;
    if (isfinite(encode_s))
        c->stage_s[0] += encode_s;
    c->timed = may_have_time(c->status) && c->time_s > 0 && isfinite(c->time_s);
}

static enum status add_case(struct source *s, const json_t *record, struct plot_set *set)
{
    struct plot_case c = {.width = count_at(record, "recipe.width"),
                          .height = count_at(record, "recipe.height"),
                          .frames = count_at(record, "recipe.frames"),
                          .threads = count_at(record, "recipe.threads")};
    double fps = number_at(record, "recipe.fps");
    if (c.width < 1 || c.height < 1 || c.frames < 1 || !(fps > 0))
        return refuse_line(s, "a pipeline case without width, height, frames or fps", "");
    c.clip_s = (double)c.frames / fps;
    snprintf(c.status, sizeof c.status, "%s", text_at(record, "status"));
    snprintf(c.created, sizeof c.created, "%s", text_at(record, "created_utc"));
    snprintf(c.requested, sizeof c.requested, "%s", text_at(record, "impl.requested"));
    make_safe(c.requested);
    make_safe(c.status);
    make_safe(c.created);
    read_times(record, &c);
    if (set->count == set->room) {
        int64_t room = set->room ? 2 * set->room : 64;
        struct plot_case *cases = realloc(set->cases, (size_t)room * sizeof *cases);
        if (!cases)
            return fault_set(s->fault, ST_NO_MEMORY, "no memory for the records of %s", s->path);
        set->cases = cases;
        set->room = room;
    }
    if (!read_fields(record, s->run, &c)) {
        free_fields(&c);
        return fault_set(s->fault, ST_NO_MEMORY, "no memory for the records of %s", s->path);
    }
    set->cases[set->count++] = c;
    return ST_OK;
}

static enum status read_record(struct source *s, json_t *record, struct plot_set *set)
{
    const char *version = text_at(record, "schema.version");
    const char *kind = text_at(record, "kind");
    if (strcmp(text_at(record, "schema.name"), "patchmark") || !*version)
        return refuse_line(s, "not a patchmark record (no schema name and version)", "");
    if (strncmp(version, "1.", 2))
        return refuse_line(s, "schema version this program does not know: ", version);
    if (!strcmp(kind, "run")) {
        json_decref(s->run);
        s->run = json_incref(record);
        return ST_OK;
    }
    if (strcmp(kind, "case") || strcmp(text_at(record, "case_kind"), "pipeline"))
        return ST_OK;
    if (!s->run)
        return refuse_line(s, "a case before its run record", "");
    /* Figures are of clips, and times of a denoiser alone would pass for a fast one. */
    if (!strcmp(text_at(record, "recipe.result"), "latents")) {
        set->latents++;
        return ST_OK;
    }
    /* A case refused before its plan was made says nothing of size or duration. */
    if (json_is_null(at(record, "recipe")) && !may_have_time(text_at(record, "status"))) {
        set->unknown++;
        return ST_OK;
    }
    return add_case(s, record, set);
}

static enum status read_lines(struct source *s, FILE *in, struct plot_set *set)
{
    char *line = NULL;
    size_t room = 0;
    enum status status = ST_OK;
    for (ssize_t n; status == ST_OK && (n = getline(&line, &room, in)) >= 0;) {
        s->line++;
        json_error_t error;
        json_t *record = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES, &error);
        if (json_is_object(record))
            status = read_record(s, record, set);
        else
            status = refuse_line(s, "not a JSON object: ", record ? "another value" : error.text);
        json_decref(record);
    }
    free(line);
    if (status == ST_OK && ferror(in))
        status = fault_set(s->fault, ST_IO, "%s: reading failed: %s", s->path, strerror(errno));
    return status;
}

static enum status read_file(const char *path, struct plot_set *set, struct fault *fault)
{
    struct source s = {.path = path, .fault = fault};
    FILE *in = fopen(path, "r");
    if (!in)
        return fault_set(fault, ST_BAD_INPUT, "%s cannot be read: %s", path, strerror(errno));
    enum status status = read_lines(&s, in, set);
    json_decref(s.run);
    fclose(in);
    set->files++;
    return status;
}

static int shown(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static bool is_record(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && !strcmp(dot, ".jsonl");
}

static enum status read_path(const char *path, int depth, struct plot_set *set, struct fault *fault)
{
    struct stat st;
    if (stat(path, &st))
        return fault_set(fault, ST_BAD_INPUT, "%s cannot be read: %s", path, strerror(errno));
    if (S_ISREG(st.st_mode))
        return depth == 0 || is_record(path) ? read_file(path, set, fault) : ST_OK;
    if (!S_ISDIR(st.st_mode))
        return depth ? ST_OK
                     : fault_set(fault, ST_BAD_INPUT, "%s is neither file nor folder", path);
    if (depth > DEPTH_MAX)
        return ST_OK;
    struct dirent **entries;
    int count = scandir(path, &entries, shown, alphasort);
    if (count < 0)
        return fault_set(fault, ST_BAD_INPUT, "%s cannot be listed: %s", path, strerror(errno));
    enum status status = ST_OK;
    for (int i = 0; i < count; i++) {
        char *inner = NULL;
        if (status == ST_OK && asprintf(&inner, "%s/%s", path, entries[i]->d_name) > 0)
            status = read_path(inner, depth + 1, set, fault);
        free(inner);
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* Numbers by value, sizes by pixels, the rest by name. */
static int order_field(const struct plot_case *a, const struct plot_case *b, int f)
{
    if (f == PLOT_SIZE) {
        int64_t pa = a->width * a->height, pb = b->width * b->height;
        if (pa != pb)
            return pa < pb ? -1 : 1;
    }
    char *end_a, *end_b;
    double na = strtod(a->field[f], &end_a), nb = strtod(b->field[f], &end_b);
    if (!*end_a && !*end_b && na != nb)
        return na < nb ? -1 : 1;
    return strcmp(a->field[f], b->field[f]);
}

static int order_recipe(const struct plot_case *a, const struct plot_case *b)
{
    for (int f = 0, order; f < PLOT_FIELD_COUNT; f++)
        if ((order = order_field(a, b, f)))
            return order;
    return 0;
}

static int order_cases(const void *x, const void *y)
{
    const struct plot_case *a = x, *b = y;
    int order = order_recipe(a, b);
    return order ? order : -strcmp(a->created, b->created);
}

/* After sorting, the newest of equal cases comes first and stays. */
static void keep_newest(struct plot_set *set)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < set->count; i++) {
        if (kept && !order_recipe(&set->cases[kept - 1], &set->cases[i])) {
            free_fields(&set->cases[i]);
            set->older++;
            continue;
        }
        set->cases[kept++] = set->cases[i];
    }
    set->count = kept;
}

enum status plot_read(const char *const *paths, int count, struct plot_set *set,
                      struct fault *fault)
{
    for (int i = 0; i < count; i++)
        TRY(read_path(paths[i], 0, set, fault));
    if (set->count)
        qsort(set->cases, (size_t)set->count, sizeof *set->cases, order_cases);
    keep_newest(set);
    return ST_OK;
}

void plot_free(struct plot_set *set)
{
    for (int64_t i = 0; i < set->count; i++)
        free_fields(&set->cases[i]);
    free(set->cases);
}

#endif
