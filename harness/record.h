// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* record.h   Result files: JSON Lines, results/SCHEMA.md. One file per run of the program:
 * results/<machine>/<utc>-<commit>.jsonl, beginning with a "run" record, then "case" records.
 * Written to a temporary file in the same folder, synced, renamed when closed; never edited
 * afterwards. */
#ifndef PATCHMARK_RECORD_H
#define PATCHMARK_RECORD_H

#include "json.h"

#define RECORD_SCHEMA_VERSION "2.0"

struct record_file;

/* folder: "results" by default. Creates results/<machine>/ and host.json where absent. command is
 * the command line for the header. */
enum status record_open(const char *folder, const char *command, struct record_file **out,
                        struct fault *fault);
/* Starts a record of `kind` ("case", "compare") in *j with schema, run_id, case number, time; the
 * caller adds members and passes it back to record_write, which closes, appends and frees it. */
void record_begin(struct record_file *file, struct json *j, const char *kind);
enum status record_write(struct record_file *file, struct json *j, struct fault *fault);
/* Sync, rename into place; path of the file in *path (owned by file until record_free). */
enum status record_close(struct record_file *file, const char **path, struct fault *fault);
void record_free(struct record_file *file); /* without record_close: removes the temporary file */

/* sha256 of a canonical text, as 64 hex digits (recipes, files). */
void sha256_hex(const void *data, size_t bytes, char out[65]);

#endif
