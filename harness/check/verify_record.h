// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* verify_record.h   A row of verify, of a variant or of a plan, as a case of results/SCHEMA.md, and
 * as a command line that checks the same again. */
#ifndef PATCHMARK_VERIFY_RECORD_H
#define PATCHMARK_VERIFY_RECORD_H

#include "base/json.h"
#include "check/verify.h"
#include "check/verify_pipeline.h"

#define VERIFY_COMMAND_BYTES 6000

/* Checks the row's variant alone, at this shape; NULL: at all that its op is checked at. */
void verify_command(const char *program, const struct verify_request *request,
                    const struct verify_row *row, const char *shape, char *out, size_t bytes);

/* The members of a case record. */
void verify_case(const struct verify_request *request, const struct verify_row *row,
                 struct json *j);
void parity_case(const struct parity_request *request, const struct parity_row *row,
                 struct json *j);

/* "cpu", "cuda", "emulated"; NULL: the plan did not come to run. */
const char *parity_ran_on(const struct parity_row *row);

#endif
