// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "tune/tuned.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/out_file.h"
#include "machine/device.h"
#include "machine/host.h"
#include "records/record.h"

#define HEAD "patchmark tuned "
#define VERSION "1"
#define FIELDS 12
#define CHECK_DIGITS 16
#define FILE_MOST ((size_t)16 << 20)

struct tuned {
    struct tuned_line *line; /* sorted by place, then bucket */
    int count;
    char hash[CHECK_DIGITS + 1];
};

/* ---- names ----------------------------------------------------------------------------------- */

const char *tuned_path(const char *results)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s/tuned.tsv", results, host_machine_slug());
    return path;
}

void tuned_place(int threads, char *out, size_t bytes)
{
    if (device_kind() == DEVICE_CPU)
        snprintf(out, bytes, "cpu-%dt", threads);
    else
        device_slug(out, bytes);
}

/* ---- reading --------------------------------------------------------------------------------- */

static uint64_t fnv(uint64_t hash, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#define FNV_BEGIN UINT64_C(0xcbf29ce484222325)

/* Where reading stands. */
struct reader {
    const char *path;
    char *at;      /* of the next line */
    int number;    /* of the line at hand, from 1 */
    uint64_t hash; /* of everything before its check */
    struct fault *fault;
};

__attribute__((format(printf, 2, 3))) static enum status refuse(const struct reader *r,
                                                                const char *format, ...)
{
    char why[512];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return fault_set(r->fault, ST_BAD_INPUT,
                     "%s, line %d: %s; 'patchmark tune' makes it anew and keeps this one aside",
                     r->path, r->number, why);
}

/* The next line without its check and the tab before it; NULL fault text is the caller's. */
static enum status next_line(struct reader *r, char **line)
{
    r->number++;
    char *end = strchr(r->at, '\n');
    if (!end)
        return refuse(r, r->at[0] ? "it breaks off" : "the file ends before its last line");
    *end = '\0';
    const size_t length = (size_t)(end - r->at);
    char *check = r->at + length - CHECK_DIGITS, expected[CHECK_DIGITS + 1];
    if (length <= CHECK_DIGITS || check[-1] != '\t')
        return refuse(r, "it has no check at its end");
    r->hash = fnv(r->hash, r->at, length - CHECK_DIGITS);
    snprintf(expected, sizeof expected, "%016" PRIx64, r->hash);
    if (strcmp(check, expected) != 0)
        return refuse(r, "it is not as it was written (it or a line before it was changed)");
    r->hash = fnv(r->hash, check, CHECK_DIGITS);
    check[-1] = '\0';
    *line = r->at;
    r->at = end + 1;
    return ST_OK;
}

/* Names its version before all else: another one may check its lines in another way. */
static enum status read_head(struct reader *r)
{
    char *line;
    const size_t n = strlen(HEAD);
    r->number = 1;
    if (!r->at[0])
        return refuse(r, "the file is empty");
    if (strncmp(r->at, HEAD, n) != 0)
        return refuse(r, "it does not begin as a table of tuned kernels does");
    const size_t digits = strcspn(r->at + n, "\t\n");
    if (digits != strlen(VERSION) || strncmp(r->at + n, VERSION, digits) != 0)
        return refuse(r, "version '%.*s' is not known to this program, which reads " VERSION,
                      digits < 12 ? (int)digits : 12, r->at + n);
    r->number = 0;
    TRY(next_line(r, &line));
    const char *machine = line + n + digits + 1;
    if (strcmp(machine, host_machine_slug()) != 0)
        return refuse(r, "it was made on the machine %.80s, and this is %s", machine,
                      host_machine_slug());
    return ST_OK;
}

static bool take_text(const char *field, char *out, size_t bytes)
{
    for (const char *c = field; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c > '~')
            return false;
    return field[0] && (size_t)snprintf(out, bytes, "%s", field) < bytes;
}

static bool take_hash(const char *field, uint64_t *out)
{
    char *end;
    *out = strtoull(field, &end, 16);
    return strlen(field) == 16 && !*end && isxdigit((unsigned char)field[0]);
}

static bool take_ratio(const char *field, double *out)
{
    char *end;
    *out = strtod(field, &end);
    return end != field && !*end && isfinite(*out) && *out > 0;
}

static bool take_fields(char *const field[FIELDS], struct tuned_line *l)
{
    return take_text(field[0], l->place, sizeof l->place) &&
           take_text(field[1], l->bucket, sizeof l->bucket) &&
           take_text(field[2], l->variant, sizeof l->variant) &&
           take_text(field[3], l->knobs, sizeof l->knobs) && take_hash(field[4], &l->source) &&
           take_text(field[5], l->against, sizeof l->against) &&
           take_hash(field[6], &l->against_source) && take_ratio(field[7], &l->gain) &&
           take_ratio(field[8], &l->lo) && take_ratio(field[9], &l->hi) &&
           take_text(field[10], l->utc, sizeof l->utc) &&
           take_text(field[11], l->commit, sizeof l->commit);
}

static int by_key(const void *left, const void *right)
{
    const struct tuned_line *a = left, *b = right;
    const int order = strcmp(a->place, b->place);
    return order ? order : strcmp(a->bucket, b->bucket);
}

static enum status add_line(struct tuned *t, const struct tuned_line *line)
{
    struct tuned_line *grown = realloc(t->line, (size_t)(t->count + 1) * sizeof *grown);
    if (!grown)
        return ST_NO_MEMORY;
    t->line = grown;
    t->line[t->count++] = *line;
    return ST_OK;
}

static enum status read_line(struct reader *r, char *text, struct tuned *t)
{
    char *field[FIELDS], *rest = text;
    struct tuned_line line = {""};
    for (int i = 0; i < FIELDS; i++)
        if (!(field[i] = strsep(&rest, "\t")))
            return refuse(r, "it has %d fields where %d are due", i, FIELDS);
    if (rest || !take_fields(field, &line))
        return refuse(r, "its fields cannot be read");
    const struct tuned_line *last = t->count ? &t->line[t->count - 1] : NULL;
    const int order = last ? by_key(last, &line) : -1;
    if (order >= 0)
        return refuse(r, order ? "lines are out of order" : "%s of %s is there twice", line.bucket,
                      line.place);
    return add_line(t, &line);
}

static enum status read_all(struct reader *r, const char *end, struct tuned *t)
{
    char *line;
    TRY(read_head(r));
    for (;;) {
        TRY(next_line(r, &line));
        if (!strncmp(line, "end\t", 4))
            break;
        TRY(read_line(r, line, t));
    }
    if (strtoll(line + 4, NULL, 10) != t->count)
        return refuse(r, "it counts %s lines and %d are there", line + 4, t->count);
    r->number++;
    return r->at == end ? ST_OK : refuse(r, "something follows the last line");
}

/* The whole file, NUL behind it; a NUL within is nothing that we write. */
static enum status slurp(const char *path, char **text, size_t *bytes, struct fault *fault)
{
    FILE *in = fopen(path, "rb");
    struct stat info;
    if (!in)
        return errno == ENOENT || errno == ENOTDIR
                   ? ST_UNAVAILABLE
                   : fault_set(fault, ST_BAD_INPUT, "%s cannot be read: %s", path, strerror(errno));
    const bool fits =
        !fstat(fileno(in), &info) && S_ISREG(info.st_mode) && (uint64_t)info.st_size <= FILE_MOST;
    *text = fits ? malloc((size_t)info.st_size + 1) : NULL;
    *bytes = *text ? fread(*text, 1, (size_t)info.st_size, in) : 0;
    fclose(in);
    if (!fits)
        return fault_set(fault, ST_BAD_INPUT,
                         "%s is no table of tuned kernels: no file, or too large", path);
    if (!*text)
        return fault_set(fault, ST_NO_MEMORY, "no memory for %s", path);
    (*text)[*bytes] = '\0';
    return ST_OK;
}

enum status tuned_read(const char *path, struct tuned **out, struct fault *fault)
{
    char *text, sha[65];
    size_t bytes;
    *out = NULL;
    TRY(slurp(path, &text, &bytes, fault));
    struct reader r = {.path = path, .at = text, .hash = FNV_BEGIN, .fault = fault};
    struct tuned *t = calloc(1, sizeof *t);
    enum status s = t ? ST_OK : ST_NO_MEMORY;
    if (t) {
        sha256_hex(text, bytes, sha);
        memcpy(t->hash, sha, CHECK_DIGITS);
        s = read_all(&r, text + bytes, t);
    }
    free(text);
    if (s == ST_OK)
        *out = t;
    else
        tuned_free(t);
    return s == ST_NO_MEMORY ? fault_set(fault, s, "no memory for %s", path) : s;
}

void tuned_free(struct tuned *t)
{
    if (t)
        free(t->line);
    free(t);
}

int tuned_count(const struct tuned *t) { return t->count; }
const struct tuned_line *tuned_at(const struct tuned *t, int index) { return &t->line[index]; }
const char *tuned_hash(const struct tuned *t) { return t->hash; }

const struct tuned_line *tuned_find(const struct tuned *t, const char *place, const char *bucket)
{
    struct tuned_line key = {""};
    snprintf(key.place, sizeof key.place, "%s", place);
    snprintf(key.bucket, sizeof key.bucket, "%s", bucket);
    return t->count ? bsearch(&key, t->line, (size_t)t->count, sizeof key, by_key) : NULL;
}

/* ---- held against this build ----------------------------------------------------------------- */

static bool in_build(const char *bucket, const char *variant, uint64_t source)
{
    char op[64];
    enum op_id id;
    snprintf(op, sizeof op, "%.*s", (int)strcspn(bucket, ":"), bucket);
    const struct registry_entry *e =
        op_find(op, &id, NULL) == ST_OK ? registry_find(id, variant) : NULL;
    return e && e->variant && e->source_hash == source;
}

bool tuned_is_fresh(const struct tuned_line *line)
{
    return in_build(line->bucket, line->variant, line->source) &&
           in_build(line->bucket, line->against, line->against_source);
}

int tuned_stale(const struct tuned *t, const char *place)
{
    int stale = 0;
    for (int i = 0; i < t->count; i++)
        stale += !strcmp(t->line[i].place, place) && !tuned_is_fresh(&t->line[i]);
    return stale;
}

void tuned_use_json(const struct tuned_use *use, bool untuned, struct json *j)
{
    if (!use->asked || use->why[0]) {
        json_unavailable(j, "tuned",
                         use->asked ? use->why
                         : untuned  ? "--untuned"
                                    : "no table of tuned kernels is there");
        return;
    }
    json_open_object(j, "tuned");
    json_int(j, "shapes", use->tuned);
    json_int(j, "of", use->problems);
    json_int(j, "lines", use->lines);
    json_int(j, "stale", use->stale);
    json_text(j, "file_hash", use->hash);
    json_end(j);
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum status put_line(struct out_file *out, uint64_t *hash, const char *text,
                            struct fault *fault)
{
    char check[CHECK_DIGITS + 2];
    const size_t bytes = strlen(text);
    *hash = fnv(*hash, text, bytes);
    snprintf(check, sizeof check, "%016" PRIx64 "\n", *hash);
    *hash = fnv(*hash, check, CHECK_DIGITS);
    TRY(out_file_write(out, text, bytes, fault));
    return out_file_write(out, check, CHECK_DIGITS + 1, fault);
}

static enum status put_lines(struct out_file *out, const struct tuned *t, struct fault *fault)
{
    char text[1024];
    uint64_t hash = FNV_BEGIN;
    snprintf(text, sizeof text, HEAD VERSION "\t%s\t", host_machine_slug());
    TRY(put_line(out, &hash, text, fault));
    for (int i = 0; i < t->count; i++) {
        const struct tuned_line *l = &t->line[i];
        snprintf(text, sizeof text,
                 "%s\t%s\t%s\t%s\t%016" PRIx64 "\t%s\t%016" PRIx64 "\t%.4f\t%.4f\t%.4f\t%s\t%s\t",
                 l->place, l->bucket, l->variant, l->knobs, l->source, l->against,
                 l->against_source, l->gain, l->lo, l->hi, l->utc, l->commit);
        TRY(put_line(out, &hash, text, fault));
    }
    snprintf(text, sizeof text, "end\t%d\t", t->count);
    return put_line(out, &hash, text, fault);
}

static bool keyed(const struct tuned_line *list, int count, const struct tuned_line *line)
{
    for (int i = 0; i < count; i++)
        if (!by_key(&list[i], line))
            return true;
    return false;
}

/* Of what is there, the lines whose keys are in neither list; then the new ones. */
static enum status join(const struct tuned *old, const struct tuned_line *add, int adds,
                        const struct tuned_line *drop, int drops, struct tuned *out)
{
    for (int i = 0; old && i < old->count; i++)
        if (!keyed(add, adds, &old->line[i]) && !keyed(drop, drops, &old->line[i]))
            TRY(add_line(out, &old->line[i]));
    for (int i = 0; i < adds; i++)
        if (!keyed(add + i + 1, adds - i - 1, &add[i])) /* the last of a key is the one meant */
            TRY(add_line(out, &add[i]));
    if (out->count)
        qsort(out->line, (size_t)out->count, sizeof *out->line, by_key);
    return ST_OK;
}

/* tuned.tsv.refused, or with a number where that is taken: what was there is not ours to lose. */
static enum status keep_aside(const char *path, char *name, size_t bytes, struct fault *fault)
{
    for (int number = 1; number < 1000; number++) {
        snprintf(name, bytes, number > 1 ? "%s.refused-%d" : "%s.refused", path, number);
        if (link(path, name) == 0)
            return ST_OK;
        if (errno != EEXIST)
            return fault_set(fault, ST_IO, "%s cannot be kept as %s: %s", path, name,
                             strerror(errno));
    }
    return fault_set(fault, ST_IO, "%s cannot be kept aside: no free name", path);
}

static enum status merge_locked(const char *path, const struct tuned_line *add, int adds,
                                const struct tuned_line *drop, int drops, char *kept_aside,
                                size_t bytes, struct fault *fault)
{
    struct tuned *old = NULL, joined = {0};
    struct out_file out;
    struct fault why = {{0}};
    enum status s = tuned_read(path, &old, &why);
    if (s == ST_BAD_INPUT)
        TRY(keep_aside(path, kept_aside, bytes, fault));
    else if (s != ST_OK && s != ST_UNAVAILABLE)
        return fault_set(fault, s, "%s", why.text);
    s = join(old, add, adds, drop, drops, &joined);
    if (s == ST_OK)
        s = out_file_open(&out, path, fault);
    if (s == ST_OK && (s = put_lines(&out, &joined, fault)) != ST_OK)
        out_file_discard(&out);
    else if (s == ST_OK)
        s = out_file_commit(&out, fault);
    free(joined.line);
    tuned_free(old);
    return s;
}

/* The lock is a file of its own, for the table is replaced; the kernel frees it with its holder. */
static enum status lock(const char *path, int *fd, struct fault *fault)
{
    char name[4200];
    snprintf(name, sizeof name, "%s.lock", path);
    *fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    int failed = *fd < 0;
    while (!failed && flock(*fd, LOCK_EX) != 0)
        failed = errno != EINTR;
    if (!failed)
        return ST_OK;
    if (*fd >= 0)
        close(*fd);
    return fault_set(fault, ST_IO, "%s cannot be locked: %s", name, strerror(errno));
}

enum status tuned_merge(const char *path, const struct tuned_line *add, int adds,
                        const struct tuned_line *drop, int drops, char *kept_aside, size_t bytes,
                        struct fault *fault)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    int fd;
    kept_aside[0] = '\0';
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    TRY(folder_create(folder, fault));
    TRY(lock(path, &fd, fault));
    enum status s = merge_locked(path, add, adds, drop, drops, kept_aside, bytes, fault);
    close(fd);
    return s;
}
