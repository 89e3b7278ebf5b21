// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* results_read.c   Files and folders to lines, lines to records. */
#include "records/results_read.h"

#include <stdlib.h>
#include <string.h>

#ifndef HAVE_JANSSON

static enum status not_built(struct fault *fault)
{
    return fault_set(fault, ST_NOT_BUILT,
                     "reading records needs jansson, which this build lacks: "
                     "install libjansson-dev and run make again");
}

enum status results_read(const char *const *paths, int count, const struct results_wanted *wanted,
                         result_visit *visit, void *user, struct results_tally *tally,
                         struct fault *fault)
{
    (void)paths, (void)count, (void)wanted, (void)visit, (void)user, (void)tally;
    return not_built(fault);
}

struct result *result_keep(const struct result *r)
{
    (void)r;
    return NULL;
}

void result_drop(struct result *r) { (void)r; }

#else

#include "base/text.h"
#include "machine/host.h"
#include "records/results_known.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <sys/stat.h>

#define DEPTH_MAX 4    /* of folders; results/<machine>/ is two deep */
#define NESTING_MAX 32 /* of values, well below what json.h writes */

struct seen {
    dev_t device;
    ino_t inode;
};

struct reader {
    struct results_wanted wanted;
    result_visit *visit;
    void *user;
    struct results_tally *tally;
    struct fault *fault;
    struct seen *seen; /* files read */
    int64_t seen_count, seen_room;
    struct results_known known;
};

/* The file being read. */
struct source {
    struct reader *reader;
    const char *path;
    int64_t line;
    json_t *run;
    char *header; /* a run record as text: nothing that is wanted came after it yet */
    int64_t header_line;
};

/* ---- one record ------------------------------------------------------------------------------ */

/* Members on which every reader builds, and what they may be: the first few of any record, all of runs
 * and cases. Null and left out are always good: they say that a figure could not be had. */
static const struct {
    const char *path, *type;
} typed[] = {
    {"run_id", "text"},          {"case", "number"},
    {"created_utc", "text"},     {"machine", "text"},
    {"case_kind", "text"},       {"status", "text"},
    {"status_reason", "text"},   {"claim", "text"},
    {"ran_on", "text"},          {"repro", "text"},
    {"recipe", "object"},        {"recipe_sha256", "text"},
    {"impl", "object"},          {"correctness", "object"},
    {"timing", "object"},        {"timing.n", "number"},
    {"timing.median", "number"}, {"timing.lo", "number"},
    {"timing.hi", "number"},     {"timing.level", "number"},
    {"timing.min", "number"},    {"timing.max", "number"},
    {"timing.mean", "number"},   {"timing.cv", "number"},
    {"timing.unit", "text"},     {"timing.samples", "list of numbers"},
    {"stages", "object"},        {"work", "object"},
    {"derived", "object"},       {"memory", "object"},
    {"counters", "object"},      {"gpu", "object"},
};

enum { OF_ANY = 3 };

static const char *type_of(const json_t *value)
{
    if (!json_is_array(value))
        return json_is_number(value)    ? "number"
               : json_is_string(value)  ? "text"
               : json_is_boolean(value) ? "true or false"
                                        : "object";
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_number(json_array_get(value, i)))
            return "list";
    return "list of numbers";
}

static bool is_null(const json_t *value)
{
    return !value || json_is_null(value) ||
           (json_object_get(value, "why") && json_is_null(json_object_get(value, "value")));
}

static enum status check_types(const struct result *r, struct fault *fault)
{
    bool own = !strcmp(r->kind, "run") || !strcmp(r->kind, "case");
    for (size_t i = 0; i < (own ? sizeof typed / sizeof *typed : OF_ANY); i++) {
        const char *dot = strchr(typed[i].path, '.');
        const json_t *value = dot ? json_object_get(r->record, "timing") : r->record;
        value = json_object_get(value, dot ? dot + 1 : typed[i].path);
        if (!is_null(value) && strcmp(type_of(value), typed[i].type))
            return result_refuse(r, fault, "%s should be %s, and is %s", typed[i].path,
                                 typed[i].type, type_of(value));
    }
    return ST_OK;
}

/* Levels of nesting, counted no further than one too many. */
static int depth_of(const json_t *value, int most)
{
    const char *key;
    json_t *member;
    int deepest = 0;
    if (most == 0)
        return 1;
    json_object_foreach((json_t *)value, key, member)
    {
        int depth = depth_of(member, most - 1);
        deepest = depth > deepest ? depth : deepest;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        int depth = depth_of(json_array_get(value, i), most - 1);
        deepest = depth > deepest ? depth : deepest;
    }
    return 1 + deepest;
}

/* MAJOR.MINOR: minors only add, so any will do. */
static bool is_known_version(const char *version)
{
    static const char *const majors[] = {"1", "2"};
    size_t n = strspn(version, "0123456789");
    bool known = false;
    for (size_t i = 0; i < sizeof majors / sizeof *majors; i++)
        known = known || (strlen(majors[i]) == n && !strncmp(version, majors[i], n));
    return known && version[n] == '.' && version[n + 1] &&
           !version[n + 1 + strspn(version + n + 1, "0123456789")];
}

static enum status check_record(struct result *r, struct fault *fault)
{
    const char *version = result_text(r, "schema.version");
    if (strcmp(result_text(r, "schema.name"), "patchmark") || !*version)
        return result_refuse(r, fault, "not a patchmark record (no schema name and version)");
    if (!is_known_version(version))
        return result_refuse(r, fault, "schema version this program does not know: %.40s", version);
    r->kind = result_text(r, "kind");
    if (!*r->kind)
        return result_refuse(r, fault, "a record without a kind");
    if (!strcmp(r->kind, "run"))
        r->run = r->record;
    if (!r->run && strcmp(r->kind, "host"))
        return result_refuse(r, fault, "a %.40s before its run record", r->kind);
    if (depth_of(r->record, NESTING_MAX) > NESTING_MAX)
        return result_refuse(r, fault, "nested more than %d deep", NESTING_MAX);
    return check_types(r, fault);
}

static enum status read_record(struct source *s, json_t *record, const char *line, size_t bytes)
{
    struct reader *reader = s->reader;
    struct result r = {.path = s->path, .line = s->line, .record = record, .run = s->run};
    TRY(check_record(&r, reader->fault));
    if (r.run == record && s->run != record) {
        json_decref(s->run);
        s->run = json_incref(record);
    }
    bool copy;
    TRY(results_known_meet(&reader->known, &r, line, bytes, &copy, reader->fault));
    reader->tally->copies += copy;
    if (copy || (reader->wanted.kind && strcmp(r.kind, reader->wanted.kind)))
        return ST_OK;
    reader->tally->records++;
    return reader->visit(&r, reader->user, reader->fault);
}

/* ---- one file -------------------------------------------------------------------------------- */

static bool ends_in(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    return n > m && !strcmp(path + n - m, ending);
}

/* As this program writes it: without blanks. */
static bool is_kind(const char *line, size_t bytes, const char *kind)
{
    char member[80];
    int n = snprintf(member, sizeof member, "\"kind\":\"%s\"", kind);
    return memmem(line, bytes, member, (size_t)n) != NULL;
}

static enum status refuse_line(const struct source *s, const char *detail, bool cut)
{
    struct result here = {.path = s->path, .line = s->line};
    if (cut)
        return result_refuse(&here, s->reader->fault,
                             "the file breaks off in this line: the run that wrote it was killed "
                             "or still writes (not a JSON object: %s)",
                             detail);
    return result_refuse(&here, s->reader->fault, "not a JSON object: %s", detail);
}

static enum status parse_line(struct source *s, const char *line, size_t bytes, bool last)
{
    json_error_t error;
    json_t *record = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, &error);
    bool cut = last && line[bytes - 1] != '\n' && !record;
    enum status status = ST_OK;
    if (cut && s->reader->wanted.torn && ends_in(s->path, ".part"))
        s->reader->tally->torn++;
    else if (!json_is_object(record))
        status = refuse_line(s, record ? "another value" : error.text, cut);
    else
        status = read_record(s, record, line, bytes);
    json_decref(record);
    return status;
}

/* A run record is put aside until a record that is wanted follows it. */
static enum status read_line(struct source *s, const char *line, size_t bytes, bool last)
{
    const char *kind = s->reader->wanted.kind;
    if (kind && !is_kind(line, bytes, kind)) {
        if (!is_kind(line, bytes, "run"))
            return ST_OK;
        free(s->header);
        s->header = strndup(line, bytes);
        s->header_line = s->line;
        return s->header ? ST_OK
                         : fault_set(s->reader->fault, ST_NO_MEMORY,
                                     "no memory for the records of %s", s->path);
    }
    char *header = s->header;
    int64_t here = s->line;
    s->header = NULL;
    s->line = header ? s->header_line : here;
    enum status status = header ? parse_line(s, header, strlen(header), false) : ST_OK;
    s->line = here;
    free(header);
    return status == ST_OK ? parse_line(s, line, bytes, last) : status;
}

static bool at_end(FILE *in)
{
    int c = getc(in);
    if (c != EOF)
        ungetc(c, in);
    return c == EOF;
}

static enum status read_lines(struct source *s, FILE *in)
{
    char *line = NULL;
    size_t room = 0;
    enum status status = ST_OK;
    errno = 0;
    for (ssize_t n; status == ST_OK && (n = getline(&line, &room, in)) >= 0;) {
        s->line++;
        status = read_line(s, line, (size_t)n, at_end(in));
        errno = 0;
    }
    free(line);
    if (status == ST_OK && (ferror(in) || errno == ENOMEM))
        status = fault_set(s->reader->fault, ST_IO, "%s cannot be read after line %lld: %s",
                           s->path, (long long)s->line, strerror(errno));
    struct result here = {.path = s->path, .line = 1};
    if (status == ST_OK && !s->line && !ends_in(s->path, ".part"))
        status = result_refuse(&here, s->reader->fault, "the file is empty");
    return status;
}

/* Notes a file as read: 1, 0 where it was read before, -1 without memory. */
static int first_time(struct reader *reader, const struct stat *st)
{
    for (int64_t i = 0; i < reader->seen_count; i++)
        if (reader->seen[i].device == st->st_dev && reader->seen[i].inode == st->st_ino)
            return 0;
    if (reader->seen_count == reader->seen_room) {
        int64_t room = reader->seen_room ? 2 * reader->seen_room : 64;
        struct seen *seen = realloc(reader->seen, (size_t)room * sizeof *seen);
        if (!seen)
            return -1;
        reader->seen = seen;
        reader->seen_room = room;
    }
    reader->seen[reader->seen_count++] = (struct seen){st->st_dev, st->st_ino};
    return 1;
}

static enum status read_file(const char *path, const struct stat *st, struct reader *reader)
{
    int first = first_time(reader, st);
    if (first < 0)
        return fault_set(reader->fault, ST_NO_MEMORY, "no memory for the names of result files");
    if (!first) {
        reader->tally->again++;
        return ST_OK;
    }
    struct source s = {.path = path, .reader = reader};
    FILE *in = fopen(path, "re");
    if (!in)
        return fault_set(reader->fault, ST_BAD_INPUT, "%s cannot be read: %s", path,
                         strerror(errno));
    enum status status = read_lines(&s, in);
    json_decref(s.run);
    free(s.header);
    fclose(in);
    reader->tally->files++;
    return status;
}

/* ---- folders --------------------------------------------------------------------------------- */

static int shown(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static enum status read_path(const char *path, int depth, struct reader *reader);

static enum status read_folder(const char *path, int depth, struct reader *reader)
{
    struct dirent **entries;
    int count = scandir(path, &entries, shown, alphasort);
    if (count < 0)
        return fault_set(reader->fault, ST_BAD_INPUT, "%s cannot be listed: %s", path,
                         strerror(errno));
    enum status status = ST_OK;
    for (int i = 0; i < count; i++) {
        char *inner = NULL;
        if (status == ST_OK && asprintf(&inner, "%s/%s", path, entries[i]->d_name) > 0)
            status = read_path(inner, depth + 1, reader);
        free(inner);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static enum status read_path(const char *path, int depth, struct reader *reader)
{
    struct stat st;
    if (stat(path, &st)) /* what vanished since its folder was listed was renamed by its writer */
        return depth && errno == ENOENT ? ST_OK
                                        : fault_set(reader->fault, ST_BAD_INPUT,
                                                    "%s cannot be read: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return depth > DEPTH_MAX ? ST_OK : read_folder(path, depth, reader);
    if (depth && S_ISREG(st.st_mode) && ends_in(path, ".jsonl.part"))
        reader->tally->unfinished++;
    if (depth && (!S_ISREG(st.st_mode) || !ends_in(path, ".jsonl")))
        return ST_OK;
    if (!S_ISREG(st.st_mode))
        return fault_set(reader->fault, ST_BAD_INPUT, "%s is neither file nor folder", path);
    return read_file(path, &st, reader);
}

enum status results_read(const char *const *paths, int count, const struct results_wanted *wanted,
                         result_visit *visit, void *user, struct results_tally *tally,
                         struct fault *fault)
{
    struct results_tally unasked = {0};
    struct reader reader = {
        .visit = visit, .user = user, .tally = tally ? tally : &unasked, .fault = fault};
    if (wanted)
        reader.wanted = *wanted;
    enum status status = ST_OK;
    for (int i = 0; i < count && status == ST_OK; i++)
        status = read_path(paths[i], 0, &reader);
    free(reader.seen);
    results_known_free(&reader.known);
    return status;
}

/* ---- records that last ------------------------------------------------------------------------ */

struct result *result_keep(const struct result *r)
{
    struct result *kept = malloc(sizeof *kept);
    char *path = strdup(r->path);
    if (!kept || !path) {
        free(kept);
        free(path);
        return NULL;
    }
    *kept = *r;
    kept->path = path;
    json_incref((json_t *)r->record);
    json_incref((json_t *)r->run);
    return kept;
}

void result_drop(struct result *r)
{
    if (!r)
        return;
    json_decref((json_t *)r->record);
    json_decref((json_t *)r->run);
    free((char *)r->path);
    free(r);
}

#endif
