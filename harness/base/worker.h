// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* worker.h   Fresh processes of this program that do the measuring. The supervisor sends lines and
 * receives lines; it owns the deadline, so that a worker which crashes, hangs or goes silent costs
 * one row. Spawned with posix_spawn (never fork alone), threads that sleep when idle, own process
 * group. */
#ifndef PATCHMARK_WORKER_H
#define PATCHMARK_WORKER_H

#include "op.h"

#include <sys/types.h>

struct worker;

/* argv is NULL-terminated, beginning with "worker"; this program's path goes in front, the plugins
 * loaded here behind. */
enum status worker_spawn(const char *const *argv, struct worker **out, struct fault *fault);
/* Likewise, of another build of this program; NULL: this one. */
enum status worker_spawn_program(const char *program, const char *const *argv, struct worker **out,
                                 struct fault *fault);
enum status worker_send(struct worker *w, const char *line, struct fault *fault);
/* Another program's are started with "worker", "exec" and its own words (external_exec.c); plugins
 * stay away from these, and sentences call it the engine. */
/* One line without its newline, valid until the next call. ST_TIMEOUT after seconds, ST_CRASHED
 * with the signal or exit code named when the worker ended, ST_INTERRUPTED on a signal to us. */
enum status worker_receive(struct worker *w, double seconds, const char **line,
                           struct fault *fault);
/* A worker's own word on what went wrong, "fault STATUS SENTENCE", as status and sentence; ST_OK: the
 * line is another. */
enum status worker_fault(const char *line, struct fault *fault);
/* How long a slow, busy machine may take to fill so many bytes of operands. */
static inline double worker_fill_seconds(double bytes) { return bytes / 2e7; }
/* What the worker wrote to stderr so far (last 4 KiB). */
const char *worker_stderr(struct worker *w);
size_t worker_peak_resident(const struct worker *w); /* after it ended, bytes */
/* In the worker: the line to the supervisor, taken away from standard output, so that nothing a
 * kernel prints can pass for an answer (it goes to stderr); and the worker dies with its
 * supervisor. */
enum status worker_take_line_out(FILE **out, struct fault *fault);
/* From another thread than the one that receives: no more lines, so that the other is told that the
 * worker ended. */
void worker_hang_up(const struct worker *w);
pid_t worker_pid(const struct worker *w);
void worker_end(struct worker *w); /* asks it to finish, kills after a grace, frees */

#endif
