// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "tune/tune_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/out_file.h"
#include "records/record.h"

#define FIELDS 15

/* ---- which search ---------------------------------------------------------------------------- */

/* Sixteen digits over the question; the budget belongs to it, for more time finds more. */
static void name_search(const char *place, const char *what, const struct tune_options *o,
                        const struct bucket_list *list, char out[17])
{
    int count;
    char digits[65];
    struct json j;
    const struct registry_entry *all = registry(&count);
    json_init(&j, false);
    json_open_array(&j, NULL);
    json_text(&j, NULL, place);
    json_text(&j, NULL, what);
    json_text(&j, NULL, o->glob);
    json_number(&j, NULL, isinf(o->budget_s) ? -1 : o->budget_s);
    json_int(&j, NULL, o->most);
    json_int(&j, NULL, (int64_t)o->seed);
    for (int i = 0; i < list->count; i++)
        json_text(&j, NULL, list->item[i].shape);
    for (int i = 0; i < count; i++) {
        json_text(&j, NULL, all[i].name);
        json_int(&j, NULL, (int64_t)all[i].source_hash);
        json_bool(&j, NULL, all[i].variant != NULL);
    }
    json_end(&j);
    sha256_hex(j.text, j.used, digits);
    json_free(&j);
    snprintf(out, 17, "%.16s", digits);
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* FNV-1a, 16 digits at the end of each line: a torn one is told from a whole one. */
static uint64_t check_of(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return h;
}

static struct bucket *bucket_named(struct bucket_list *list, const char *name)
{
    for (int i = 0; i < list->count; i++)
        if (!strcmp(list->item[i].name, name))
            return &list->item[i];
    return NULL;
}

static bool take_line(char *line, struct bucket_list *list)
{
    char *field[FIELDS], *rest = line, *check = strrchr(line, '\t');
    if (!check)
        return false;
    *check++ = '\0';
    if (strlen(check) != 16 || strtoull(check, NULL, 16) != check_of(line))
        return false;
    for (int i = 0; i < FIELDS; i++)
        if (!(field[i] = strsep(&rest, "\t")))
            return false;
    struct bucket *b = bucket_named(list, field[0]);
    if (!b || b->resumed)
        return false;
    b->resumed = true;
    b->decision = (enum decision)atoi(field[1]);
    b->tried = atoi(field[2]);
    b->pruned = atoi(field[3]);
    b->refused = atoi(field[4]);
    b->wrong = atoi(field[5]);
    b->count = atoi(field[6]);
    b->default_s = strtod(field[7], NULL);
    b->winner_s = strtod(field[8], NULL);
    for (int i = 0; i < 3; i++)
        b->ratio[i] = strtod(field[9 + i], NULL);
    snprintf(b->variant, sizeof b->variant, "%s", strcmp(field[12], "-") ? field[12] : "");
    snprintf(b->knobs, sizeof b->knobs, "%s", field[13]);
    snprintf(b->why, sizeof b->why, "%s", strcmp(field[14], "-") ? field[14] : "");
    return b->decision > DECISION_NONE && b->decision < DECISION_COUNT;
}

static int read_lines(const char *path, struct bucket_list *list)
{
    FILE *in = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    int taken = 0;
    ssize_t got;
    while (in && (got = getline(&line, &room, in)) > 0) {
        const bool whole = line[got - 1] == '\n';
        line[strcspn(line, "\n")] = '\0';
        taken += whole && take_line(line, list);
    }
    free(line);
    if (in)
        fclose(in);
    return taken;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* A line that a kill tore has no newline; the next one must not be glued to it. */
static enum status begin_line(struct tune_journal *j, struct fault *fault)
{
    struct stat info;
    char last = '\n';
    if (!fstat(j->fd, &info) && info.st_size > 0 && pread(j->fd, &last, 1, info.st_size - 1) == 1 &&
        last != '\n' && write(j->fd, "\n", 1) != 1)
        return fault_set(fault, ST_IO, "%s cannot be written: %s", j->path, strerror(errno));
    return ST_OK;
}

enum status tune_journal_open(const char *folder, const char *place, const char *what,
                              const struct tune_options *options, struct bucket_list *list,
                              struct tune_journal *j, bool afresh, int *resumed,
                              struct fault *fault)
{
    char search[17];
    name_search(place, what, options, list, search);
    TRY(folder_create(folder, fault));
    snprintf(j->path, sizeof j->path, "%s/tune-%s.journal", folder, search);
    if (afresh)
        unlink(j->path);
    *resumed = read_lines(j->path, list);
    j->fd = open(j->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (j->fd < 0)
        return fault_set(fault, ST_IO, "cannot create %s: %s", j->path, strerror(errno));
    return begin_line(j, fault);
}

enum status tune_journal_add(struct tune_journal *j, const struct bucket *b, struct fault *fault)
{
    char text[2048], why[512];
    snprintf(why, sizeof why, "%s", b->why[0] ? b->why : "-");
    for (char *c = why; *c; c++)
        *c = *c == '\t' || *c == '\n' ? ' ' : *c;
    int n = snprintf(text, sizeof text - 20,
                     "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\t%s\t%s\t%s",
                     b->name, (int)b->decision, b->tried, b->pruned, b->refused, b->wrong, b->count,
                     b->default_s, b->winner_s, b->ratio[0], b->ratio[1], b->ratio[2],
                     b->variant[0] ? b->variant : "-", b->knobs[0] ? b->knobs : "-", why);
    n += snprintf(text + n, sizeof text - (size_t)n, "\t%016" PRIx64 "\n", check_of(text));
    if (write(j->fd, text, (size_t)n) != n || fdatasync(j->fd))
        return fault_set(fault, ST_IO, "%s cannot be written: %s", j->path, strerror(errno));
    return ST_OK;
}

void tune_journal_close(struct tune_journal *j, bool finished)
{
    if (j->fd < 0)
        return;
    close(j->fd);
    j->fd = -1;
    if (finished)
        unlink(j->path);
}
