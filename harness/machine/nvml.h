// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* nvml.h   What a GPU does while it works, by the driver's management library: clocks, power,
 * energy, temperature, and why clocks were held down. The library is loaded at run time; without
 * it, or where a figure is not offered, records say null with the reason. Needs no CUDA context, so
 * a supervisor may watch. Set-ups are only read, never changed. */
#ifndef PATCHMARK_NVML_H
#define PATCHMARK_NVML_H

#include "base/json.h"

enum nvml_figure {
    NVML_SM_CLOCK,
    NVML_MEMORY_CLOCK,
    NVML_POWER,
    NVML_TEMPERATURE,
    NVML_BUSY,        /* share of time with a kernel running */
    NVML_MEMORY_BUSY, /* share of time with memory read or written */
    NVML_FIGURES
};

/* One look. NaN where the driver does not tell; Hz, W, degrees Celsius, 0 to 1. */
struct nvml_sample {
    double figure[NVML_FIGURES];
    double at_s;     /* CLOCK_MONOTONIC */
    double energy_j; /* of the driver's counter, from some moment on; boards since 2017 have one */
    bool instant;    /* the power is what flows now, not the mean of the last second */
    uint64_t events; /* NVML_EVENT_* bits; 0 also where they are not told */
};

/* Why clocks are not higher, as the driver numbers the reasons. */
#define NVML_EVENT_IDLE UINT64_C(0x1)
#define NVML_EVENT_POWER_CAP UINT64_C(0x4)
#define NVML_EVENT_SLOWDOWN UINT64_C(0x8)
#define NVML_EVENT_SOFTWARE_THERMAL UINT64_C(0x20)
#define NVML_EVENT_HARDWARE_THERMAL UINT64_C(0x40)
#define NVML_EVENT_POWER_BRAKE UINT64_C(0x80)
/* Held down by heat or by the machine around it. The power cap is not among them: a large matrix
 * product always reaches it. */
#define NVML_EVENTS_THROTTLED                                                                      \
    (NVML_EVENT_SLOWDOWN | NVML_EVENT_SOFTWARE_THERMAL | NVML_EVENT_HARDWARE_THERMAL |             \
     NVML_EVENT_POWER_BRAKE)

/* What was seen while the window was open; it may be opened many times. Zero-initialised. */
struct nvml_window {
    struct nvml_sample *samples; /* nvml_window_free */
    int64_t count, room;
    uint64_t events; /* any that was seen */
    double seconds;  /* open in all */
    double energy_j; /* of the stretches long enough for the driver's counter; see energy_s */
    double energy_s; /* seconds that energy_j covers; 0: no stretch was long enough */
    double opened_at, energy_at;
    int64_t energy_refreshes, power_refreshes; /* looks at which the sensor told something new */
    double sampled_j, sampled_s;               /* of power readings: straight lines between them */
    bool instant;                              /* as of the samples */
    bool following;                            /* `last` is the sample before, of this stretch */
    struct nvml_sample last;
};

struct nvml;

/* The device with this UUID ("GPU-..."), as CUDA names it: the two libraries count devices in
 * different orders. ST_UNAVAILABLE with the reason. */
enum status nvml_open(const char *uuid, struct nvml **out, struct fault *fault);
void nvml_close(struct nvml *n); /* no window may be open; NULL is fine */

void nvml_look(struct nvml *n, struct nvml_sample *out);

/* Between open and close a thread of this process looks every 20 ms; one window at a time. At both
 * ends the caller looks itself, so that the shortest stretch has two samples. n NULL: nothing. */
void nvml_window_open(struct nvml *n, struct nvml_window *w);
void nvml_window_close(struct nvml *n, struct nvml_window *w);
void nvml_window_free(struct nvml_window *w);
bool nvml_window_throttled(const struct nvml_window *w);

/* Member `key`: the figures of a window (results/SCHEMA.md, "gpu of a case"), or null with `why`
 * where n is NULL. */
void nvml_window_json(const struct nvml *n, const struct nvml_window *w, const char *why,
                      struct json *j, const char *key);
/* Members about the device: driver, limits, highest clocks; n NULL: each null with `why`. */
void nvml_describe(const struct nvml *n, const char *why, struct json *j);

#endif
