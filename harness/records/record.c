// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "records/record.h"

#include "base/out_file.h"
#include "machine/host.h"
#include "records/sidecar.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct record_file {
    struct out_file out;
    struct sidecar *sidecar; /* from the first samples on */
    char *folder;            /* results/<machine> */
    char *path;
    char run_id[40];
    int64_t cases;
    char *sweep; /* see record_set_sweep */
    bool broken; /* a line is torn: the file must not get its name */
};

static enum status no_memory(struct fault *fault)
{
    return fault_set(fault, ST_NO_MEMORY, "out of memory for a record");
}

static void utc_now(const char *format, char *out, size_t bytes)
{
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(out, bytes, format, &utc);
}

/* A random UUID (RFC 9562, version 4): tells runs apart that began in the same second. */
static void new_run_id(char out[40])
{
    uint8_t b[16];
    if (getrandom(b, sizeof b, GRND_NONBLOCK) != sizeof b) {
        /* Early in boot only; the clock and the process id will do. */
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        uint64_t word[2] = {(uint64_t)now.tv_sec << 32 | (uint64_t)now.tv_nsec, (uint64_t)getpid()};
        memcpy(b, word, sizeof b);
    }
    b[6] = (uint8_t)((b[6] & 0x0F) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3F) | 0x80);
    int used = 0;
    for (int i = 0; i < 16; i++)
        used +=
            sprintf(out + used, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
}

static enum status write_json(struct out_file *out, struct json *j, struct fault *fault)
{
    while (j->depth > 0 && !j->failed)
        json_end(j);
    enum status status =
        j->failed ? no_memory(fault) : out_file_write(out, j->text, j->used, fault);
    json_free(j);
    return status == ST_OK ? out_file_write(out, "\n", 1, fault) : status;
}

/* results/<machine>/host.json: written by whoever comes first, kept ever after. */
static enum status write_host(const char *folder, struct fault *fault)
{
    char *path;
    struct out_file out;
    struct json j;
    if (asprintf(&path, "%s/host.json", folder) < 0)
        return no_memory(fault);
    if (access(path, F_OK) == 0) {
        free(path);
        return ST_OK;
    }
    enum status status = out_file_open(&out, path, fault);
    free(path);
    TRY(status);
    json_init(&j, true);
    json_open_object(&j, NULL);
    json_open_object(&j, "schema");
    json_text(&j, "name", "patchmark");
    json_text(&j, "version", RECORD_SCHEMA_VERSION);
    json_end(&j);
    json_text(&j, "kind", "host");
    host_describe(&j);
    status = write_json(&out, &j, fault);
    if (status == ST_OK)
        return out_file_commit(&out, fault);
    out_file_discard(&out);
    return status;
}

/* The commit as part of a file name: it may carry any text that a build was given. */
static void file_name_word(const char *text, char *out, size_t bytes)
{
    size_t used = 0;
    for (; *text && used + 1 < bytes; text++)
        out[used++] = isalnum((unsigned char)*text) || strchr("._", *text) ? *text : '-';
    out[used] = '\0';
    if (used == 0)
        snprintf(out, bytes, "unversioned");
}

/* Takes the first free name of this second: <utc>-<commit>.jsonl, then -2, -3, ... */
static enum status reserve_name(struct record_file *file, struct fault *fault)
{
    char utc[32], commit[48], tail[16] = "";
    utc_now("%Y%m%dT%H%M%SZ", utc, sizeof utc);
    file_name_word(build_commit(), commit, sizeof commit);
    for (int number = 1; number < 1000; number++) {
        if (number > 1)
            snprintf(tail, sizeof tail, "-%d", number);
        free(file->path);
        if (asprintf(&file->path, "%s/%s-%s%s.jsonl", file->folder, utc, commit, tail) < 0) {
            file->path = NULL;
            return no_memory(fault);
        }
        enum status status = out_file_reserve(&file->out, file->path, fault);
        if (status != ST_REFUSED)
            return status;
    }
    return fault_set(fault, ST_IO, "no free name for a record in %s", file->folder);
}

static enum status write_header(struct record_file *file, const char *command, struct fault *fault)
{
    struct json j;
    record_begin(file, &j, "run");
    json_open_object(&j, "tool");
    json_text(&j, "version", build_version());
    json_text(&j, "commit", build_commit());
    json_text(&j, "compiler", build_compiler());
    json_text(&j, "flags", build_flags());
    json_text(&j, "without", build_without());
    json_end(&j);
    json_text(&j, "command", command);
    json_text(&j, "machine", host_machine_slug());
    json_open_object(&j, "host");
    host_describe(&j);
    json_end(&j);
    return record_write(file, &j, fault);
}

static enum status open_in(const char *folder, const char *command, struct record_file *file,
                           struct fault *fault)
{
    if (asprintf(&file->folder, "%s/%s", folder, host_machine_slug()) < 0) {
        file->folder = NULL;
        return no_memory(fault);
    }
    TRY(folder_create(file->folder, fault));
    TRY(write_host(file->folder, fault));
    TRY(reserve_name(file, fault));
    return write_header(file, command, fault);
}

enum status record_open(const char *folder, const char *command, struct record_file **out,
                        struct fault *fault)
{
    *out = NULL;
    struct record_file *file = calloc(1, sizeof *file);
    if (!file)
        return no_memory(fault);
    file->out.fd = -1;
    new_run_id(file->run_id);
    enum status status = open_in(folder, command, file, fault);
    if (status == ST_OK)
        *out = file;
    else
        record_free(file);
    return status;
}

void record_begin(struct record_file *file, struct json *j, const char *kind)
{
    char utc[32];
    utc_now("%Y-%m-%dT%H:%M:%SZ", utc, sizeof utc);
    json_init(j, false);
    json_open_object(j, NULL);
    json_open_object(j, "schema");
    json_text(j, "name", "patchmark");
    json_text(j, "version", RECORD_SCHEMA_VERSION);
    json_end(j);
    json_text(j, "kind", kind);
    json_text(j, "run_id", file->run_id);
    if (strcmp(kind, "run") != 0)
        json_int(j, "case", ++file->cases);
    json_text(j, "created_utc", utc);
    if (file->sweep && !strcmp(kind, "case"))
        json_raw(j, "sweep", file->sweep);
}

enum status record_set_sweep(struct record_file *file, const char *object)
{
    free(file->sweep);
    file->sweep = object ? strdup(object) : NULL;
    return object && !file->sweep ? ST_NO_MEMORY : ST_OK;
}

enum status record_write(struct record_file *file, struct json *j, struct fault *fault)
{
    enum status status = write_json(&file->out, j, fault);
    file->broken = file->broken || status != ST_OK;
    return status;
}

/* The record's own name with another ending. */
static char *sidecar_path(const struct record_file *file)
{
    char *path;
    int stem = (int)strlen(file->path) - (int)strlen(".jsonl");
    return asprintf(&path, "%.*s.samples", stem, file->path) < 0 ? NULL : path;
}

enum status record_samples(struct record_file *file, const struct raw *raw,
                           struct sidecar_place *out, struct fault *fault)
{
    *out = (struct sidecar_place){.file = ""};
    if (!file || !raw->count)
        return ST_OK;
    if (!file->sidecar) {
        char *path = sidecar_path(file);
        if (!path)
            return no_memory(fault);
        enum status status = sidecar_create(path, &file->sidecar, fault);
        if (status == ST_REFUSED)
            fault_set(fault, ST_IO, "%s is in the way of a record's samples", path);
        free(path);
        if (status != ST_OK)
            return status == ST_REFUSED ? ST_IO : status;
    }
    return sidecar_add(file->sidecar, raw, out, fault);
}

/* Before the record, so that no record names samples that are not there. */
static enum status close_sidecar(struct record_file *file, struct fault *fault)
{
    if (!file->sidecar)
        return ST_OK;
    TRY(sidecar_commit(file->sidecar, fault));
    sidecar_free(file->sidecar);
    file->sidecar = NULL;
    return ST_OK;
}

enum status record_close(struct record_file *file, const char **path, struct fault *fault)
{
    if (file->broken)
        return fault_set(fault, ST_IO, "%s is not kept: a line of it could not be written",
                         file->path);
    TRY(close_sidecar(file, fault));
    TRY(out_file_commit(&file->out, fault));
    if (path)
        *path = file->path;
    return ST_OK;
}

enum status record_keep(struct record_file *file, struct fault *fault)
{
    fault->text[0] = '\0';
    TRY(record_close(file, NULL, fault));
    return fault_set(fault, ST_INTERRUPTED, "interrupted; what was done before is kept in %s",
                     file->path);
}

void record_free(struct record_file *file)
{
    if (!file)
        return;
    out_file_discard(&file->out);
    free(file->sweep);
    sidecar_free(file->sidecar);
    free(file->folder);
    free(file->path);
    free(file);
}

const char *record_path(const struct record_file *file) { return file->path; }

const char *record_run_id(const struct record_file *file) { return file->run_id; }

enum status record_sync(struct record_file *file, struct record_mark *mark, struct fault *fault)
{
    mark->cases = file->cases;
    mark->samples_bytes = 0;
    if (file->sidecar) {
        TRY(sidecar_sync(file->sidecar, fault));
        mark->samples_bytes = sidecar_bytes(file->sidecar);
    }
    return out_file_sync(&file->out, &mark->bytes, fault);
}

/* Samples that came after the mark go. Where they have their name already, the run was broken off
 * between the last two steps of record_close, and nothing is to be added. */
static enum status resume_sidecar(struct record_file *file, const struct record_mark *mark,
                                  struct fault *fault)
{
    char *path = sidecar_path(file), *part = NULL;
    enum status status = ST_OK;
    if (!path || asprintf(&part, "%s.part", path) < 0)
        status = no_memory(fault);
    else if (!mark->samples_bytes)
        unlink(part);
    else if (access(part, F_OK) == 0 || access(path, F_OK) != 0)
        status = sidecar_resume(path, mark->samples_bytes, &file->sidecar, fault);
    if (path)
        free(part);
    free(path);
    return status;
}

enum status record_resume(const char *path, const char *run_id, const struct record_mark *mark,
                          struct record_file **out, struct fault *fault)
{
    struct record_file *file = calloc(1, sizeof *file);
    *out = NULL;
    if (!file || !(file->path = strdup(path))) {
        free(file);
        return no_memory(fault);
    }
    file->cases = mark->cases;
    snprintf(file->run_id, sizeof file->run_id, "%s", run_id);
    enum status status = out_file_resume(&file->out, path, mark->bytes, fault);
    if (status == ST_OK)
        status = resume_sidecar(file, mark, fault);
    if (status == ST_OK)
        *out = file;
    else
        record_leave(file);
    return status;
}

void record_leave(struct record_file *file)
{
    if (!file)
        return;
    out_file_leave(&file->out);
    sidecar_leave(file->sidecar);
    file->sidecar = NULL;
    record_free(file);
}
