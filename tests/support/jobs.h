// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* jobs.h   Programs run beside each other, as many at a time as there are processors. */
#ifndef PATCHMARK_TESTS_JOBS_H
#define PATCHMARK_TESTS_JOBS_H

#define JOB_WORDS 40
#define JOB_VARIABLES 8

struct job {
    const char *argv[JOB_WORDS];         /* [0] is searched in PATH; ends with NULL */
    const char *variable[JOB_VARIABLES]; /* "NAME=VALUE" beside this process's own */
    /* after jobs_run */
    int code;        /* exit code; 128 + signal; -1 where it could not be started */
    char *out, *err; /* all it wrote, jobs_free gives them back */
    double seconds;  /* from start to end */
};

/* Runs them all, in their order, and waits for the last. A job without argv[0] is passed over. */
void jobs_run(struct job *job, int count);
void jobs_free(struct job *job, int count);

/* A word of a job, made up; it lives as long as the test. */
__attribute__((format(printf, 1, 2))) const char *job_word(const char *format, ...);

#endif
