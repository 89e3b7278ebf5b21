// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* nvml.c   libnvidia-ml.so.1 comes with the driver and has a stable C interface, so the few calls
 * needed are declared here and no header is asked for at build time. A call that a driver lacks or
 * refuses costs its figure and nothing else. */
#include "machine/nvml.h"

#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/stats.h"
#include "timing/measure.h"

#define LOOK_NS 20000000   /* the power sensor is refreshed about as often */
#define SAMPLES_MAX 65536  /* more than 20 minutes; later ones are not kept */
#define ENERGY_LEAST_S 2.0 /* the counter moves in steps of about 0.1 s */

/* ---- the library ----------------------------------------------------------------------------- */

enum { CLOCK_KIND_SM = 1, CLOCK_KIND_MEMORY = 2 };
enum { FIELD_POWER_INSTANT = 186, VALUE_UNSIGNED = 1 };

struct utilisation {
    unsigned busy, memory; /* percent */
};
struct field_value {
    unsigned field, scope;
    long long timestamp, latency_us;
    int type, result;
    union {
        unsigned word;
        unsigned long long large;
    } value;
};

typedef void *device;

struct library {
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error)(int);
    int (*by_uuid)(const char *, device *);
    int (*driver)(char *, unsigned);
    int (*clock)(device, int, unsigned *);
    int (*clock_max)(device, int, unsigned *);
    int (*fields)(device, int, struct field_value *);
    int (*power)(device, unsigned *);
    int (*power_limit)(device, unsigned *);
    int (*energy)(device, unsigned long long *);
    int (*temperature)(device, int, unsigned *);
    int (*utilisation)(device, struct utilisation *);
    int (*events)(device, unsigned long long *);
    int (*persistence)(device, int *);
};

/* An older name of the same call stands behind the newer one. */
static const struct {
    const char *name, *older;
    size_t offset;
    bool required;
} symbols[] = {
#define SYMBOL(field, name, older, required)                                                       \
    {                                                                                              \
        name, older, offsetof(struct library, field), required                                     \
    }
    SYMBOL(init, "nvmlInit_v2", NULL, true),
    SYMBOL(shutdown, "nvmlShutdown", NULL, true),
    SYMBOL(error, "nvmlErrorString", NULL, true),
    SYMBOL(by_uuid, "nvmlDeviceGetHandleByUUID", NULL, true),
    SYMBOL(driver, "nvmlSystemGetDriverVersion", NULL, false),
    SYMBOL(clock, "nvmlDeviceGetClockInfo", NULL, false),
    SYMBOL(clock_max, "nvmlDeviceGetMaxClockInfo", NULL, false),
    SYMBOL(fields, "nvmlDeviceGetFieldValues", NULL, false),
    SYMBOL(power, "nvmlDeviceGetPowerUsage", NULL, false),
    SYMBOL(power_limit, "nvmlDeviceGetEnforcedPowerLimit", NULL, false),
    SYMBOL(energy, "nvmlDeviceGetTotalEnergyConsumption", NULL, false),
    SYMBOL(temperature, "nvmlDeviceGetTemperature", NULL, false),
    SYMBOL(utilisation, "nvmlDeviceGetUtilizationRates", NULL, false),
    SYMBOL(events, "nvmlDeviceGetCurrentClocksEventReasons",
           "nvmlDeviceGetCurrentClocksThrottleReasons", false),
    SYMBOL(persistence, "nvmlDeviceGetPersistenceMode", NULL, false),
#undef SYMBOL
};

struct nvml {
    void *file;
    struct library call;
    device device;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct nvml_window *window; /* the open one */
    bool started, ending;
};

static enum status find_symbols(struct nvml *n, struct fault *fault)
{
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *at = dlsym(n->file, symbols[i].name);
        if (!at && symbols[i].older)
            at = dlsym(n->file, symbols[i].older);
        if (!at && symbols[i].required)
            return fault_set(fault, ST_UNAVAILABLE, "libnvidia-ml.so.1 has no %s; is it NVIDIA's?",
                             symbols[i].name);
        memcpy((char *)&n->call + symbols[i].offset, &at, sizeof at);
    }
    return ST_OK;
}

static enum status find_device(struct nvml *n, const char *uuid, struct fault *fault)
{
    int result = n->call.by_uuid(uuid, &n->device);
    if (result != 0)
        return fault_set(fault, ST_UNAVAILABLE, "NVML does not know this CUDA device: %s",
                         n->call.error(result));
    return ST_OK;
}

static enum status start(struct nvml *n, const char *uuid, struct fault *fault)
{
    TRY(find_symbols(n, fault));
    int result = n->call.init();
    if (result != 0)
        return fault_set(fault, ST_UNAVAILABLE, "NVML does not start: %s", n->call.error(result));
    enum status status = find_device(n, uuid, fault);
    if (status != ST_OK)
        n->call.shutdown();
    return status;
}

enum status nvml_open(const char *uuid, struct nvml **out, struct fault *fault)
{
    struct nvml *n = calloc(1, sizeof *n);
    *out = NULL;
    if (!n)
        return fault_set(fault, ST_NO_MEMORY, "no memory to watch the GPU");
    n->file = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    enum status status = n->file ? start(n, uuid, fault)
                                 : fault_set(fault, ST_UNAVAILABLE,
                                             "NVML (libnvidia-ml.so.1) is not on this machine");
    if (status != ST_OK) {
        if (n->file)
            dlclose(n->file);
        free(n);
        return status;
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&n->lock, NULL);
    pthread_cond_init(&n->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    *out = n;
    return ST_OK;
}

void nvml_close(struct nvml *n)
{
    if (!n)
        return;
    if (n->started) {
        pthread_mutex_lock(&n->lock);
        n->ending = true;
        pthread_cond_signal(&n->changed);
        pthread_mutex_unlock(&n->lock);
        pthread_join(n->thread, NULL);
    }
    pthread_cond_destroy(&n->changed);
    pthread_mutex_destroy(&n->lock);
    n->call.shutdown();
    dlclose(n->file);
    free(n);
}

/* ---- one look -------------------------------------------------------------------------------- */

static double clock_hz(int (*ask)(device, int, unsigned *), device d, int kind)
{
    unsigned mhz;
    return ask && ask(d, kind, &mhz) == 0 ? mhz * 1e6 : NAN;
}

/* The plain call answers with the mean of a whole second on most chips since 2020; the field is
 * what flows now. */
static double power_w(const struct nvml *n, bool *instant)
{
    struct field_value field = {.field = FIELD_POWER_INSTANT};
    unsigned mw;
    *instant = n->call.fields && n->call.fields(n->device, 1, &field) == 0 && field.result == 0;
    if (*instant)
        return 1e-3 * (field.type == VALUE_UNSIGNED ? (double)field.value.word
                                                    : (double)field.value.large);
    return n->call.power && n->call.power(n->device, &mw) == 0 ? 1e-3 * mw : NAN;
}

static double energy_j(const struct nvml *n)
{
    unsigned long long mj;
    return n->call.energy && n->call.energy(n->device, &mj) == 0 ? 1e-3 * (double)mj : NAN;
}

void nvml_look(struct nvml *n, struct nvml_sample *out)
{
    struct utilisation share;
    unsigned celsius;
    unsigned long long events;
    bool shares = n->call.utilisation && n->call.utilisation(n->device, &share) == 0;
    bool warm = n->call.temperature && n->call.temperature(n->device, 0, &celsius) == 0;
    out->figure[NVML_SM_CLOCK] = clock_hz(n->call.clock, n->device, CLOCK_KIND_SM);
    out->figure[NVML_MEMORY_CLOCK] = clock_hz(n->call.clock, n->device, CLOCK_KIND_MEMORY);
    out->figure[NVML_POWER] = power_w(n, &out->instant);
    out->figure[NVML_TEMPERATURE] = warm ? celsius : NAN;
    out->figure[NVML_BUSY] = shares ? share.busy / 100.0 : NAN;
    out->figure[NVML_MEMORY_BUSY] = shares ? share.memory / 100.0 : NAN;
    out->events = n->call.events && n->call.events(n->device, &events) == 0 ? events : 0;
    out->energy_j = energy_j(n);
    out->at_s = clock_seconds();
}

/* ---- windows --------------------------------------------------------------------------------- */

/* What has passed since the sample before, where both tell. */
static void follow(struct nvml_window *w, const struct nvml_sample *now)
{
    const double watts = now->figure[NVML_POWER], before = w->last.figure[NVML_POWER];
    if (w->following && !isnan(watts) && !isnan(before)) {
        w->sampled_j += (now->at_s - w->last.at_s) * (before + watts) / 2;
        w->sampled_s += now->at_s - w->last.at_s;
        w->power_refreshes += watts != before;
    }
    if (w->following && !isnan(now->energy_j) && !isnan(w->last.energy_j))
        w->energy_refreshes += now->energy_j != w->last.energy_j;
    w->instant = now->instant;
    w->last = *now;
    w->following = true;
}

/* With the lock held. A sample that finds no room is left out. */
static void keep(struct nvml_window *w, const struct nvml_sample *sample)
{
    w->events |= sample->events;
    follow(w, sample);
    if (w->count == w->room && w->room < SAMPLES_MAX) {
        int64_t room = w->room ? 2 * w->room : 64;
        struct nvml_sample *larger = realloc(w->samples, (size_t)room * sizeof *larger);
        if (larger) {
            w->samples = larger;
            w->room = room;
        }
    }
    if (w->count < w->room)
        w->samples[w->count++] = *sample;
}

static struct timespec next_look(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += LOOK_NS;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

/* Looks without the lock, because the driver may take its time; a window that was closed meanwhile
 * does not get the sample. */
static void *watch(void *user)
{
    struct nvml *n = user;
    pthread_mutex_lock(&n->lock);
    while (!n->ending) {
        struct nvml_window *w = n->window;
        struct timespec until = next_look();
        struct nvml_sample sample;
        if (!w) {
            pthread_cond_wait(&n->changed, &n->lock);
            continue;
        }
        if (pthread_cond_timedwait(&n->changed, &n->lock, &until) == 0)
            continue;
        pthread_mutex_unlock(&n->lock);
        nvml_look(n, &sample);
        pthread_mutex_lock(&n->lock);
        if (n->window == w)
            keep(w, &sample);
    }
    pthread_mutex_unlock(&n->lock);
    return NULL;
}

static void exchange(struct nvml *n, struct nvml_window *w, struct nvml_window *counted)
{
    struct nvml_sample sample;
    nvml_look(n, &sample);
    pthread_mutex_lock(&n->lock);
    keep(counted, &sample);
    n->window = w;
    pthread_cond_signal(&n->changed);
    pthread_mutex_unlock(&n->lock);
}

void nvml_window_open(struct nvml *n, struct nvml_window *w)
{
    if (!n)
        return;
    if (!n->started)
        n->started = pthread_create(&n->thread, NULL, watch, n) == 0;
    w->following = false;
    exchange(n, w, w);
    w->energy_at = energy_j(n);
    w->opened_at = clock_seconds();
}

void nvml_window_close(struct nvml *n, struct nvml_window *w)
{
    if (!n)
        return;
    double seconds = clock_seconds() - w->opened_at;
    double used = seconds >= ENERGY_LEAST_S ? energy_j(n) - w->energy_at : NAN;
    exchange(n, NULL, w);
    w->seconds += seconds;
    if (used >= 0) {
        w->energy_j += used;
        w->energy_s += seconds;
    }
}

void nvml_window_free(struct nvml_window *w)
{
    free(w->samples);
    *w = (struct nvml_window){0};
}

bool nvml_window_throttled(const struct nvml_window *w)
{
    return (w->events & NVML_EVENTS_THROTTLED) != 0;
}

/* ---- records --------------------------------------------------------------------------------- */

static const char *const figure_names[NVML_FIGURES] = {
    [NVML_SM_CLOCK] = "sm_clock_hz",
    [NVML_MEMORY_CLOCK] = "memory_clock_hz",
    [NVML_POWER] = "power_w",
    [NVML_TEMPERATURE] = "temperature_c",
    [NVML_BUSY] = "busy",
    [NVML_MEMORY_BUSY] = "memory_busy",
};

static const struct {
    uint64_t bit;
    const char *name;
} event_names[] = {
    {NVML_EVENT_IDLE, "idle"},
    {0x2, "clock_setting"},
    {NVML_EVENT_POWER_CAP, "power_cap"},
    {NVML_EVENT_SLOWDOWN, "hardware_slowdown"},
    {0x10, "sync_boost"},
    {NVML_EVENT_SOFTWARE_THERMAL, "software_thermal"},
    {NVML_EVENT_HARDWARE_THERMAL, "hardware_thermal"},
    {NVML_EVENT_POWER_BRAKE, "power_brake"},
    {0x100, "display_clock_setting"},
};

static void figure_json(const struct nvml_window *w, enum nvml_figure f, double *room,
                        struct json *j)
{
    int64_t n = 0;
    for (int64_t i = 0; i < w->count; i++)
        if (!isnan(w->samples[i].figure[f]))
            room[n++] = w->samples[i].figure[f];
    if (n == 0) {
        json_unavailable(j, figure_names[f], "the driver does not tell");
        return;
    }
    struct summary s = stats_summary(room, n);
    json_open_object(j, figure_names[f]);
    json_number(j, "min", s.min);
    json_number(j, "median", s.median);
    json_number(j, "max", s.max);
    json_end(j);
}

static void events_json(uint64_t events, struct json *j)
{
    json_open_array(j, "clock_events");
    for (size_t i = 0; i < sizeof event_names / sizeof *event_names; i++)
        if (events & event_names[i].bit)
            json_text(j, NULL, event_names[i].name);
    json_end(j);
}

void nvml_window_json(const struct nvml *n, const struct nvml_window *w, const char *why,
                      struct json *j, const char *key)
{
    double *room = n && w->count ? malloc((size_t)w->count * sizeof *room) : NULL;
    if (!room) {
        json_unavailable(j, key, !n ? why : w->count ? "no memory" : "it was not watched");
        return;
    }
    json_open_object(j, key);
    json_int(j, "samples", w->count);
    json_number(j, "watched_ns", w->seconds * 1e9);
    for (int f = 0; f < NVML_FIGURES; f++)
        figure_json(w, (enum nvml_figure)f, room, j);
    json_text(j, "power_is", w->instant ? "instant" : "average");
    if (w->energy_s > 0)
        json_number(j, "energy_j", w->energy_j);
    else
        json_unavailable(j, "energy_j", "no stretch was long enough for the driver's counter");
    json_number(j, "energy_ns", w->energy_s * 1e9);
    events_json(w->events, j);
    json_end(j);
    free(room);
}

static void number_or_why(struct json *j, const char *key, double value, const char *why)
{
    if (isnan(value))
        json_unavailable(j, key, why);
    else
        json_number(j, key, value);
}

void nvml_describe(const struct nvml *n, const char *why, struct json *j)
{
    char driver[96] = "";
    unsigned mw;
    int persistence;
    bool limited = n && n->call.power_limit && n->call.power_limit(n->device, &mw) == 0;
    why = n ? "the driver does not tell" : why;
    if (n && n->call.driver && n->call.driver(driver, sizeof driver) == 0)
        json_text(j, "driver", driver);
    else
        json_unavailable(j, "driver", why);
    number_or_why(j, "power_limit_w", limited ? 1e-3 * mw : NAN, why);
    number_or_why(j, "sm_clock_max_hz",
                  n ? clock_hz(n->call.clock_max, n->device, CLOCK_KIND_SM) : NAN, why);
    number_or_why(j, "memory_clock_max_hz",
                  n ? clock_hz(n->call.clock_max, n->device, CLOCK_KIND_MEMORY) : NAN, why);
    if (n && n->call.persistence && n->call.persistence(n->device, &persistence) == 0)
        json_bool(j, "persistence", persistence != 0);
    else
        json_unavailable(j, "persistence", why);
}
