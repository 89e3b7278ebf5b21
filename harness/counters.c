// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* counters.c   Counters through PAPI. Being listed says nothing: in a virtual machine hardware
 * events are listed and cannot be added. So each is added, started and read once, what fails stays
 * out with the library's own words. One event set per component: PAPI runs no two of one component
 * at a time. Threads started later are counted with their creator where the component can: PAPI 7
 * cannot where hardware events are missing, and then the calling thread is counted alone. */
#include "measure.h"

#include <stdlib.h>
#include <string.h>

#ifdef HAVE_PAPI
#include <papi.h>
#endif

#define NAME_BYTES 64
#define SETS_MAX 8

struct counters {
    int count;
    struct counter counter[COUNTERS_MAX];
    char name[COUNTERS_MAX][NAME_BYTES];
    int slot_of[COUNTERS_MAX]; /* index of its event set, where available */
    int sets;
    int component[SETS_MAX], set[SETS_MAX];
    bool inherits[SETS_MAX];
    bool running;
};

static enum status split_names(struct counters *c, const char *names, struct fault *fault)
{
    for (const char *at = names; *at; at += *at == ',') {
        size_t n = strcspn(at, ",");
        if (n == 0 || n >= NAME_BYTES)
            return fault_set(fault, ST_BAD_INPUT, "a counter's name has 1 to %d letters in '%s'",
                             NAME_BYTES - 1, names);
        if (c->count == COUNTERS_MAX)
            return fault_set(fault, ST_BAD_INPUT, "at most %d counters at a time", COUNTERS_MAX);
        memcpy(c->name[c->count], at, n);
        c->counter[c->count].name = c->name[c->count];
        c->count++;
        at += n;
    }
    if (!c->count)
        return fault_set(fault, ST_BAD_INPUT,
                         "no counter named; try perf::TASK-CLOCK,PAPI_TOT_CYC");
    return ST_OK;
}

#ifdef HAVE_PAPI

static bool library_ready(char *why, size_t bytes)
{
    int wanted = PAPI_VER_CURRENT;
    int version = PAPI_is_initialized() ? wanted : PAPI_library_init(wanted);
    if (version == wanted)
        return true;
    snprintf(why, bytes, "PAPI does not start: %s",
             version > 0 ? "its version is not the one built against" : PAPI_strerror(version));
    return false;
}

static void refuse(struct counter *counter, const char *doing, int error)
{
    const PAPI_hw_info_t *hardware = PAPI_get_hardware_info();
    bool virtual = hardware && hardware->virtualized && error == PAPI_ENOEVNT;
    snprintf(counter->why, sizeof counter->why, "PAPI cannot %s it: %s%s", doing,
             PAPI_strerror(error),
             virtual ? " (a virtual machine; hardware counters may not be offered)" : "");
}

/* The event set of a component, made on first use; -1 where it cannot be. */
static int slot_for(struct counters *c, int component)
{
    for (int i = 0; i < c->sets; i++)
        if (c->component[i] == component)
            return i;
    int set = PAPI_NULL;
    if (c->sets == SETS_MAX || PAPI_create_eventset(&set) != PAPI_OK)
        return -1;
    PAPI_option_t inherit = {.inherit = {.eventset = set, .inherit = PAPI_INHERIT_ALL}};
    c->inherits[c->sets] = PAPI_assign_eventset_component(set, component) == PAPI_OK &&
                           PAPI_set_opt(PAPI_INHERIT, &inherit) == PAPI_OK;
    c->set[c->sets] = set;
    c->component[c->sets] = component;
    return c->sets++;
}

static bool trial(int set, int *error)
{
    long long value[COUNTERS_MAX];
    *error = PAPI_start(set);
    if (*error == PAPI_OK)
        *error = PAPI_stop(set, value);
    return *error == PAPI_OK;
}

static void add(struct counters *c, int index)
{
    struct counter *counter = &c->counter[index];
    int code = 0, error = PAPI_event_name_to_code(counter->name, &code);
    if (error != PAPI_OK) {
        refuse(counter, "find", error);
        return;
    }
    int slot = slot_for(c, PAPI_get_event_component(code));
    if (slot < 0) {
        refuse(counter, "make an event set for", PAPI_ENOMEM);
        return;
    }
    if ((error = PAPI_add_event(c->set[slot], code)) != PAPI_OK) {
        refuse(counter, "add", error);
        return;
    }
    if (!trial(c->set[slot], &error)) {
        PAPI_remove_event(c->set[slot], code);
        refuse(counter, "read", error);
        return;
    }
    counter->available = true;
    counter->threads = c->inherits[slot];
    c->slot_of[index] = slot;
}

static void open_all(struct counters *c)
{
    char why[160];
    bool ready = library_ready(why, sizeof why);
    for (int i = 0; i < c->count; i++)
        if (ready)
            add(c, i);
        else
            memcpy(c->counter[i].why, why, sizeof why);
}

static bool set_used(const struct counters *c, int slot)
{
    for (int i = 0; i < c->count; i++)
        if (c->counter[i].available && c->slot_of[i] == slot)
            return true;
    return false;
}

static void lose_set(struct counters *c, int slot, const char *doing, int error)
{
    for (int i = 0; i < c->count; i++)
        if (c->counter[i].available && c->slot_of[i] == slot) {
            c->counter[i].available = false;
            refuse(&c->counter[i], doing, error);
        }
}

void counters_start(struct counters *c)
{
    c->running = true;
    for (int slot = 0; slot < c->sets; slot++) {
        int error = set_used(c, slot) ? PAPI_start(c->set[slot]) : PAPI_OK;
        if (error != PAPI_OK)
            lose_set(c, slot, "start", error);
    }
}

void counters_stop(struct counters *c)
{
    for (int slot = 0; slot < c->sets && c->running; slot++) {
        long long value[COUNTERS_MAX] = {0};
        int at = 0, error = set_used(c, slot) ? PAPI_stop(c->set[slot], value) : PAPI_OK;
        if (error != PAPI_OK)
            lose_set(c, slot, "stop", error);
        for (int i = 0; i < c->count; i++)
            if (c->counter[i].available && c->slot_of[i] == slot)
                c->counter[i].value = value[at++];
    }
    c->running = false;
}

void counters_free(struct counters *c)
{
    if (!c)
        return;
    counters_stop(c);
    for (int slot = 0; slot < c->sets; slot++) {
        PAPI_cleanup_eventset(c->set[slot]);
        PAPI_destroy_eventset(&c->set[slot]);
    }
    free(c);
}

#else

static void open_all(struct counters *c)
{
    for (int i = 0; i < c->count; i++)
        snprintf(c->counter[i].why, sizeof c->counter[i].why,
                 "this build has no PAPI; install it and run make again");
}

void counters_start(struct counters *c) { c->running = true; }

void counters_stop(struct counters *c) { c->running = false; }

void counters_free(struct counters *c) { free(c); }

#endif

enum status counters_open(const char *names, struct counters **out, struct fault *fault)
{
    struct counters *c = calloc(1, sizeof *c);
    if (!c)
        return fault_set(fault, ST_NO_MEMORY, "no memory for counters");
    enum status s = split_names(c, names, fault);
    if (s != ST_OK) {
        free(c);
        return s;
    }
    open_all(c);
    *out = c;
    return ST_OK;
}

int counters_count(const struct counters *c) { return c->count; }

const struct counter *counters_at(const struct counters *c, int index)
{
    return &c->counter[index];
}
