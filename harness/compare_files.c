// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "compare.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "patchmark.h"
#include "record.h"

#ifdef HAVE_JANSSON
#include <jansson.h>

/* One case that has times. */
struct entry {
    json_t *record; /* owned */
    char machine[128];
    double median_ns;
    bool told; /* its recipe was dealt with */
};

struct side {
    struct entry *entry;
    int count, room;
    const char *name; /* "OLD" */
};

/* ---- reading --------------------------------------------------------------------------------- */

static const char *text_at(const json_t *record, const char *first, const char *second)
{
    const json_t *inner = json_object_get(record, first);
    const char *text = json_string_value(second ? json_object_get(inner, second) : inner);
    return text ? text : "";
}

static enum status keep(struct side *side, json_t *record, const char *machine, double median_ns,
                        struct fault *fault)
{
    if (side->count == side->room) {
        int room = side->room ? 2 * side->room : 64;
        struct entry *grown = realloc(side->entry, (size_t)room * sizeof *grown);
        if (!grown)
            return fault_set(fault, ST_NO_MEMORY, "no memory for the records");
        side->entry = grown;
        side->room = room;
    }
    struct entry *e = &side->entry[side->count++];
    *e = (struct entry){.record = json_incref(record), .median_ns = median_ns};
    snprintf(e->machine, sizeof e->machine, "%s", machine);
    return ST_OK;
}

static enum status take_record(struct side *side, json_t *record, char machine[128],
                               const char *path, int line, struct fault *fault)
{
    const char *kind = text_at(record, "kind", NULL),
               *version = text_at(record, "schema", "version");
    if (strcmp(text_at(record, "schema", "name"), "patchmark") != 0)
        return fault_set(fault, ST_BAD_INPUT, "%s, line %d: no record of patchmark", path, line);
    if (atoi(version) < 1 || atoi(version) > atoi(RECORD_SCHEMA_VERSION))
        return fault_set(fault, ST_BAD_INPUT,
                         "%s, line %d: schema %s is not known here (%s is); use a newer patchmark",
                         path, line, version, RECORD_SCHEMA_VERSION);
    if (!strcmp(kind, "run"))
        snprintf(machine, 128, "%s", text_at(record, "machine", NULL));
    const json_t *timing = json_object_get(record, "timing");
    double median = json_number_value(json_object_get(timing, "median"));
    if (strcmp(kind, "case") != 0 || !(median > 0) ||
        !json_is_object(json_object_get(record, "recipe")))
        return ST_OK;
    return keep(side, record, machine, median, fault);
}

static enum status read_one(struct side *side, const char *path, struct fault *fault)
{
    FILE *file = fopen(path, "r");
    char *line = NULL, machine[128] = "";
    size_t room = 0;
    enum status status = ST_OK;
    if (!file)
        return fault_set(fault, ST_BAD_INPUT, "cannot read '%s': %s", path, strerror(errno));
    for (int number = 1; status == ST_OK && getline(&line, &room, file) > 0; number++) {
        json_error_t error;
        json_t *record = json_loads(line, JSON_REJECT_DUPLICATES, &error);
        if (!record)
            status = fault_set(fault, ST_BAD_INPUT, "%s, line %d is no JSON: %s", path, number,
                               error.text);
        else
            status = take_record(side, record, machine, path, number, fault);
        json_decref(record);
    }
    free(line);
    fclose(file);
    return status;
}

static enum status read_all(struct side *side, const char *paths, struct fault *fault)
{
    char *copy = strdup(paths), *rest = NULL;
    enum status status = copy ? ST_OK : fault_set(fault, ST_NO_MEMORY, "no memory for file names");
    for (char *path = copy ? strtok_r(copy, ",", &rest) : NULL; path && status == ST_OK;
         path = strtok_r(NULL, ",", &rest))
        status = read_one(side, path, fault);
    free(copy);
    if (status == ST_OK && side->count == 0)
        return fault_set(fault, ST_BAD_INPUT, "no case in '%s' has times", paths);
    return status;
}

static void side_free(struct side *side)
{
    for (int i = 0; i < side->count; i++)
        json_decref(side->entry[i].record);
    free(side->entry);
}

/* ---- are they the same? ---------------------------------------------------------------------- */

/* Beside the recipe: what was measured, and by what means. */
static const char *const outside[][2] = {
    {"case_kind", NULL}, {"claim", NULL}, {"impl", "variant"}, {"impl", "knobs"}};

struct difference {
    int count;
    char field[128], old_text[160], new_text[160]; /* of the first */
};

static void shown(const json_t *value, char *out, size_t bytes)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    snprintf(out, bytes, "%s", text ? text : "nothing");
    free(text);
}

static void differ(struct difference *d, const char *field, const json_t *a, const json_t *b)
{
    if (json_equal(a, b) || (!a && !b))
        return;
    if (d->count++ > 0)
        return;
    snprintf(d->field, sizeof d->field, "%s", field);
    shown(a, d->old_text, sizeof d->old_text);
    shown(b, d->new_text, sizeof d->new_text);
}

static void differ_recipes(struct difference *d, json_t *a, json_t *b)
{
    const char *key;
    json_t *value;
    char field[128];
    json_object_foreach(a, key, value)
    {
        snprintf(field, sizeof field, "recipe.%.100s", key);
        differ(d, field, value, json_object_get(b, key));
    }
    json_object_foreach(b, key, value)
    {
        snprintf(field, sizeof field, "recipe.%.100s", key);
        if (!json_object_get(a, key))
            differ(d, field, NULL, value);
    }
}

static struct difference difference_of(const struct entry *a, const struct entry *b)
{
    struct difference d = {0, "", "", ""};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        const json_t *in_a = json_object_get(a->record, outside[i][0]);
        const json_t *in_b = json_object_get(b->record, outside[i][0]);
        const char *inner = outside[i][1];
        char field[64];
        snprintf(field, sizeof field, "%s%s%s", outside[i][0], inner ? "." : "",
                 inner ? inner : "");
        differ(&d, field, inner ? json_object_get(in_a, inner) : in_a,
               inner ? json_object_get(in_b, inner) : in_b);
    }
    differ_recipes(&d, json_object_get(a->record, "recipe"), json_object_get(b->record, "recipe"));
    return d;
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

/* "modulate/c_01_plain modulate:S=780,C=768,type=f32", "tiny 128x72, 17 frames, 4 steps" */
static void label(const struct entry *e, char *out, size_t bytes)
{
    const json_t *recipe = json_object_get(e->record, "recipe");
    if (json_object_get(recipe, "model"))
        snprintf(out, bytes, "%s %" PRId64 "x%" PRId64 ", %" PRId64 " frames, %" PRId64 " steps",
                 text_at(e->record, "recipe", "model"),
                 (int64_t)json_integer_value(json_object_get(recipe, "width")),
                 (int64_t)json_integer_value(json_object_get(recipe, "height")),
                 (int64_t)json_integer_value(json_object_get(recipe, "frames")),
                 (int64_t)json_integer_value(json_object_get(recipe, "steps")));
    else
        snprintf(out, bytes, "%s %s", text_at(e->record, "impl", "variant"),
                 text_at(e->record, "recipe", "shape"));
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
        snprintf(machine, 128, "%s", other->machine);
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
        if (strcmp(side->entry[i].machine, host_machine_slug()) != 0)
            return false;
    return true;
}

static enum status settle_threshold(struct compare_files *c, const struct side *a,
                                    const struct side *b, struct fault *fault)
{
    struct calibration calibration;
    char note[512], floor[256];
    bool own = of_this_machine(a) && of_this_machine(b) &&
               calibration_newest(c->calibrations, host_cores(), &calibration, note, sizeof note);
    const struct calibration *known = own ? &calibration : NULL;
    if (isnan(c->threshold))
        c->threshold = calibration_threshold(known);
    if (c->threshold >= calibration_floor(known))
        return ST_OK;
    calibration_describe(known, floor, sizeof floor);
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
#else
enum status compare_files(struct compare_files *c, struct fault *fault)
{
    (void)c;
    return fault_set(fault, ST_NOT_BUILT,
                     "this build has no jansson, so result files cannot be read; arms can be"
                     " compared: --interleave A B");
}
#endif
