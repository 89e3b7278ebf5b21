// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* record.h   Result files: JSON Lines, results/SCHEMA.md. One file per run of the program:
 * results/<machine>/<utc>-<commit>.jsonl, beginning with a "run" record, then "case" records.
 * Written to a temporary file in the same folder, synced, renamed when closed; never edited
 * afterwards. */
#ifndef PATCHMARK_RECORD_H
#define PATCHMARK_RECORD_H

#include "base/json.h"

#define RECORD_SCHEMA_VERSION "2.1"

struct record_file;

/* folder: "results" by default. Creates results/<machine>/ and host.json where absent. command is
 * the command line for the header. */
enum status record_open(const char *folder, const char *command, struct record_file **out,
                        struct fault *fault);
/* Of what sweep the cases from here on are: the text of one JSON object, their member `sweep`; NULL:
 * of none. ST_NO_MEMORY. */
enum status record_set_sweep(struct record_file *file, const char *object);
/* Starts a record of `kind` ("case", "compare") in *j with schema, run_id, case number, time; the
 * caller adds members and passes it back to record_write, which closes, appends and frees it. */
void record_begin(struct record_file *file, struct json *j, const char *kind);
enum status record_write(struct record_file *file, struct json *j, struct fault *fault);
/* Sync, rename into place; path of the file in *path (owned by file until record_free). */
enum status record_close(struct record_file *file, const char **path, struct fault *fault);
/* Of a command that was interrupted after it had written cases: record_close, and *fault says where
 * they are. ST_INTERRUPTED, or why they are lost. */
enum status record_keep(struct record_file *file, struct fault *fault);
void record_free(struct record_file *file); /* without record_close: removes the temporary file */

/* ---- a file that an interrupted sweep goes on with (sweep.h) ---- */

/* How far a record file has come, and the samples beside it. */
struct record_mark {
    int64_t bytes, cases, samples_bytes; /* the last of the file of samples; 0: there is none yet */
};
const char *record_path(const struct record_file *file); /* the name it will have */
const char *record_run_id(const struct record_file *file);
/* All written so far is on disk. */
enum status record_sync(struct record_file *file, struct record_mark *mark, struct fault *fault);
/* Opens what is left of `path` (....jsonl, now ....jsonl.part) and cuts it off behind the mark. */
enum status record_resume(const char *path, const char *run_id, const struct record_mark *mark,
                          struct record_file **out, struct fault *fault);
/* In place of record_free: the temporary file stays, for record_resume. */
void record_leave(struct record_file *file);

/* Samples of the case at hand go to the file beside this one (sidecar.h), which appears and vanishes
 * with it. *out says where they are. file NULL: nothing is kept, and out says nothing. */
struct raw;
struct sidecar_place;
enum status record_samples(struct record_file *file, const struct raw *raw,
                           struct sidecar_place *out, struct fault *fault);

/* sha256 of a canonical text, as 64 hex digits (recipes, files). */
void sha256_hex(const void *data, size_t bytes, char out[65]);
/* The same of what comes in pieces. */
struct sha256 {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t rest[64];
};
void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t bytes);
void sha256_end(struct sha256 *s, char out[65]);

#endif
