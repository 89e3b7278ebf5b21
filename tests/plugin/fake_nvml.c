// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* fake_nvml.c   Stands in for libnvidia-ml.so.1 in tests/check_nvml.c: one device whose clock falls
 * with each look and whose energy counter takes a step every tenth of a second. FAKE_NVML in the environment says what it lacks:
 * "driver" (does not start), "device" (knows none), "figures" (refuses every figure), "instant" (has
 * only the power of the last second), "energy" (has no counter of it). */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, DRIVER_NOT_LOADED = 9 };

static _Atomic int looks, open_count;

static bool lacks(const char *what)
{
    const char *list = getenv("FAKE_NVML");
    return list && strstr(list, what);
}

static int answer(unsigned *out, unsigned value)
{
    if (lacks("figures"))
        return NOT_SUPPORTED;
    *out = value;
    return SUCCESS;
}

int nvmlInit_v2(void)
{
    open_count++;
    return lacks("driver") ? DRIVER_NOT_LOADED : SUCCESS;
}

int nvmlShutdown(void)
{
    open_count--;
    return SUCCESS;
}

const char *nvmlErrorString(int result)
{
    return result == DRIVER_NOT_LOADED ? "Driver Not Loaded"
           : result == NOT_FOUND       ? "Not Found"
                                       : "Not Supported";
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device)
{
    *device = &looks;
    return lacks("device") || strcmp(uuid, "GPU-00112233-4455-6677-8899-aabbccddeeff") != 0
               ? NOT_FOUND
               : SUCCESS;
}

int nvmlSystemGetDriverVersion(char *out, unsigned bytes)
{
    snprintf(out, bytes, "580.82.07");
    return lacks("figures") ? NOT_SUPPORTED : SUCCESS;
}

int nvmlDeviceGetClockInfo(void *device, int kind, unsigned *mhz)
{
    (void)device;
    looks += kind == 1;
    return answer(mhz, kind == 1 ? 1980u - 10u * (unsigned)(looks < 50 ? looks : 50) : 3201u);
}

int nvmlDeviceGetMaxClockInfo(void *device, int kind, unsigned *mhz)
{
    (void)device;
    return answer(mhz, kind == 1 ? 1980 : 3201);
}

struct field {
    unsigned field, scope;
    long long timestamp, latency_us;
    int type, result;
    unsigned long long value;
};

int nvmlDeviceGetFieldValues(void *device, int count, struct field *field)
{
    (void)device, (void)count;
    field->result = lacks("instant") || lacks("figures") ? NOT_SUPPORTED : SUCCESS;
    field->type = 1;
    field->value = field->field == 186 ? 700000 : 1;
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *mw)
{
    (void)device;
    return answer(mw, 500000);
}

int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *mw)
{
    (void)device;
    return answer(mw, 700000);
}

/* 700 W, in steps of 70 J. */
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj)
{
    struct timespec now;
    (void)device;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *mj =
        70000 * (10 * (unsigned long long)now.tv_sec + (unsigned long long)now.tv_nsec / 100000000);
    return lacks("figures") || lacks("energy") ? NOT_SUPPORTED : SUCCESS;
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius)
{
    (void)device;
    return answer(celsius, sensor == 0 ? 61 : 0);
}

int nvmlDeviceGetUtilizationRates(void *device, unsigned percent[2])
{
    (void)device;
    percent[1] = 40;
    return answer(percent, 97);
}

/* Power cap always, heat from the second look on. */
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *events)
{
    (void)device;
    *events = 0x4 | (looks >= 2 ? 0x40 : 0);
    return lacks("figures") ? NOT_SUPPORTED : SUCCESS;
}

int nvmlDeviceGetPersistenceMode(void *device, int *mode)
{
    (void)device;
    *mode = 1;
    return lacks("figures") ? NOT_SUPPORTED : SUCCESS;
}
