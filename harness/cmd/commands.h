// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* commands.h   The subcommands: each returns an exit code and prints its own option table as
 * help. */
#ifndef PATCHMARK_COMMANDS_H
#define PATCHMARK_COMMANDS_H

#include "base/patchmark.h"

int cmd_list(int argc, char **argv, struct fault *fault);
int cmd_generate(int argc, char **argv, struct fault *fault);
int cmd_reconstruct(int argc, char **argv, struct fault *fault);
int cmd_verify(int argc, char **argv, struct fault *fault);
int cmd_run(int argc, char **argv, struct fault *fault);
int cmd_kernels(int argc, char **argv, struct fault *fault);
int cmd_calibrate(int argc, char **argv, struct fault *fault);
int cmd_compare(int argc, char **argv, struct fault *fault);
int cmd_selftest(int argc, char **argv, struct fault *fault);
int cmd_plot(int argc, char **argv, struct fault *fault);
int cmd_export(int argc, char **argv, struct fault *fault);
int cmd_gate(int argc, char **argv, struct fault *fault);
int cmd_doctor(int argc, char **argv, struct fault *fault);
int cmd_roofline(int argc, char **argv, struct fault *fault);
int cmd_tune(int argc, char **argv, struct fault *fault);
int cmd_inspect(int argc, char **argv, struct fault *fault);

void help_list(FILE *out);
void help_generate(FILE *out);
void help_reconstruct(FILE *out);
void help_verify(FILE *out);
void help_run(FILE *out);
void help_kernels(FILE *out);
void help_calibrate(FILE *out);
void help_compare(FILE *out);
void help_selftest(FILE *out);
void help_plot(FILE *out);
void help_export(FILE *out);
void help_gate(FILE *out);
void help_doctor(FILE *out);
void help_roofline(FILE *out);
void help_tune(FILE *out);
void help_inspect(FILE *out);

/* What the hidden `worker <kind> ...` runs, the other end of worker.h; argv follows <kind>. */
#define WORKER_LIST(X) X(verify) X(kernels) X(pipeline) X(parity) X(hello) X(tune) X(exec)
#define WORKER_DECLARE(kind) int worker_##kind(int argc, char **argv, struct fault *fault);
WORKER_LIST(WORKER_DECLARE)
#undef WORKER_DECLARE

#endif
