// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "sweep/sweep.h"

#include "machine/host.h"
#include "sweep/journal.h"
#include "variant/registry.h"

#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VERSION "1"
#define STATE_BYTES 24
#define JOURNAL_ENDING ".journal"

struct sweep {
    struct journal *journal;
    struct record_file *records;
    struct record_mark mark; /* behind the last case done */
    char record[256];        /* name of its file, without a folder */
    char run_id[40], machine[128], build[512];
    struct words argv, options, keys;
    char (*state)[STATE_BYTES]; /* of each case; "": to be run */
    int count, done, done_before, session;
    bool begun;
    char *path; /* of the record file once it has its name */
};

/* ---- what a sweep is, in lines --------------------------------------------------------------- */

/* Where output goes and how it looks is no part of what is measured. */
static bool counts(const char *name)
{
    static const char *const free_ones[] = {"--resume", "--results", "--format", "--dry-run"};
    for (size_t i = 0; i < sizeof free_ones / sizeof *free_ones; i++)
        if (!strcmp(free_ones[i], name))
            return false;
    return true;
}

/* "--name=value" as it is in force; "--name" alone where it is not given. */
static void option_line(const struct option *o, char *out, size_t bytes)
{
    const char *text = o->type == OPTION_TEXT ? *(const char *const *)o->value : NULL;
    const size_t used = (size_t)snprintf(out, bytes, "%s", o->name);
    out += used;
    bytes -= used;
    switch (o->type) {
    case OPTION_TEXT: snprintf(out, bytes, "%s%s", text ? "=" : "", text ? text : ""); break;
    case OPTION_COUNT: snprintf(out, bytes, "=%" PRId64, *(const int64_t *)o->value); break;
    case OPTION_REAL: snprintf(out, bytes, "=%.17g", *(const double *)o->value); break;
    case OPTION_SEED: snprintf(out, bytes, "=%" PRIu64, *(const uint64_t *)o->value); break;
    case OPTION_FLAG:
    case OPTION_FORMAT: snprintf(out, bytes, "%s", *(const bool *)o->value ? "=yes" : ""); break;
    case OPTION_SIZE:
    case OPTION_PAIR:
    case OPTION_EACH: break; /* `run` has none but --plugin, see plugin_line */
    }
}

static void plugin_line(char *out, size_t bytes)
{
    snprintf(out, bytes, "--plugin");
    for (const char *const *p = registry_plugins(); *p; p++) {
        const size_t used = strlen(out);
        snprintf(out + used, bytes - used, "%c%s", p == registry_plugins() ? '=' : ',', *p);
    }
}

static void build_line(char *out, size_t bytes)
{
    snprintf(out, bytes, "%s, %s, %s, without '%s'", build_commit(), build_compiler(),
             build_flags(), build_without());
}

typedef enum status line_fn(void *user, const char *word, const char *text, struct fault *fault);

/* Every line that says what the sweep is, in the order in which they are compared. */
static enum status plan_lines(const struct sweep_plan *plan, line_fn *line, void *user,
                              struct fault *fault)
{
    char text[8192];
    TRY(line(user, "machine", host_machine_slug(), fault));
    build_line(text, sizeof text);
    TRY(line(user, "build", text, fault));
    for (const struct option *o = plan->options; o->name; o++) {
        if (!counts(o->name) || o->type == OPTION_EACH)
            continue;
        option_line(o, text, sizeof text);
        TRY(line(user, "option", text, fault));
    }
    plugin_line(text, sizeof text);
    TRY(line(user, "option", text, fault));
    for (int i = 0; i < plan->list->count; i++)
        TRY(line(user, "case", plan->list->item[i].key, fault));
    return ST_OK;
}

/* ---- beginning ------------------------------------------------------------------------------- */

static enum status add_line(void *user, const char *word, const char *text, struct fault *fault)
{
    struct sweep *s = user;
    return journal_add(s->journal, word, text, fault);
}

static enum status write_head(struct sweep *s, const struct sweep_plan *plan, struct fault *fault)
{
    char begun[96];
    const char *name = strrchr(record_path(s->records), '/');
    TRY(add_line(s, "sweep", VERSION, fault));
    TRY(add_line(s, "record", name ? name + 1 : record_path(s->records), fault));
    TRY(add_line(s, "run_id", record_run_id(s->records), fault));
    for (int i = 0; i < plan->argc; i++)
        TRY(add_line(s, "word", plan->argv[i], fault));
    TRY(plan_lines(plan, add_line, s, fault));
    TRY(record_sync(s->records, &s->mark, fault));
    snprintf(begun, sizeof begun, "%" PRId64 " %" PRId64 " %" PRId64, s->mark.bytes, s->mark.cases,
             s->mark.samples_bytes);
    TRY(add_line(s, "begun", begun, fault));
    return journal_sync(s->journal, fault);
}

static enum status begin_in(struct sweep *s, const struct sweep_plan *plan, struct fault *fault)
{
    char *path;
    s->state = calloc((size_t)plan->list->count + 1, sizeof *s->state);
    TRY(record_open(plan->results, self_command_line(), &s->records, fault));
    if (!s->state || asprintf(&path, "%s" JOURNAL_ENDING, record_path(s->records)) < 0)
        return fault_set(fault, ST_NO_MEMORY, "no memory for a journal");
    enum status status = journal_create(path, &s->journal, fault);
    free(path);
    return status == ST_OK ? write_head(s, plan, fault) : status;
}

enum status sweep_begin(const struct sweep_plan *plan, struct sweep **out, struct fault *fault)
{
    struct sweep *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return fault_set(fault, ST_NO_MEMORY, "no memory for a sweep");
    s->session = 1;
    s->count = plan->list->count;
    enum status status = begin_in(s, plan, fault);
    if (status == ST_OK) {
        *out = s;
        return ST_OK;
    }
    sweep_stop(s, status, fault);
    sweep_free(s);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

static enum status keep_text(char *to, size_t bytes, const char *text)
{
    return (size_t)snprintf(to, bytes, "%s", text) < bytes ? ST_OK : ST_BAD_INPUT;
}

static enum status keep_word(struct words *w, const char *text)
{
    return words_add(w, text) ? ST_OK : ST_NO_MEMORY;
}

static enum status take_begun(struct sweep *s, const char *text)
{
    s->state = calloc((size_t)s->keys.count + 1, sizeof *s->state);
    s->begun = sscanf(text, "%" SCNd64 " %" SCNd64 " %" SCNd64, &s->mark.bytes, &s->mark.cases,
                      &s->mark.samples_bytes) == 3;
    return !s->state ? ST_NO_MEMORY : s->begun ? ST_OK : ST_BAD_INPUT;
}

static enum status take_done(struct sweep *s, const char *text)
{
    int number;
    char state[STATE_BYTES];
    struct record_mark mark;
    if (!s->begun ||
        sscanf(text, "%d %23s %" SCNd64 " %" SCNd64 " %" SCNd64, &number, state, &mark.bytes,
               &mark.cases, &mark.samples_bytes) != 5 ||
        number < 1 || number > s->keys.count || s->state[number - 1][0])
        return ST_BAD_INPUT;
    snprintf(s->state[number - 1], STATE_BYTES, "%s", state);
    s->mark = mark;
    s->done++;
    return ST_OK;
}

static enum status take_line(void *user, const char *word, const char *text, struct fault *fault)
{
    struct sweep *s = user;
    enum status status = ST_OK;
    if (!strcmp(word, "sweep"))
        status = strcmp(text, VERSION) ? ST_BAD_INPUT : ST_OK;
    else if (!strcmp(word, "record"))
        status = strchr(text, '/') ? ST_BAD_INPUT : keep_text(s->record, sizeof s->record, text);
    else if (!strcmp(word, "run_id"))
        status = keep_text(s->run_id, sizeof s->run_id, text);
    else if (!strcmp(word, "machine"))
        status = keep_text(s->machine, sizeof s->machine, text);
    else if (!strcmp(word, "build"))
        status = keep_text(s->build, sizeof s->build, text);
    else if (!strcmp(word, "word"))
        status = keep_word(&s->argv, text);
    else if (!strcmp(word, "option"))
        status = keep_word(&s->options, text);
    else if (!strcmp(word, "case"))
        status = keep_word(&s->keys, text);
    else if (!strcmp(word, "begun"))
        status = take_begun(s, text);
    else if (!strcmp(word, "done"))
        status = take_done(s, text);
    else if (!strcmp(word, "resumed"))
        s->session++;
    else
        status = ST_BAD_INPUT;
    return status == ST_OK ? ST_OK
                           : fault_set(fault, status,
                                       "the journal says '%s %.100s', which this program does not"
                                       " understand",
                                       word, text);
}

static enum status read_sweep(const char *path, struct sweep **out, struct fault *fault)
{
    struct sweep *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return fault_set(fault, ST_NO_MEMORY, "no memory for a sweep");
    s->session = 1;
    enum status status = journal_open(path, take_line, s, &s->journal, fault);
    if (status == ST_OK && (!s->begun || !s->record[0] || !s->keys.count))
        status = fault_set(fault, ST_REFUSED,
                           "%s breaks off before its first case; run the sweep anew and delete it",
                           path);
    s->count = s->keys.count;
    s->done_before = s->done;
    if (status == ST_OK)
        *out = s;
    else
        sweep_free(s);
    return status;
}

/* Names begin with the time, so the last one is the newest. Those that are held, or that hold
 * nothing, are passed over. */
static enum status newest(const char *results, struct sweep **out, struct fault *fault)
{
    char pattern[4200];
    glob_t files = {0};
    struct fault held = {{0}};
    enum status status = ST_REFUSED;
    snprintf(pattern, sizeof pattern, "%s/%s/*.jsonl" JOURNAL_ENDING, results, host_machine_slug());
    if (glob(pattern, 0, NULL, &files) == 0)
        for (size_t i = files.gl_pathc; i > 0 && status == ST_REFUSED; i--)
            status = read_sweep(files.gl_pathv[i - 1], out, &held);
    globfree(&files);
    if (status == ST_REFUSED && held.text[0])
        return fault_set(fault, ST_BAD_INPUT, "%s", held.text);
    if (status == ST_REFUSED)
        return fault_set(fault, ST_BAD_INPUT,
                         "there is no sweep to go on with in %s/%s; --resume FILE names another"
                         " journal",
                         results, host_machine_slug());
    return status == ST_OK ? ST_OK : fault_set(fault, status, "%s", held.text);
}

enum status sweep_find(const char *path, const char *results, struct sweep **out,
                       struct fault *fault)
{
    char *with = NULL;
    const size_t n = path ? strlen(path) : 0, e = strlen(JOURNAL_ENDING);
    if (!path)
        return newest(results, out, fault);
    /* X.jsonl, X.jsonl.part and X.jsonl.journal all mean the same sweep. */
    const size_t part = n > 5 && !strcmp(path + n - 5, ".part") ? n - 5 : n;
    if (n > e && !strcmp(path + n - e, JOURNAL_ENDING))
        with = strdup(path);
    else if (asprintf(&with, "%.*s" JOURNAL_ENDING, (int)part, path) < 0)
        with = NULL;
    if (!with)
        return fault_set(fault, ST_NO_MEMORY, "no memory for a name");
    enum status status = read_sweep(with, out, fault);
    free(with);
    return status == ST_REFUSED ? ST_BAD_INPUT : status;
}

bool sweep_alone(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        char name[32];
        const size_t n = strcspn(argv[i], "=");
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : 0), argv[i]);
        if (argv[i][0] == '-' && counts(name))
            return false;
        i += argv[i][0] == '-' && !argv[i][n] && strcmp(name, "--resume") != 0;
    }
    return true;
}

void sweep_words(const struct sweep *s, int *argc, char ***argv)
{
    *argc = s->argv.count;
    *argv = s->argv.word;
}

/* ---- the same sweep? ------------------------------------------------------------------------- */

struct comparison {
    const struct sweep *s;
    int options, cases;
};

static enum status differs(const char *what, const char *is, const char *was, struct fault *fault)
{
    return fault_set(
        fault, ST_BAD_INPUT,
        "not the sweep that was begun: %s is %.200s here and was %.200s then; give what"
        " it was begun with, or 'run --resume' alone, or begin a new sweep without"
        " --resume",
        what, is, was);
}

static enum status compare_option(const struct sweep *s, int at, const char *text,
                                  struct fault *fault)
{
    char name[64];
    const char *was = at < s->options.count ? s->options.word[at] : "";
    if (!strcmp(was, text))
        return ST_OK;
    const size_t n = strcspn(text, "="), m = strcspn(was, "=");
    snprintf(name, sizeof name, "%.*s", (int)n, text);
    if (n != m || strncmp(was, text, n))
        return differs("the list of options", name, was, fault);
    return differs(name, text[n] ? text + n + 1 : "not given", was[m] ? was + m + 1 : "not given",
                   fault);
}

static enum status compare_line(void *user, const char *word, const char *text, struct fault *fault)
{
    struct comparison *c = user;
    const struct sweep *s = c->s;
    if (!strcmp(word, "option"))
        return compare_option(s, c->options++, text, fault);
    if (!strcmp(word, "case")) {
        const char *was = c->cases < s->keys.count ? s->keys.word[c->cases] : "not there";
        c->cases++;
        return strcmp(was, text) ? differs("case", text, was, fault) : ST_OK;
    }
    const char *was = !strcmp(word, "machine") ? s->machine : s->build;
    return strcmp(was, text)
               ? differs(!strcmp(word, "machine") ? "the machine" : "the program", text, was, fault)
               : ST_OK;
}

static enum status check_same(const struct sweep *s, const struct sweep_plan *plan,
                              struct fault *fault)
{
    struct comparison c = {.s = s};
    TRY(plan_lines(plan, compare_line, &c, fault));
    if (c.cases == s->keys.count)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT,
                     "not the sweep that was begun: it has %d cases here and had %d then", c.cases,
                     s->keys.count);
}

/* The record file beside the journal. */
static enum status reopen(struct sweep *s, struct fault *fault)
{
    const char *journal = journal_path(s->journal), *slash = strrchr(journal, '/');
    char *path;
    if (asprintf(&path, "%.*s%s", slash ? (int)(slash + 1 - journal) : 0, journal, s->record) < 0)
        return fault_set(fault, ST_NO_MEMORY, "no memory for a name");
    enum status status = ST_OK;
    if (s->done == s->count && !access(path, F_OK))
        s->path = strdup(path); /* broken off between the last two steps: it has its name already */
    else
        status = record_resume(path, s->run_id, &s->mark, &s->records, fault);
    free(path);
    return status;
}

enum status sweep_resume(struct sweep *s, const struct sweep_plan *plan, struct fault *fault)
{
    char utc[32];
    const time_t now = time(NULL);
    struct tm at;
    TRY(check_same(s, plan, fault));
    TRY(reopen(s, fault));
    gmtime_r(&now, &at);
    strftime(utc, sizeof utc, "%Y-%m-%dT%H:%M:%SZ", &at);
    s->session++;
    TRY(journal_add(s->journal, "resumed", utc, fault));
    return journal_sync(s->journal, fault);
}

/* ---- running --------------------------------------------------------------------------------- */

struct record_file *sweep_records(struct sweep *s) { return s->records; }

const char *sweep_state(const struct sweep *s, int number)
{
    return s->state[number][0] ? s->state[number] : NULL;
}

int sweep_done_before(const struct sweep *s) { return s->done_before; }

int sweep_session(const struct sweep *s) { return s->session; }

enum status sweep_done(struct sweep *s, int number, const char *state, struct fault *fault)
{
    char text[128];
    struct record_mark mark;
    TRY(record_sync(s->records, &mark, fault));
    snprintf(text, sizeof text, "%d %s %" PRId64 " %" PRId64 " %" PRId64, number + 1, state,
             mark.bytes, mark.cases, mark.samples_bytes);
    TRY(journal_add(s->journal, "done", text, fault));
    TRY(journal_sync(s->journal, fault));
    snprintf(s->state[number], STATE_BYTES, "%s", state);
    s->mark = mark;
    s->done++;
    return ST_OK;
}

enum status sweep_finish(struct sweep *s, const char **path, struct fault *fault)
{
    if (s->records)
        TRY(record_close(s->records, path, fault));
    if (!s->path)
        s->path = strdup(*path);
    *path = s->path;
    record_free(s->records);
    journal_remove(s->journal);
    s->records = NULL;
    s->journal = NULL;
    return s->path ? ST_OK : fault_set(fault, ST_NO_MEMORY, "no memory for a name");
}

void sweep_stop(struct sweep *s, enum status status, struct fault *fault)
{
    char why[sizeof fault->text], command[4400] = "patchmark run --resume";
    if (!s->done) {
        record_free(s->records);
        journal_remove(s->journal);
    } else {
        command_append(command, sizeof command, journal_path(s->journal));
        snprintf(why, sizeof why, "%s", fault->text[0] ? fault->text : "interrupted");
        fault->text[0] = 0;
        fault_set(fault, status, "%.500s; %d of %d cases are done, go on with: %.400s", why,
                  s->done, s->count, command);
        record_leave(s->records);
        journal_free(s->journal);
    }
    s->records = NULL;
    s->journal = NULL;
}

void sweep_free(struct sweep *s)
{
    if (!s)
        return;
    record_leave(s->records);
    journal_free(s->journal);
    words_free(&s->argv);
    words_free(&s->options);
    words_free(&s->keys);
    free(s->state);
    free(s->path);
    free(s);
}
