// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* choice_state.h   A choice's insides: the words of --kernels or the lines of a plan file as rules
 * (choice_words.c), and what is answered by them (choice.c). */
#ifndef PATCHMARK_CHOICE_STATE_H
#define PATCHMARK_CHOICE_STATE_H

#include "variant/choice.h"

enum word { WORD_AUTO, WORD_BASE, WORD_REFERENCE, WORD_EXPANDED, WORD_TARGET, WORD_VARIANT };

struct rule {
    int op;          /* enum op_id, or -1: every op */
    int first, last; /* denoising steps; 0, 0: always */
    enum word word;
    char target[32];
    const struct registry_entry *entry;
    char *shape; /* plan files: the exact shape line, else NULL */
    int64_t knob[KNOB_MAX];
    bool knobs_given;
};

/* One run of a variant before the plan was made. */
struct trial {
    const struct registry_entry *entry;
    char *shape; /* "" for every shape: its library could not be opened */
    bool refused;
};

struct choice {
    struct trial *trial;
    int trials;
    struct rule *rule;
    int count, room;
    bool from_file;
    int threads;
    enum device_kind device;
    const char *tuned_file; /* the engine's copy */
    struct tuned *tuned;    /* NULL: none, or not to be used */
    struct fault untuned;   /* why not */
    char place[96];
};

/* Of a target: the higher, the faster where several run. */
int choice_rank_of(const char *target);
extern const char *const choice_place[]; /* "on the CPU", by enum device_kind */

/* choice_words.c: each adds rules; later ones win */
enum status choice_add_rule(struct choice *c, const struct rule *rule);
enum status choice_parse_list(struct choice *c, const char *words, struct fault *fault);
enum status choice_read_plan(struct choice *c, const char *path, struct fault *fault);
/* "-" or settings, comma-separated; what is not named has its default. */
enum status choice_parse_knobs(const struct variant *v, const char *text, int64_t knob[KNOB_MAX],
                               struct fault *fault);

#endif
