// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "compare/compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/patchmark.h"
#include "machine/host.h"
#include "records/results_read.h"

#define PATHS_MAX 256

/* One case that has times. */
struct entry {
    struct result *record; /* owned */
    double median_ns;
    bool told; /* its recipe was dealt with */
};

struct side {
    struct entry *entry;
    int count, room;
    const char *name; /* "A" */
};

/* ---- reading --------------------------------------------------------------------------------- */

static enum status take(const struct result *r, void *user, struct fault *fault)
{
    struct side *side = user;
    if (strcmp(r->kind, "case") != 0 || !result_timed(r))
        return ST_OK;
    if (side->count == side->room) {
        int room = side->room ? 2 * side->room : 64;
        struct entry *grown = realloc(side->entry, (size_t)room * sizeof *grown);
        if (!grown)
            return fault_set(fault, ST_NO_MEMORY, "no memory for the records");
        side->entry = grown;
        side->room = room;
    }
    struct entry *e = &side->entry[side->count];
    *e = (struct entry){result_keep(r), result_number(r, "timing.median"), false};
    if (!e->record)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the records");
    side->count++;
    return ST_OK;
}

/* Files and folders with commas between. */
static enum status read_all(struct side *side, const char *text, struct fault *fault)
{
    const char *paths[PATHS_MAX];
    char *copy = strdup(text), *rest = NULL;
    int count = 0;
    if (!copy)
        return fault_set(fault, ST_NO_MEMORY, "no memory for file names");
    for (char *path = strtok_r(copy, ",", &rest); path && count < PATHS_MAX;
         path = strtok_r(NULL, ",", &rest))
        paths[count++] = path;
    enum status status = results_read(paths, count, NULL, take, side, NULL, fault);
    free(copy);
    if (status == ST_OK && side->count == 0)
        return fault_set(fault, ST_BAD_INPUT, "no case in '%s' has times", text);
    return status;
}

static void side_free(struct side *side)
{
    for (int i = 0; i < side->count; i++)
        result_drop(side->entry[i].record);
    free(side->entry);
}

/* ---- are they the same? ---------------------------------------------------------------------- */

/* What was measured, by which means, and by what. */
static bool identifies(const char *path)
{
    static const char *const whole[] = {"case_kind", "claim", "impl.variant"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (!strcmp(path, whole[i]))
            return true;
    return !strncmp(path, "recipe.", 7) || !strncmp(path, "impl.knobs.", 11);
}

struct difference {
    int count;
    char field[128], old_text[160], new_text[160]; /* of the first */
};

struct walk {
    const struct result *a, *b;
    bool only_b; /* members that a has too were looked at before */
    struct difference d;
};

static void look(const char *path, void *user)
{
    struct walk *w = user;
    struct difference *d = &w->d;
    if (!identifies(path) || (w->only_b && result_type(w->a, path) != RESULT_ABSENT))
        return;
    char *a = result_word(w->a, path), *b = result_word(w->b, path);
    if ((!a || !b || strcmp(a, b) != 0) && d->count++ == 0) {
        snprintf(d->field, sizeof d->field, "%s", path);
        snprintf(d->old_text, sizeof d->old_text, "%s", a && *a ? a : "absent");
        snprintf(d->new_text, sizeof d->new_text, "%s", b && *b ? b : "absent");
    }
    free(a);
    free(b);
}

static struct difference difference_of(const struct entry *a, const struct entry *b)
{
    struct walk w = {.a = a->record, .b = b->record};
    result_leaves(w.a, look, &w);
    w.only_b = true;
    result_leaves(w.b, look, &w);
    return w.d;
}

static struct difference nearest(const struct entry *e, const struct side *other)
{
    struct difference best = {INT32_MAX, "", "", ""};
    for (int i = 0; i < other->count; i++) {
        struct difference d = difference_of(e, &other->entry[i]);
        if (d.count < best.count)
            best = d;
    }
    return best;
}

/* "c_01_plain modulate:S=780,C=768,type=f32", "tiny 128x72, 17 frames, 4 steps" */
static void label(const struct entry *e, char *out, size_t bytes)
{
    const struct result *r = e->record;
    if (result_type(r, "recipe.model") != RESULT_ABSENT)
        snprintf(out, bytes, "%s %gx%g, %g frames, %g steps", result_text(r, "recipe.model"),
                 result_number(r, "recipe.width"), result_number(r, "recipe.height"),
                 result_number(r, "recipe.frames"), result_number(r, "recipe.steps"));
    else
        snprintf(out, bytes, "%s %s", result_text(r, "impl.variant"),
                 result_text(r, "recipe.shape"));
}

/* ---- one recipe ------------------------------------------------------------------------------ */

struct matched {
    char label[512], machine_a[128], machine_b[128];
    struct judgement judgement;
    double spread_a[2], spread_b[2]; /* least and largest, seconds */
};

/* Seconds of all entries that are like `e`, which are then told. */
static double *gather(struct side *side, const struct entry *e, int64_t *count, double spread[2],
                      char machine[128])
{
    double *seconds = malloc((size_t)side->count * sizeof *seconds);
    *count = 0;
    spread[0] = INFINITY;
    spread[1] = 0;
    for (int i = 0; seconds && i < side->count; i++) {
        struct entry *other = &side->entry[i];
        if (other->told || difference_of(e, other).count > 0)
            continue;
        double one = seconds[(*count)++] = other->median_ns * 1e-9;
        other->told = true;
        spread[0] = fmin(spread[0], one);
        spread[1] = fmax(spread[1], one);
        const char *on = result_text(other->record, "run.machine");
        if (*count > 1 && strcmp(machine, on) != 0)
            on = "several machines";
        snprintf(machine, 128, "%s", on);
    }
    return seconds;
}

static bool match(struct side *old_side, struct side *new_side, const struct entry *e,
                  struct matched *m, bool *memory)
{
    int64_t na = 0, nb = 0;
    struct entry like = *e; /* `e` itself is told on the way */
    double *b = gather(new_side, &like, &nb, m->spread_b, m->machine_b);
    double *a = nb ? gather(old_side, &like, &na, m->spread_a, m->machine_a) : NULL;
    label(e, m->label, sizeof m->label);
    *memory = b && (!nb || (a && verdict_judge(a, na, b, nb, 1, &m->judgement)));
    if (*memory && nb &&
        isnan(m->judgement.ratio)) /* too few for an interval, not for a quotient */
        m->judgement.ratio = m->judgement.median_a / m->judgement.median_b;
    free(a);
    free(b);
    return *memory && nb > 0;
}

/* ---- telling --------------------------------------------------------------------------------- */

static void print_side(char name, const char *machine, int64_t n, double median,
                       const double spread[2], FILE *out)
{
    char time[48], least[48], most[48];
    kernels_time_text(median, NAN, time, sizeof time);
    kernels_time_text(spread[0], NAN, least, sizeof least);
    kernels_time_text(spread[1], NAN, most, sizeof most);
    fprintf(out, "  %c  %-10s %" PRId64 " run%s", name, time, n, n == 1 ? "" : "s");
    if (n > 1)
        fprintf(out, ", %s to %s", least, most);
    fprintf(out, "  %s\n", machine);
}

static void print_matched(const struct matched *m, double threshold, int tests, FILE *out)
{
    const struct judgement *j = &m->judgement;
    char sentence[512];
    fprintf(out, "%s\n", m->label);
    print_side('A', m->machine_a, j->na, j->median_a, m->spread_a, out);
    print_side('B', m->machine_b, j->nb, j->median_b, m->spread_b, out);
    compare_sentence(j, threshold, tests, sentence, sizeof sentence);
    if (j->verdict == VERDICT_NONE)
        fprintf(out,
                "  descriptive only: B has %.4g times A's speed; not measured in turn, and a test"
                " takes %d process runs of each\n\n",
                j->ratio, VERDICT_LEAST);
    else
        fprintf(out, "  %s\n\n", sentence);
}

static void json_matched(const struct matched *m, struct json *j)
{
    const struct judgement *q = &m->judgement;
    json_open_object(j, NULL);
    json_text(j, "case", m->label);
    json_text(j, "machine_a", m->machine_a);
    json_text(j, "machine_b", m->machine_b);
    json_int(j, "runs_a", q->na);
    json_int(j, "runs_b", q->nb);
    json_number(j, "median_a_ns", q->median_a * 1e9);
    json_number(j, "median_b_ns", q->median_b * 1e9);
    json_text(j, "verdict", q->verdict == VERDICT_NONE ? NULL : verdict_name(q->verdict));
    json_number(j, "ratio", q->ratio);
    json_number(j, "ratio_lo", q->lo);
    json_number(j, "ratio_hi", q->hi);
    json_number(j, "p", q->p);
    json_number(j, "p_adjusted", q->adjusted);
    json_end(j);
}

static int untold(const struct side *side)
{
    int count = 0;
    for (int i = 0; i < side->count; i++)
        count += !side->entry[i].told;
    return count;
}

/* What is in one set alone, with the field that keeps it from the nearest of the other. */
static void print_unmatched(struct side *side, struct side *other, FILE *out)
{
    for (int i = 0; i < side->count; i++) {
        char name[512];
        struct difference d = nearest(&side->entry[i], other);
        if (side->entry[i].told)
            continue;
        label(&side->entry[i], name, sizeof name);
        fprintf(out, "not compared: %s of %s: %s is %s here and %s there\n", name, side->name,
                d.field, d.old_text, d.new_text);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool of_this_machine(const struct side *side)
{
    for (int i = 0; i < side->count; i++)
        if (strcmp(result_text(side->entry[i].record, "run.machine"), host_machine_slug()) != 0)
            return false;
    return true;
}

/* Of all numbers of threads there, the one whose floor is highest, as it is where none is stored. */
static bool noisiest(const struct compare_files *c, const struct side *side,
                     struct calibration *worst, int64_t *threads)
{
    char note[512];
    int64_t last = -1;
    for (int i = 0; i < side->count; i++) {
        struct calibration one;
        double number = result_number(side->entry[i].record, "recipe.threads");
        int64_t count = number >= 1 ? (int64_t)number : host_cores();
        if (count == last)
            continue;
        last = count;
        if (!calibration_newest(c->calibrations, count, &one, note, sizeof note)) {
            *threads = count;
            return false;
        }
        if (one.floor > worst->floor) {
            *worst = one;
            *threads = count;
        }
    }
    return true;
}

static enum status settle_threshold(struct compare_files *c, const struct side *a,
                                    const struct side *b, struct fault *fault)
{
    struct calibration calibration = {.floor = 0};
    char floor[256];
    int64_t threads = host_cores();
    bool own = of_this_machine(a) && of_this_machine(b) && noisiest(c, a, &calibration, &threads) &&
               noisiest(c, b, &calibration, &threads);
    const struct calibration *known = own ? &calibration : NULL;
    if (isnan(c->threshold))
        c->threshold = calibration_threshold(known);
    if (c->threshold >= calibration_floor(known))
        return ST_OK;
    calibration_describe(known, threads, floor, sizeof floor);
    return fault_set(fault, ST_BAD_INPUT,
                     "--threshold %g %% is less than can be told apart here (%s)",
                     100 * c->threshold, floor);
}

static void judge_all(struct compare_files *c, struct matched *m)
{
    struct judgement **all = calloc((size_t)c->compared + 1, sizeof *all);
    for (int i = 0; all && i < c->compared; i++)
        all[i] = &m[i].judgement;
    if (all)
        verdict_holm(all, c->compared);
    for (int i = 0; all && i < c->compared; i++) {
        verdict_decide(all[i], c->threshold);
        c->slower += all[i]->verdict == VERDICT_SLOWER;
    }
    free(all);
}

static void tell(struct compare_files *c, const struct matched *m, struct side *old_side,
                 struct side *new_side)
{
    int tests = 0;
    struct json j;
    for (int i = 0; i < c->compared; i++)
        tests += !isnan(m[i].judgement.p);
    if (!c->json) {
        printf("B: %s\nagainst A: %s, differences under %.3g %% do not count\n\n", c->new_paths,
               c->old_paths, 100 * c->threshold);
        for (int i = 0; i < c->compared; i++)
            print_matched(&m[i], c->threshold, tests, stdout);
        print_unmatched(old_side, new_side, stdout);
        print_unmatched(new_side, old_side, stdout);
        return;
    }
    json_init(&j, true);
    json_open_object(&j, NULL);
    json_text(&j, "command", self_command_line());
    json_number(&j, "threshold", c->threshold);
    json_open_array(&j, "cases");
    for (int i = 0; i < c->compared; i++)
        json_matched(&m[i], &j);
    json_end(&j);
    json_int(&j, "only_in_a", untold(old_side));
    json_int(&j, "only_in_b", untold(new_side));
    json_end(&j);
    printf("%s\n", j.failed ? "null" : j.text);
    json_free(&j);
}

static enum status no_match(const struct compare_files *c, const struct side *a,
                            const struct side *b, struct fault *fault)
{
    struct difference best = {INT32_MAX, "", "", ""};
    for (int i = 0; i < a->count; i++) {
        struct difference d = nearest(&a->entry[i], b);
        if (d.count < best.count)
            best = d;
    }
    return fault_set(fault, ST_BAD_INPUT,
                     "no recipe is in both '%s' and '%s'; the nearest differ in %s: %s and %s",
                     c->old_paths, c->new_paths, best.field, best.old_text, best.new_text);
}

static enum status compare_sides(struct compare_files *c, struct side *a, struct side *b,
                                 struct fault *fault)
{
    bool memory = true;
    struct matched *m = calloc((size_t)a->count, sizeof *m);
    for (int i = 0; m && memory && i < a->count; i++)
        if (!a->entry[i].told)
            c->compared += match(a, b, &a->entry[i], &m[c->compared], &memory);
    enum status status = ST_OK;
    if (!m || !memory)
        status = fault_set(fault, ST_NO_MEMORY, "no memory for the comparison");
    else if (c->compared == 0)
        status = no_match(c, a, b, fault);
    if (status == ST_OK) {
        judge_all(c, m);
        tell(c, m, a, b);
    }
    free(m);
    return status;
}

enum status compare_files(struct compare_files *c, struct fault *fault)
{
    struct side a = {.name = "A"}, b = {.name = "B"};
    enum status status = read_all(&a, c->old_paths, fault);
    if (status == ST_OK)
        status = read_all(&b, c->new_paths, fault);
    if (status == ST_OK)
        status = settle_threshold(c, &a, &b, fault);
    if (status == ST_OK)
        status = compare_sides(c, &a, &b, fault);
    side_free(&a);
    side_free(&b);
    return status;
}
