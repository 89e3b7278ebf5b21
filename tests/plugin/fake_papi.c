// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* fake_papi.c   Stands in for libpapi in tests/check_counters.c: a processor that counts two events
 * at a time. FAKE_PAPI in the environment says what it lacks: "presets"
 * (PAPI's own names), "packed" (one of the sums' events), "turns" (events cannot take turns),
 * "threads" (no other threads are counted), "broken" (sets do not start any more once read). */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, EINVALID = -1, ENOEVENT = -7, ECONFLICT = -8 };
enum { EVENTS_MAX = 16, SETS = 256, REGISTERS = 2 };

/* Component 0 counts as many as it has registers, component 1 any number. */
static const struct {
    const char *name;
    int component;
    long long value;
} events[] = {
    {"PAPI_TOT_CYC", 0, 4000},
    {"PAPI_TOT_INS", 0, 10000},
    {"PAPI_L1_DCM", 0, 50},
    {"PAPI_BR_INS", 0, 1000},
    {"PAPI_BR_MSP", 0, 30},
    {"perf::CPU-CYCLES", 0, 4001},
    {"perf::INSTRUCTIONS", 0, 10001},
    {"perf::BRANCH-INSTRUCTIONS", 0, 1001},
    {"perf::BRANCH-MISSES", 0, 31},
    {"FP_ARITH:SCALAR_SINGLE", 0, 7},
    {"FP_ARITH:128B_PACKED_SINGLE", 0, 100},
    {"FP_ARITH:256B_PACKED_SINGLE", 0, 1000},
    {"FP_ARITH:512B_PACKED_SINGLE", 0, 10000},
    {"perf::TASK-CLOCK", 1, 2000},
    {"perf::PAGE-FAULTS", 1, 5},
    {"perf::CONTEXT-SWITCHES", 1, 2},
    {"perf::CPU-MIGRATIONS", 1, 1},
};
enum { EVENTS = sizeof events / sizeof *events };

static struct set {
    bool used, turns, running;
    int count, event[EVENTS_MAX];
} sets[SETS];
static bool started;

static bool lacks(const char *what)
{
    const char *list = getenv("FAKE_PAPI");
    return list && strstr(list, what);
}

int PAPI_is_initialized(void) { return started; }

int PAPI_library_init(int version)
{
    started = true;
    return version;
}

char *PAPI_strerror(int error)
{
    return error == ENOEVENT ? "Event does not exist" : "Event exists, but cannot be counted";
}

const void *PAPI_get_hardware_info(void) { return NULL; }

int PAPI_event_name_to_code(const char *name, int *code)
{
    for (int i = 0; i < EVENTS; i++)
        if (!strcmp(events[i].name, name)) {
            bool gone = (lacks("presets") && !strncmp(name, "PAPI_", 5)) ||
                        (lacks("packed") && strstr(name, "512B"));
            *code = i;
            return gone ? ENOEVENT : OK;
        }
    return ENOEVENT;
}

int PAPI_get_event_component(int code) { return events[code].component; }

int PAPI_create_eventset(int *id)
{
    for (int i = 0; i < SETS; i++)
        if (!sets[i].used) {
            sets[i] = (struct set){.used = true};
            *id = i;
            return OK;
        }
    return EINVALID;
}

int PAPI_assign_eventset_component(int id, int component)
{
    (void)id, (void)component;
    return OK;
}

int PAPI_set_opt(int option, void *value)
{
    (void)option, (void)value;
    return lacks("threads") ? ENOEVENT : OK;
}

int PAPI_multiplex_init(void) { return OK; }

int PAPI_set_multiplex(int id)
{
    if (lacks("turns"))
        return EINVALID;
    sets[id].turns = true;
    return OK;
}

int PAPI_add_event(int id, int code)
{
    struct set *s = &sets[id];
    bool crowded = events[code].component == 0 && !s->turns && s->count == REGISTERS;
    if (crowded || s->count == EVENTS_MAX)
        return ECONFLICT;
    s->event[s->count++] = code;
    return OK;
}

int PAPI_remove_event(int id, int code)
{
    sets[id].count -= sets[id].event[sets[id].count - 1] == code;
    return OK;
}

/* One set of a component at a time, as PAPI has it. */
int PAPI_start(int id)
{
    static int starts;
    struct set *s = &sets[id];
    for (int i = 0; i < SETS; i++)
        if (sets[i].running && s->count && sets[i].count &&
            events[sets[i].event[0]].component == events[s->event[0]].component)
            return EINVALID;
    if (lacks("broken") && starts++ > 10)
        return EINVALID;
    s->running = true;
    return OK;
}

int PAPI_stop(int id, long long *value)
{
    struct set *s = &sets[id];
    for (int i = 0; i < s->count; i++)
        value[i] = events[s->event[i]].value;
    s->running = false;
    return OK;
}

int PAPI_cleanup_eventset(int id)
{
    sets[id].count = 0;
    return OK;
}

int PAPI_destroy_eventset(int *id)
{
    sets[*id].used = false;
    *id = -1;
    return OK;
}
