// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* plot_figures.c   The data file of each figure: tab-separated, a block per series whose first line
 * is the legend, blocks two empty lines apart. Block 0 is one line: caption, what is not shown,
 * number of series, and more numbers where a figure says so. Cases alike in all but the figure's
 * axis make one series; legends name only what differs between series. */
#include "plot.h"

#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SERIES_MAX 10
#define ROWS_MAX 24
#define LEGEND_BYTES 120

static const char *const field_label[] = {
#define FIELD_LABEL(name, path, label) label,
    PLOT_FIELDS(FIELD_LABEL)
#undef FIELD_LABEL
};

/* The series of one figure: their first cases, what tells them apart, what is on an axis. */
struct series {
    const struct plot_case *first[SERIES_MAX];
    const char *word[SERIES_MAX]; /* what was asked of --kernels; "" where no record says */
    int count, more;              /* more: cases of series beyond SERIES_MAX, left out */
    uint32_t ignored, shown;      /* bits of plot_field */
};

static bool alike(const struct plot_case *a, const struct plot_case *b, uint32_t ignored)
{
    for (int f = 0; f < PLOT_FIELD_COUNT; f++)
        if (!(ignored >> f & 1) && strcmp(a->field[f], b->field[f]))
            return false;
    return true;
}

/* The same case under two plans, or two plans that different words asked for. */
static bool plans_differ(const struct plot_case *a, const struct plot_case *b)
{
    bool words = *a->requested && *b->requested && strcmp(a->requested, b->requested);
    return strcmp(a->field[PLOT_PLAN], b->field[PLOT_PLAN]) &&
           (words || alike(a, b, PLOT_BIT(PLAN)));
}

/* Kernel plans separate series only where they are compared; plans that one word came to per size
 * or machine are part of the answer, not another question. */
static bool plans_compared(const struct plot_set *set)
{
    for (int64_t i = 0; i < set->count; i++)
        for (int64_t k = i + 1; set->cases[i].taken && k < set->count; k++)
            if (set->cases[k].taken && plans_differ(&set->cases[i], &set->cases[k]))
                return true;
    return false;
}

static int find_series(struct series *s, const struct plot_case *c)
{
    for (int i = 0; i < s->count; i++)
        if (alike(s->first[i], c, s->ignored))
            return i;
    if (s->count == SERIES_MAX) {
        s->more++;
        return -1;
    }
    s->first[s->count] = c;
    s->word[s->count] = "";
    return s->count++;
}

/* A plan that one series has a word for goes by it in the others too. */
static void share_words(struct series *s)
{
    for (int i = 0; i < s->count; i++)
        for (int k = 0; !*s->word[i] && k < s->count; k++)
            if (!strcmp(s->first[i]->field[PLOT_PLAN], s->first[k]->field[PLOT_PLAN]))
                s->word[i] = s->word[k];
}

/* Gives every taken case its series. `always` names fields that legends carry even when alike. */
static struct series group(struct plot_set *set, uint32_t axes, uint32_t always)
{
    struct series s = {.ignored = axes | (plans_compared(set) ? 0 : PLOT_BIT(PLAN))};
    for (int64_t i = 0; i < set->count; i++) {
        struct plot_case *c = &set->cases[i];
        c->series = c->taken ? find_series(&s, c) : -1;
        if (c->series >= 0 && !*s.word[c->series])
            s.word[c->series] = c->requested;
    }
    share_words(&s);
    for (int i = 1; i < s.count; i++)
        for (int f = 0; f < PLOT_FIELD_COUNT; f++)
            if (!(s.ignored >> f & 1) && strcmp(s.first[0]->field[f], s.first[i]->field[f]))
                s.shown |= UINT32_C(1) << f;
    s.shown |= always;
    return s;
}

static void add_words(char *out, size_t bytes, const char *separator, const char *format,
                      const char *text)
{
    size_t used = strlen(out);
    used += (size_t)snprintf(out + used, bytes - used, "%s", used ? separator : "");
    if (used < bytes)
        snprintf(out + used, bytes - used, format, text);
}

static bool is_new_plan(const struct series *s, int at)
{
    for (int i = 0; i < at; i++)
        if (!strcmp(s->first[i]->field[PLOT_PLAN], s->first[at]->field[PLOT_PLAN]))
            return false;
    return true;
}

static bool has_word(const char *text, const char *word, size_t n)
{
    for (; *text; text += strcspn(text, " "), text += strspn(text, " "))
        if (strcspn(text, " ") == n && !strncmp(text, word, n))
            return true;
    return false;
}

static int plan_letter(const struct series *s, int at)
{
    int letter = 'A';
    for (int i = 0; strcmp(s->first[i]->field[PLOT_PLAN], s->first[at]->field[PLOT_PLAN]); i++)
        letter += is_new_plan(s, i);
    return letter;
}

/* Another series alike in all but the plan was asked for by the same word. */
static bool is_word_shared(const struct series *s, int at)
{
    const struct plot_case *c = s->first[at];
    for (int i = 0; i < s->count; i++)
        if (!strcmp(s->word[i], s->word[at]) &&
            strcmp(s->first[i]->field[PLOT_PLAN], c->field[PLOT_PLAN]) &&
            alike(s->first[i], c, s->ignored | PLOT_BIT(PLAN)))
            return true;
    return false;
}

/* The first word of a plan that some other plan lacks, and how many more there are. */
static void plan_difference(const struct series *s, int at, char *out, size_t bytes)
{
    const char *word = s->first[at]->field[PLOT_PLAN];
    char first[48] = "";
    int differ = 0;
    for (size_t n; (n = strcspn(word, " ")); word += n, word += strspn(word, " ")) {
        bool everywhere = true;
        for (int i = 0; i < s->count; i++)
            everywhere &= has_word(s->first[i]->field[PLOT_PLAN], word, n);
        if (!everywhere && !differ++)
            snprintf(first, sizeof first, "%.*s", (int)n, word);
    }
    snprintf(out, bytes, differ > 1 ? "%s and %d more" : "%s", first, differ - 1);
}

/* Plans are long: they go by the word that asked for them, else by a letter and a difference. */
static void plan_label(const struct series *s, int at, bool brief, char out[LEGEND_BYTES])
{
    char difference[72];
    int letter = plan_letter(s, at);
    plan_difference(s, at, difference, sizeof difference);
    if (*s->word[at])
        snprintf(out, LEGEND_BYTES, is_word_shared(s, at) ? "%s (plan %c)" : "%s", s->word[at],
                 letter);
    else
        snprintf(out, LEGEND_BYTES, brief ? "plan %c" : "plan %c: %s", letter, difference);
}

/* Size and duration first, then what else of `shown` tells this series from the others; brief: of
 * plans without a word only the letter, which the data file spells out. */
static void legend(const struct series *s, int at, uint32_t shown, bool brief,
                   char out[LEGEND_BYTES])
{
    char plan[LEGEND_BYTES];
    plan_label(s, at, brief, plan);
    out[0] = '\0';
    for (int i = 0; i < PLOT_FIELD_COUNT; i++) {
        int f = (PLOT_SIZE + i) % PLOT_FIELD_COUNT;
        const char *text = f == PLOT_PLAN ? plan : s->first[at]->field[f];
        if (shown >> f & 1)
            add_words(out, LEGEND_BYTES, ", ", *text ? field_label[f] : "%s",
                      *text ? text : "not recorded");
    }
}

/* What all taken cases share, then machines and days: what a reader needs to trust the picture. */
static void caption(const struct plot_set *set, uint32_t skip, char *out, size_t bytes)
{
    static const int facts[] = {PLOT_CLAIM, PLOT_MACHINE, PLOT_MODEL,  PLOT_TYPE,
                                PLOT_STEPS, PLOT_CLASS,   PLOT_THREADS};
    const struct plot_case *first = NULL;
    const char *from = NULL, *to = NULL;
    uint32_t differs = skip;
    for (int64_t i = 0; i < set->count; i++) {
        const struct plot_case *c = &set->cases[i];
        if (!c->taken)
            continue;
        first = first ? first : c;
        from = !from || strcmp(c->created, from) < 0 ? c->created : from;
        to = !to || strcmp(c->created, to) > 0 ? c->created : to;
        for (int f = 0; f < PLOT_FIELD_COUNT; f++)
            if (strcmp(c->field[f], first->field[f]))
                differs |= UINT32_C(1) << f;
    }
    out[0] = '\0';
    for (size_t i = 0; first && i < sizeof facts / sizeof facts[0]; i++) {
        int f = facts[i];
        if (!(differs >> f & 1) && *first->field[f])
            add_words(out, bytes, ", ", f == PLOT_CLASS ? "%s plans" : field_label[f],
                      first->field[f]);
        else if (f == PLOT_CLAIM || f == PLOT_MACHINE || f == PLOT_CLASS)
            add_words(out, bytes, ", ", "%s as labelled",
                      f == PLOT_CLAIM   ? "claims"
                      : f == PLOT_CLASS ? "plan classes"
                                        : "machines");
    }
    char days[32] = "";
    if (first)
        snprintf(days, sizeof days, strncmp(from, to, 10) ? "%.10s to %.10s" : "%.10s", from, to);
    add_words(out, bytes, ", ", "%s", days);
}

static void count_words(struct plot_note *note, int count, const char *one, const char *many)
{
    char text[120];
    snprintf(text, sizeof text, "%d %s", count, count == 1 ? one : many);
    if (count)
        add_words(note->left_out, sizeof note->left_out, "; ", "%s", text);
}

static bool is_drawn(const struct plot_case *c)
{
    return c->taken && c->series >= 0;
}

static bool is_value_drawn(const struct plot_set *set, const struct plot_case *c, int field)
{
    for (int64_t i = 0; i < set->count; i++)
        if (is_drawn(&set->cases[i]) && !strcmp(set->cases[i].field[field], c->field[field]))
            return true;
    return false;
}

/* "other threads, plans": what the timed cases that are not drawn have and no drawn one has. */
static void why_not_drawn(const struct plot_set *set, char *out, size_t bytes)
{
    static const struct {
        int field;
        const char *name;
    } reasons[] = {{PLOT_THREADS, "threads"},
                   {PLOT_PLAN, "plans"},
                   {PLOT_SIZE, "sizes"},
                   {PLOT_FRAMES, "durations"},
                   {-1, "combinations"}};
    uint32_t found = 0;
    for (int64_t i = 0; i < set->count; i++) {
        const struct plot_case *c = &set->cases[i];
        int at = 0;
        while (reasons[at].field >= 0 && is_value_drawn(set, c, reasons[at].field))
            at++;
        if (c->timed && !is_drawn(c))
            found |= UINT32_C(1) << at;
    }
    out[0] = '\0';
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (found >> i & 1)
            add_words(out, bytes, ", ", *out ? "%s" : "other %s", reasons[i].name);
}

static bool is_shaky(const struct plot_case *c)
{
    return c->timed && strcmp(c->status, "passed");
}

/* gnuplot misreads an empty last column. */
static const char *status_of(const struct plot_case *c)
{
    return *c->status ? c->status : "unknown";
}

/* Counts what stands in the records and not, or with a mark, in the figure. */
static void left_out(const struct plot_set *set, struct plot_note *note)
{
    int untimed = 0, shaky = 0, undrawn = 0;
    char why[80];
    for (int64_t i = 0; i < set->count; i++) {
        const struct plot_case *c = &set->cases[i];
        untimed += !c->timed;
        undrawn += c->timed && !is_drawn(c);
        shaky += is_drawn(c) && is_shaky(c);
    }
    why_not_drawn(set, why, sizeof why);
    count_words(note, untimed, "case has no time", "cases have no time");
    count_words(note, undrawn, "case is not shown", "cases are not shown");
    if (undrawn)
        add_words(note->left_out, sizeof note->left_out, " ", "(%s)", why);
    count_words(note, shaky, "time is unstable or throttled (*)",
                "times are unstable or throttled (*)");
}

/* Cases with a time on this case's machine at this case's number of threads. */
static int64_t thread_share(const struct plot_set *set, const struct plot_case *c)
{
    int64_t count = 0;
    for (int64_t i = 0; i < set->count; i++)
        count += set->cases[i].timed &&
                 alike(c, &set->cases[i], ~(PLOT_BIT(MACHINE) | PLOT_BIT(THREADS)));
    return count;
}

/* Takes, of a machine measured at several numbers of threads, the number that most of its cases
 * share, the larger of two; the others are the business of the threads figure. Until series are
 * made, their number serves as the count. */
static void take_common_threads(struct plot_set *set)
{
    for (int64_t i = 0; i < set->count; i++)
        set->cases[i].series = (int)thread_share(set, &set->cases[i]);
    for (int64_t i = 0; i < set->count; i++) {
        struct plot_case *c = &set->cases[i];
        c->taken = true;
        for (int64_t k = 0; k < set->count; k++) {
            const struct plot_case *other = &set->cases[k];
            c->taken &= strcmp(c->field[PLOT_MACHINE], other->field[PLOT_MACHINE]) ||
                        other->series < c->series ||
                        (other->series == c->series && other->threads <= c->threads);
        }
    }
}

static int64_t keep_timed(struct plot_set *set)
{
    int64_t count = 0;
    for (int64_t i = 0; i < set->count; i++)
        count += set->cases[i].taken = set->cases[i].taken && set->cases[i].timed;
    return count;
}

static int64_t keep_marked(struct plot_set *set)
{
    int64_t count = 0;
    for (int64_t i = 0; i < set->count; i++)
        count += set->cases[i].taken = set->cases[i].taken && set->cases[i].series > 0;
    return count;
}

/* Leaves the cases that have a twin which differs in `field` alone. */
static int64_t keep_twins(struct plot_set *set, int field)
{
    struct series s = group(set, UINT32_C(1) << field, 0);
    for (int64_t i = 0; i < set->count; i++) {
        struct plot_case *c = &set->cases[i];
        bool twin = false;
        for (int64_t k = 0; c->taken && k < set->count; k++)
            twin |= set->cases[k].timed && alike(c, &set->cases[k], s.ignored) &&
                    strcmp(c->field[field], set->cases[k].field[field]);
        c->series = twin;
    }
    return keep_marked(set);
}

static void begin(const struct plot_set *set, const struct series *s, uint32_t axes, FILE *out,
                  struct plot_note *note)
{
    char text[400];
    bool plans = s->shown & PLOT_BIT(PLAN), named = false;
    for (int i = 0; plans && i < s->count; i++) {
        named |= *s->word[i];
        if (is_new_plan(s, i))
            fprintf(out, "# plan %c%s%s: %s\n", plan_letter(s, i), *s->word[i] ? ", " : "",
                    s->word[i], s->first[i]->field[PLOT_PLAN]);
    }
    if (plans)
        add_words(note->left_out, sizeof note->left_out, "",
                  "plans %sare spelled out in the data file", named ? "go by --kernels and " : "");
    left_out(set, note);
    caption(set, axes, text, sizeof text);
    note->series = s->count;
    fprintf(out, "%s\t%s\t%d", text, note->left_out, s->count);
}

/* ---- how does the time for a clip grow with its duration? -------------------------------------
 */

/* A still is no clip of duration 1/fps: it is drawn, and left out of the fit. */
static double slope_of(const struct plot_set *set, int series)
{
    double x[256], y[256];
    int64_t n = 0;
    for (int64_t i = 0; i < set->count && n < 256; i++)
        if (set->cases[i].series == series && set->cases[i].frames > 1) {
            x[n] = set->cases[i].clip_s;
            y[n++] = set->cases[i].time_s;
        }
    return n < 2 ? NAN : stats_loglog_slope(x, y, n);
}

static void write_duration(struct plot_set *set, FILE *out, struct plot_note *note)
{
    take_common_threads(set);
    if (keep_timed(set) && !keep_twins(set, PLOT_FRAMES)) {
        take_common_threads(set);
        keep_timed(set);
    }
    struct series s = group(set, PLOT_BIT(FRAMES), PLOT_BIT(SIZE));
    if (!s.count) {
        snprintf(note->missing, sizeof note->missing,
                 "pipeline cases with a time, of several durations");
        return;
    }
    fputs("# columns: clip_s time_s lo_s hi_s frames status (interval of the median lo..hi)\n",
          out);
    begin(set, &s, PLOT_BIT(FRAMES), out, note);
    for (int i = 0; i < s.count; i++) {
        char name[LEGEND_BYTES];
        legend(&s, i, s.shown, false, name);
        double slope = slope_of(set, i);
        fprintf(out, "\n\n\n%s", name);
        fprintf(out, isnan(slope) ? ", no slope\n" : ", slope %.2f\n", slope);
        for (int64_t k = 0; k < set->count; k++) {
            const struct plot_case *c = &set->cases[k];
            if (c->series == i)
                fprintf(out, "%.9g\t%.9g\t%.9g\t%.9g\t%lld\t%s\n", c->clip_s, c->time_s, c->lo_s,
                        c->hi_s, (long long)c->frames, status_of(c));
        }
    }
}

/* ---- how much video per hour, at which size? --------------------------------------------------
 */

static double video_s_per_h(const struct plot_case *c, double time_s)
{
    return 3600 * c->clip_s / time_s;
}

static int64_t timed_with(const struct plot_set *set, int64_t frames)
{
    int64_t count = 0;
    for (int64_t i = 0; i < set->count; i++)
        count += set->cases[i].taken && set->cases[i].timed && set->cases[i].frames == frames;
    return count;
}

/* The number of frames that most taken cases share, the larger of two; 1 only where all are stills,
 * 0 where none has a time. */
static int64_t common_frames(const struct plot_set *set)
{
    int64_t best = 0, best_count = 0;
    for (int64_t i = 0; i < set->count; i++) {
        int64_t frames = set->cases[i].frames, count = timed_with(set, frames);
        bool more = count > best_count || (count == best_count && frames > best);
        if (count && (best > 1 ? frames > 1 && more : frames > best)) {
            best = frames;
            best_count = count;
        }
    }
    return best;
}

/* Distinct sizes of taken cases by their pixels; returns how many. */
static int sizes_of(const struct plot_set *set, const struct plot_case *size[ROWS_MAX])
{
    int count = 0;
    for (int64_t i = 0; i < set->count; i++) {
        const struct plot_case *c = &set->cases[i];
        int at = 0, known = 0;
        for (int k = 0; k < count; k++) {
            known |= !strcmp(size[k]->field[PLOT_SIZE], c->field[PLOT_SIZE]);
            at += size[k]->width * size[k]->height <= c->width * c->height;
        }
        if (!c->taken || known || count == ROWS_MAX)
            continue;
        memmove(size + at + 1, size + at, (size_t)(count - at) * sizeof *size);
        size[at] = c;
        count++;
    }
    return count;
}

/* Takes the cases of at most ROWS_MAX sizes. */
static int take_sizes(struct plot_set *set, const struct plot_case *size[ROWS_MAX + 1])
{
    int sizes = sizes_of(set, size);
    for (int64_t i = 0; i < set->count; i++) {
        bool known = false;
        for (int row = 0; row < sizes; row++)
            known |= !strcmp(size[row]->field[PLOT_SIZE], set->cases[i].field[PLOT_SIZE]);
        set->cases[i].taken &= known;
    }
    return sizes;
}

static const struct plot_case *bar_of(const struct plot_set *set, int series, const char *size)
{
    for (int64_t i = 0; i < set->count; i++)
        if (set->cases[i].series == series && !strcmp(set->cases[i].field[PLOT_SIZE], size))
            return &set->cases[i];
    return NULL;
}

/* Series below `end` that have a bar at this size. */
static int bars_before(const struct plot_set *set, int end, const char *size)
{
    int bars = 0;
    for (int i = 0; i < end; i++)
        bars += bar_of(set, i, size) != NULL;
    return bars;
}

/* Bars stand around the middle of their size; a case without a time leaves its place empty. */
static void write_bar(const struct plot_case *c, int row, double shift, FILE *out)
{
    fprintf(out, "%d\t%g\t%s\t", row, shift, c->field[PLOT_SIZE]);
    if (c->timed)
        fprintf(out, "%.9g\t%.9g\t%.9g\t%s\n", video_s_per_h(c, c->time_s),
                video_s_per_h(c, c->hi_s), video_s_per_h(c, c->lo_s), status_of(c));
    else
        fprintf(out, "NaN\tNaN\tNaN\t%s\n", status_of(c));
}

static void write_bars(const struct plot_set *set, const struct series *s, int at,
                       const struct plot_case *const *size, int sizes, FILE *out)
{
    for (int row = 0; row < sizes; row++) {
        const char *name = size[row]->field[PLOT_SIZE];
        const struct plot_case *c = bar_of(set, at, name);
        double middle = (bars_before(set, s->count, name) - 1) / 2.0;
        if (c)
            write_bar(c, row, bars_before(set, at, name) - middle, out);
    }
}

static void write_throughput(struct plot_set *set, FILE *out, struct plot_note *note)
{
    const struct plot_case *size[ROWS_MAX + 1];
    take_common_threads(set);
    int64_t frames = common_frames(set);
    for (int64_t i = 0; i < set->count; i++)
        set->cases[i].taken &= set->cases[i].frames == frames;
    if (!frames) {
        snprintf(note->missing, sizeof note->missing, "pipeline cases with a time");
        return;
    }
    int sizes = take_sizes(set, size), widest = 0;
    struct series s = group(set, PLOT_BIT(SIZE), 0);
    s.shown |= s.shown ? 0 : PLOT_BIT(MACHINE);
    for (int row = 0; row < sizes; row++) {
        int bars = bars_before(set, s.count, size[row]->field[PLOT_SIZE]);
        widest = bars > widest ? bars : widest;
    }
    fputs("# block 0: caption, not shown, series, sizes, frames of every clip, its seconds, most "
          "bars of a size\n"
          "# columns: row bars_from_middle size video_s_per_h lo hi status\n"
          "# last block: row size\n",
          out);
    begin(set, &s, PLOT_BIT(SIZE), out, note);
    fprintf(out, "\t%d\t%lld\t%.3g\t%d", sizes, (long long)frames, s.first[0]->clip_s, widest);
    for (int i = 0; i < s.count; i++) {
        char name[LEGEND_BYTES];
        legend(&s, i, s.shown, false, name);
        fprintf(out, "\n\n\n%s\n", name);
        write_bars(set, &s, i, size, sizes, out);
    }
    fputs("\n\n\nsizes\n", out);
    for (int row = 0; row < sizes; row++)
        fprintf(out, "%d\t%s\n", row, size[row]->field[PLOT_SIZE]);
}

/* ---- where does the time go? ------------------------------------------------------------------
 */

/* Takes cases with a stage split, at most ROWS_MAX: where there are more, those of one duration. */
static int take_split(struct plot_set *set)
{
    take_common_threads(set);
    int64_t frames = common_frames(set);
    int split = 0, rows = 0;
    for (int64_t i = 0; i < set->count; i++) {
        struct plot_case *c = &set->cases[i];
        for (int k = 0; k < STAGE_COUNT; k++)
            c->taken &= c->timed && isfinite(c->stage_s[k]);
        split += c->taken;
    }
    for (int64_t i = 0; i < set->count; i++) {
        struct plot_case *c = &set->cases[i];
        c->taken &= rows < ROWS_MAX && (split <= ROWS_MAX || c->frames == frames);
        rows += c->taken;
    }
    return rows;
}

/* A row goes without its plan where the plan is the usual one or a nameless one without rival. */
static bool is_plan_plain(const struct plot_set *set, const struct series *s,
                          const struct plot_case *c)
{
    const char *word = s->word[c->series];
    bool lone = true;
    for (int64_t i = 0; i < set->count; i++)
        lone &= !is_drawn(&set->cases[i]) || &set->cases[i] == c ||
                !alike(c, &set->cases[i], PLOT_BIT(PLAN));
    return strcmp(word, "auto") ? lone && !*word : lone || !is_word_shared(s, c->series);
}

static void write_row(const struct plot_set *set, const struct series *s, const struct plot_case *c,
                      FILE *out)
{
    char name[LEGEND_BYTES], clip[32] = "still";
    uint32_t hidden = is_plan_plain(set, s, c) ? PLOT_BIT(PLAN) : 0;
    legend(s, c->series, s->shown & ~hidden, true, name);
    if (c->frames > 1)
        snprintf(clip, sizeof clip, "%.3g s", c->clip_s);
    fprintf(out, "%s %s%s%s\t%.9g\t%.9g\t%.9g\t%.9g\t%s\n", c->field[PLOT_SIZE], clip,
            *name ? ", " : "", name, c->stage_s[STAGE_TEXT], c->stage_s[STAGE_DENOISE],
            c->stage_s[STAGE_DECODE], c->time_s, status_of(c));
}

static void write_stages(struct plot_set *set, FILE *out, struct plot_note *note)
{
    int rows = take_split(set);
    struct series s = group(set, PLOT_BIT(SIZE) | PLOT_BIT(FRAMES), 0);
    rows -= s.more;
    if (!rows) {
        snprintf(note->missing, sizeof note->missing,
                 "pipeline cases with the times of text, denoise and decode");
        return;
    }
    fputs("# block 0: caption, not shown, series, rows\n"
          "# columns: case text_s denoise_s decode_s total_s status\n",
          out);
    begin(set, &s, PLOT_BIT(SIZE) | PLOT_BIT(FRAMES), out, note);
    fprintf(out, "\t%d\n\n\ncase\n", rows);
    for (int64_t i = 0; i < set->count; i++)
        if (is_drawn(&set->cases[i]))
            write_row(set, &s, &set->cases[i], out);
}

/* ---- what do more threads bring? --------------------------------------------------------------
 */

static void write_threads(struct plot_set *set, FILE *out, struct plot_note *note)
{
    for (int64_t i = 0; i < set->count; i++)
        set->cases[i].taken = set->cases[i].timed;
    keep_twins(set, PLOT_THREADS);
    struct series s = group(set, PLOT_BIT(THREADS), PLOT_BIT(SIZE) | PLOT_BIT(FRAMES));
    if (!s.count) {
        snprintf(note->missing, sizeof note->missing,
                 "pipeline cases that differ only in threads, "
                 "as run --threads 1,2 makes them");
        return;
    }
    fputs("# columns: threads video_s_per_h lo hi efficiency_percent status\n"
          "# efficiency = p0 T(p0) / (p T(p)), p0 = the fewest threads of the series\n",
          out);
    begin(set, &s, PLOT_BIT(THREADS), out, note);
    for (int i = 0; i < s.count; i++) {
        char name[LEGEND_BYTES];
        legend(&s, i, s.shown, false, name);
        fprintf(out, "\n\n\n%s\n", name);
        const struct plot_case *base = s.first[i]; /* sorted: the fewest threads come first */
        for (int64_t k = 0; k < set->count; k++) {
            const struct plot_case *c = &set->cases[k];
            if (c->series == i)
                fprintf(out, "%lld\t%.9g\t%.9g\t%.9g\t%.9g\t%s\n", (long long)c->threads,
                        video_s_per_h(c, c->time_s), video_s_per_h(c, c->hi_s),
                        video_s_per_h(c, c->lo_s),
                        100 * (double)base->threads * base->time_s /
                            ((double)c->threads * c->time_s),
                        status_of(c));
        }
    }
}

const struct plot_figure plot_figures[] = {
    {"duration", "How does the time for a clip grow with its duration?", write_duration},
    {"throughput", "How much video does an hour of machine make, at which size?", write_throughput},
    {"stages", "Where does the time of a clip go?", write_stages},
    {"threads", "What do more threads bring?", write_threads},
    {NULL, NULL, NULL},
};
