// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* patchmark.h   What the subcommands share: the table of them, their options, exit codes. */
#ifndef PATCHMARK_PATCHMARK_H
#define PATCHMARK_PATCHMARK_H

#include "op.h"

enum exit_code { EXIT_OK = 0, EXIT_CHECK = 1, EXIT_INPUT = 2, EXIT_NOTHING = 3 };

/* Options of a subcommand: a table; options_parse fills the fields it points at. */
enum option_type {
    OPTION_TEXT,
    OPTION_COUNT,
    OPTION_REAL,
    OPTION_SEED,
    OPTION_SIZE,
    OPTION_PAIR,
    OPTION_FLAG,
    OPTION_FORMAT, /* "text" or "json" */
    OPTION_EACH    /* may be repeated: `each` takes every one, in order */
};

/* Two numbers, the second NAN where one was given. */
struct real2 {
    double first, second;
};

struct size2 {
    int64_t width, height;
};

struct option {
    const char *name;     /* "--steps" */
    const char *argument; /* "N", NULL for a flag */
    enum option_type type;
    void *value; /* const char **, int64_t *, double *, uint64_t *, struct size2 *,
                    struct real2 *, bool *: is there, is json */
    const char *help;
    enum status (*each)(const char *text, struct fault *fault);
};

#define FORMAT_OPTION(json)                                                                        \
    {                                                                                              \
        "--format", "text|json", OPTION_FORMAT, json, "json: one document on standard output"      \
    }

/* argv after the subcommand's name. Words that are no options go to positional (at most *count).
 * Unknown options name the nearest one. */
enum status options_parse(const struct option *options, int argc, char **argv,
                          const char **positional, int *count, struct fault *fault);
void options_help(const struct option *options, FILE *out);

/* Up to three of `names` that look like `wrong`: "; did you mean a, b?" or "". */
void nearest_names(const char *wrong, const char *const *names, int count, char *out, size_t bytes);

struct subcommand {
    const char *name, *arguments, *summary;
    const char *examples; /* one per line, without the leading command name */
    int (*run)(int argc, char **argv, struct fault *fault); /* returns an exit code */
    void (*help)(FILE *out);                                /* prints the option table */
    bool hidden;
    const char *group; /* of the help: begins here; NULL: goes on */
};
extern const struct subcommand subcommands[];

int exit_code_of(enum status status);        /* the sentence itself is printed by main */
const char *status_name(enum status status); /* "passed", "refused", ...: the states of a record */

/* Set by SIGINT and SIGTERM handlers; long loops look at it. */
extern volatile int interrupted_by;
void signals_install(void);

/* Work in TFLOP, from that of a test's model to that of an hour of film. Returns out. */
#define TFLOP_BYTES 32
const char *tflop_text(double flops, char out[TFLOP_BYTES]);

/* One line on stderr that the next one replaces, only where stderr is a terminal; NULL clears
 * it. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
void progress_line(const char *format, ...);

/* Standard output for ourselves alone: a stream on it, while file descriptor 1 now goes to stderr,
 * so that nothing a kernel prints gets between what we say. */
enum status stdout_take(FILE **out, struct fault *fault);

/* This program's path, for workers; its whole command line, for records. */
const char *self_path(void);
const char *self_command_line(void);
/* A list of models as a record tells it: folders by their last name alone. Until the next call. */
const char *models_shown(const char *list);
/* A command as a record tells it: of paths from the root their last names alone. Likewise. */
const char *command_shown(const char *command);
/* Appends a blank and the word, quoted for a shell where it must be; cuts at `bytes`. */
void command_append(char *line, size_t bytes, const char *word);

#endif
