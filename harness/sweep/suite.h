// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* suite.h   What suite.c, which reads suites, takes from run_cases.c. */
#ifndef PATCHMARK_SUITE_H
#define PATCHMARK_SUITE_H

#include "sweep/run_cases.h"

enum status cases_add(struct case_list *list, const struct run_case *c, struct fault *fault);
/* The product of the axes onto `first`. *line: of the suite, where the axis at hand stands. */
enum status cases_multiply(const struct run_case *first, const struct axes *axes,
                           struct case_list *list, int *line, struct fault *fault);

#endif
