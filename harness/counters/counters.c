// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* counters.c   Counters through PAPI. Being listed says nothing: in a virtual machine hardware
 * events are listed and cannot be added. So each is added, started and read once, what fails stays
 * out with the library's own words. PAPI runs one event set of a component at a time, and a set
 * takes what the hardware can count together; what does not fit goes to a set of a later pass.
 * Threads started later are counted with their creator where the component can: PAPI 7 cannot where
 * hardware events are missing, and then the calling thread is counted alone. */
#include "counters/counters.h"

#include <stdlib.h>
#include <string.h>

#include "counters/counter_presets.h"

#ifdef HAVE_PAPI
#include <papi.h>
#endif

#define SETS_MAX 32

struct event_set {
    int id, component, pass;
    bool inherits, multiplexed;
};

struct counters {
    enum counters_crowd crowd;
    int count, passes;
    struct counter counter[COUNTERS_MAX];
    char name[COUNTERS_MAX][COUNTERS_NAME_BYTES];
    int set_of[COUNTERS_MAX]; /* index of its event set, where available */
    struct event_set set[SETS_MAX];
    int sets;
    int running; /* the pass; -1: none */
};

#ifdef HAVE_PAPI

/* ---- the library ----------------------------------------------------------------------------- */

#ifdef __SANITIZE_ADDRESS__
/* PAPI 7 forgets a few bytes with every name that it does not know; they are not ours to find. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libpapi"; }
const char *__lsan_default_options(void);
const char *__lsan_default_options(void) { return "print_suppressions=0"; }
#endif

static bool library_ready(char why[160])
{
    int wanted = PAPI_VER_CURRENT;
    int version = PAPI_is_initialized() ? wanted : PAPI_library_init(wanted);
    if (version == wanted)
        return true;
    snprintf(why, 160, "PAPI does not start: %s",
             version > 0 ? "its version is not the one built against" : PAPI_strerror(version));
    return false;
}

static void refuse(char why[160], const char *doing, int error)
{
    const PAPI_hw_info_t *hardware = PAPI_get_hardware_info();
    bool virtual = hardware && hardware->virtualized && error == PAPI_ENOEVNT;
    snprintf(why, 160, "PAPI cannot %s it: %s%s", doing, PAPI_strerror(error),
             virtual ? " (a virtual machine; hardware counters may not be offered)" : "");
}

static bool make_set(int component, struct event_set *s)
{
    s->id = PAPI_NULL;
    s->component = component;
    if (PAPI_create_eventset(&s->id) != PAPI_OK)
        return false;
    PAPI_option_t inherit = {.inherit = {.eventset = s->id, .inherit = PAPI_INHERIT_ALL}};
    s->inherits = PAPI_assign_eventset_component(s->id, component) == PAPI_OK &&
                  PAPI_set_opt(PAPI_INHERIT, &inherit) == PAPI_OK;
    return true;
}

static void drop_set(struct event_set *s)
{
    PAPI_cleanup_eventset(s->id);
    PAPI_destroy_eventset(&s->id);
}

static int trial(int set)
{
    long long value[COUNTERS_MAX];
    int error = PAPI_start(set);
    return error == PAPI_OK ? PAPI_stop(set, value) : error;
}

/* Added and read once; an event that cannot be read with the others is taken out again. */
static int add_and_try(int set, int code, const char **doing)
{
    int error = PAPI_add_event(set, code);
    *doing = "add";
    if (error != PAPI_OK)
        return error;
    *doing = "read";
    error = trial(set);
    if (error != PAPI_OK)
        PAPI_remove_event(set, code);
    return error;
}

bool counters_usable(const char *event, char why[160])
{
    struct event_set s = {.id = PAPI_NULL};
    const char *doing = "find";
    int code = 0;
    if (!library_ready(why))
        return false;
    int error = PAPI_event_name_to_code(event, &code);
    if (error == PAPI_OK) {
        doing = "make an event set for";
        error = make_set(PAPI_get_event_component(code), &s) ? PAPI_OK : PAPI_ENOMEM;
    }
    if (error == PAPI_OK) {
        error = add_and_try(s.id, code, &doing);
        drop_set(&s);
    }
    if (error != PAPI_OK)
        refuse(why, doing, error);
    return error == PAPI_OK;
}

/* ---- sets ------------------------------------------------------------------------------------ */

/* Makes the set one whose events take turns; its own events stay in it. */
static bool multiplex(struct event_set *s)
{
    static bool ready;
    if (!ready && PAPI_multiplex_init() != PAPI_OK)
        return false;
    ready = true;
    s->multiplexed = s->multiplexed || PAPI_set_multiplex(s->id) == PAPI_OK;
    return s->multiplexed;
}

static bool put(struct counters *c, int index, int code, int set)
{
    const char *doing;
    struct event_set *s = &c->set[set];
    int error = add_and_try(s->id, code, &doing);
    if (error != PAPI_OK && c->crowd == COUNTERS_MULTIPLEXED && multiplex(s))
        error = add_and_try(s->id, code, &doing);
    if (error != PAPI_OK)
        return false;
    c->set_of[index] = set;
    c->counter[index].available = true;
    return true;
}

/* Into the first set of its component that takes it, else into a new one of the next pass. */
static void place(struct counters *c, int index)
{
    int code = 0, pass = 0;
    struct counter *counter = &c->counter[index];
    PAPI_event_name_to_code(counter->name, &code);
    int component = PAPI_get_event_component(code);
    for (int i = 0; i < c->sets; i++) {
        if (c->set[i].component != component)
            continue;
        if (put(c, index, code, i))
            return;
        pass = c->set[i].pass + 1;
    }
    struct event_set *s = &c->set[c->sets];
    *s = (struct event_set){.pass = pass};
    if (c->sets < SETS_MAX && make_set(component, s)) {
        c->sets++;
        c->passes = pass < c->passes ? c->passes : pass + 1;
        if (put(c, index, code, c->sets - 1))
            return;
    }
    snprintf(counter->why, sizeof counter->why, "no event set has room for it");
}

static void settle(struct counters *c)
{
    for (int i = 0; i < c->count; i++) {
        struct counter *counter = &c->counter[i];
        if (!counter->available)
            continue;
        counter->threads = c->set[c->set_of[i]].inherits;
        counter->multiplexed = c->set[c->set_of[i]].multiplexed;
    }
}

static bool set_runs(const struct counters *c, int set, int pass)
{
    for (int i = 0; i < c->count; i++)
        if (c->counter[i].available && c->set_of[i] == set)
            return c->set[set].pass == pass;
    return false;
}

static void lose_set(struct counters *c, int set, const char *doing, int error)
{
    for (int i = 0; i < c->count; i++)
        if (c->counter[i].available && c->set_of[i] == set) {
            c->counter[i].available = false;
            refuse(c->counter[i].why, doing, error);
        }
}

void counters_start(struct counters *c, int pass)
{
    c->running = pass;
    for (int set = 0; set < c->sets; set++) {
        int error = set_runs(c, set, pass) ? PAPI_start(c->set[set].id) : PAPI_OK;
        if (error != PAPI_OK)
            lose_set(c, set, "start", error);
    }
}

void counters_stop(struct counters *c)
{
    for (int set = 0; set < c->sets && c->running >= 0; set++) {
        long long value[COUNTERS_MAX] = {0};
        int at = 0;
        if (!set_runs(c, set, c->running))
            continue;
        int error = PAPI_stop(c->set[set].id, value);
        if (error != PAPI_OK)
            lose_set(c, set, "stop", error);
        for (int i = 0; i < c->count; i++)
            if (c->counter[i].available && c->set_of[i] == set) {
                c->counter[i].value = value[at++];
                c->counter[i].counted = true;
            }
    }
    c->running = -1;
}

void counters_free(struct counters *c)
{
    if (!c)
        return;
    counters_stop(c);
    for (int set = 0; set < c->sets; set++)
        drop_set(&c->set[set]);
    free(c);
}

#else

bool counters_usable(const char *event, char why[160])
{
    (void)event;
    snprintf(why, 160, "this build has no PAPI; install it and run make again");
    return false;
}

static void place(struct counters *c, int index) { (void)c, (void)index; }

static void settle(struct counters *c) { (void)c; }

void counters_start(struct counters *c, int pass) { c->running = pass; }

void counters_stop(struct counters *c) { c->running = -1; }

void counters_free(struct counters *c) { free(c); }

#endif

/* ---- names ----------------------------------------------------------------------------------- */

/* The event's place in the list, once; -1 where there is no room. */
static int list(struct counters *c, const char *name, size_t bytes)
{
    for (int i = 0; i < c->count; i++)
        if (strlen(c->name[i]) == bytes && !strncmp(c->name[i], name, bytes))
            return i;
    if (c->count == COUNTERS_MAX)
        return -1;
    memcpy(c->name[c->count], name, bytes);
    c->counter[c->count].name = c->name[c->count];
    return c->count++;
}

static bool list_event(struct counters *c, const char *name, size_t bytes)
{
    const int known = c->count, index = list(c, name, bytes);
    if (index < known)
        return index >= 0;
    if (counters_usable(c->name[index], c->counter[index].why))
        place(c, index);
    return true;
}

/* The first way that can be had whole; where none can, its first events with their reasons. */
static bool list_figure(struct counters *c, const struct counter_figure *f)
{
    struct counter_term term[COUNTER_TERMS_MAX];
    const char *taken = f->way[0];
    for (int w = 0; w < COUNTER_WAYS && f->way[w]; w++) {
        char why[160];
        bool all = true;
        int terms = counter_way_terms(f->way[w], term);
        for (int t = 0; t < terms && all; t++)
            all = counters_usable(term[t].event, why);
        if (all) {
            taken = f->way[w];
            break;
        }
    }
    int terms = counter_way_terms(taken, term);
    for (int t = 0; t < terms; t++)
        if (!list_event(c, term[t].event, strlen(term[t].event)))
            return false;
    return true;
}

static bool list_preset(struct counters *c, const struct counter_preset *p)
{
    const struct counter_figure *f;
    const char *at = NULL;
    int index = 0;
    while ((f = counter_preset_next(p, &at, &index)))
        if (!list_figure(c, f))
            return false;
    return true;
}

static enum status list_words(struct counters *c, const char *names, struct fault *fault)
{
    for (const char *at = names; *at; at += *at == ',') {
        size_t n = strcspn(at, ",");
        if (n == 0 || n >= COUNTERS_NAME_BYTES)
            return fault_set(fault, ST_BAD_INPUT, "a counter's name has 1 to %d letters in '%s'",
                             COUNTERS_NAME_BYTES - 1, names);
        const struct counter_preset *p = counter_preset_find(at, n);
        if (p ? !list_preset(c, p) : !list_event(c, at, n))
            return fault_set(fault, ST_BAD_INPUT, "at most %d counters at a time", COUNTERS_MAX);
        at += n;
    }
    if (!c->count)
        return fault_set(fault, ST_BAD_INPUT,
                         "no counter named; try perf::TASK-CLOCK,PAPI_TOT_CYC, or a preset as"
                         " cache; 'patchmark list counters' shows what can be had");
    return ST_OK;
}

enum status counters_open(const char *names, enum counters_crowd crowd, struct counters **out,
                          struct fault *fault)
{
    struct counters *c = calloc(1, sizeof *c);
    if (!c)
        return fault_set(fault, ST_NO_MEMORY, "no memory for counters");
    c->crowd = crowd;
    c->passes = 1;
    c->running = -1;
    enum status s = list_words(c, names, fault);
    if (s != ST_OK) {
        counters_free(c);
        return s;
    }
    settle(c);
    *out = c;
    return ST_OK;
}

int counters_passes(const struct counters *c) { return c->passes; }

int counters_count(const struct counters *c) { return c->count; }

const struct counter *counters_at(const struct counters *c, int index)
{
    return &c->counter[index];
}
